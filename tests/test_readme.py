"""The READMEs say what the code does: commands parse, overrides are accepted, and the story they tell runs.

Commands stand in ```bash blocks and in `llmkit ...` spans of the text; both languages must have the same.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import llmkit
from llmkit import cli, tasks
from llmkit.assets.pinned import ASSETS
from llmkit.base.errors import RecipeError
from llmkit.recipe import packaged
from llmkit.recipe.load import load
from llmkit.recipe.schema import Recipe
from tests import samples

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
PAGES = {"README.md": ENGLISH, "README.zh-CN.md": CHINESE}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
ENVIRONMENT = re.compile(r"[A-Z_]+=\S*")
LAUNCHERS = {"torchrun", "accelerate"}
OTHERS = {"pip"}  # programs that are not ours

Command = list[str]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, content) of each fenced block."""
    return [(language, content) for language, content in FENCE.findall(text_of(page))]


def lines(page: Path) -> list[Command]:
    """The command lines of the bash blocks, in words, without comments."""
    bash = "".join(content for language, content in blocks(page) if language == "bash")
    return [words for line in bash.splitlines() if (words := shlex.split(line, comments=True))]


def spans(page: Path) -> list[Command]:
    """Commands in the running text."""
    prose = FENCE.sub("", text_of(page))
    return [shlex.split(span) for span in SPAN.findall(prose) if span.startswith(("llmkit ", "make "))]


def llmkit_arguments(words: Command) -> Command | None:
    """What follows `llmkit` in this line, launcher or not; None for lines of other programs."""
    words = [word for number, word in enumerate(words) if number or not ENVIRONMENT.fullmatch(word)]
    if words[0] in LAUNCHERS:
        assert words.count("-m") == 1, words
        words = words[words.index("-m") + 1 :]
    return words[1:] if words[0] == "llmkit" else None


def llmkit_lines(page: Path) -> list[Command]:
    found = [llmkit_arguments(words) for words in [*lines(page), *spans(page)]]
    return [arguments for arguments in found if arguments is not None]


def parse(arguments: Command) -> tuple[str, dict[str, Any]]:
    """The command's name and parameters. Raises a usage error for an unknown option or argument."""
    command: Any = get_command(cli.app)
    names: list[str] = []
    while hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands, f"no command {' '.join([*names, name])}"
        names.append(name)
        command = command.commands[name]
    with command.make_context(" ".join(names), arguments) as context:
        return " ".join(names), dict(context.params)


def read_recipe(name: str, overrides: list[str]) -> Recipe:
    """The recipe as `finetune` would read it; `mine.yaml` is a copy of `sentiment`."""
    packaged = "sentiment" if name == "mine.yaml" else name
    return load(packaged, overrides, task_names=tasks.names(), task_options=tasks.options)


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> Path:
    return PAGES[request.param]


def test_every_line_is_of_a_known_program(page: Path) -> None:
    for words in lines(page):
        assert words[0] in OTHERS | {"make"} or llmkit_arguments(words) is not None, words


def test_every_llmkit_line_parses(page: Path) -> None:
    assert len(llmkit_lines(page)) > 20
    for arguments in llmkit_lines(page):
        parse(arguments)


def test_every_recipe_exists_and_takes_the_overrides(page: Path) -> None:
    parsed = [parse(arguments) for arguments in llmkit_lines(page)]
    finetunes = [parameters for name, parameters in parsed if name == "finetune"]
    assert len(finetunes) > 8
    for parameters in finetunes:
        read_recipe(parameters["recipe"], parameters["overrides"] or [])
    named = [parameters["name"] for name, parameters in parsed if name in ("recipes show", "recipes copy")]
    assert {name for name in named if name} <= set(packaged.names())


def test_overrides_in_the_text_are_accepted(page: Path) -> None:
    """`data.empty_text=drop`, `train.truncation=true` and the like; FILE and NAME stand for themselves."""
    spans = SPAN.findall(FENCE.sub("", text_of(page)))
    overrides = [span.strip("'") for span in spans if re.match(r"'?[a-z]+(\.[a-z_]+)+=", span)]
    assert len(overrides) > 8
    for override in overrides:
        read_recipe(recipe_with(override), [override])


def recipe_with(override: str) -> str:
    """A recipe whose task has this option; any for the keys that all recipes have."""
    key = re.match(r"task\.(\w+)=", override)
    named = {name: read_recipe(name, []).task for name in packaged.names()}
    names = ("sentiment", *sorted(named, key=len))  # the general recipes before those for Chinese
    return next(name for name in names if key is None or key.group(1) in named[name])


@pytest.mark.parametrize(
    "line",
    [
        "llmkit fintune sentiment",
        "llmkit finetune sentiment --outt R",
        "llmkit compare runs/first",
        "llmkit recipes frob",
        "torchrun --nproc-per-node 2 -m llmkit finetune sentiment --reusme",
    ],
)
def test_a_wrong_line_is_noticed(line: str) -> None:
    arguments = llmkit_arguments(shlex.split(line))
    assert arguments is not None
    with pytest.raises((AssertionError, cli.UsageError)):
        parse(arguments)


@pytest.mark.parametrize(("name", "override"), [("sentimen", "seed=2"), ("sentiment", "train.lr=1e-4")])
def test_a_wrong_recipe_or_override_is_noticed(name: str, override: str) -> None:
    with pytest.raises(RecipeError):
        read_recipe(name, [override])


def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = {word for words in [*lines(page), *spans(page)] if words[0] == "make" for word in words[1:]}
    assert {"demo", "test", "check"} <= named <= targets


def test_both_languages_show_the_same() -> None:
    """Block by block: the same commands (comments are translated), and all else letter by letter."""
    ours, theirs = blocks(ENGLISH), blocks(CHINESE)
    assert [language for language, _ in ours] == [language for language, _ in theirs]
    assert lines(ENGLISH) == lines(CHINESE)
    assert [b for b in ours if b[0] != "bash"] == [b for b in theirs if b[0] != "bash"]
    assert [first_cells(ENGLISH)[1:], len(headings(ENGLISH))] == [
        first_cells(CHINESE)[1:],
        len(headings(CHINESE)),
    ]


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)


def tables(page: Path) -> list[list[list[str]]]:
    """Tables as rows of cells, the head first."""
    found = re.findall(r"(?:^\|.*\|\n)+", text_of(page), re.MULTILINE)
    rows = [[line for line in table.splitlines() if not line.startswith("| ---")] for table in found]
    return [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table] for table in rows
    ]


def first_cells(page: Path) -> list[str]:
    """What the rows of all tables are about, without the heads."""
    return [row[0] for table in tables(page) for row in table[1:]]


def test_links_lead_somewhere(page: Path) -> None:
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings(page)}
    for target in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        assert target.removeprefix("#") in anchors if target.startswith("#") else (ROOT / target).exists(), (
            target
        )


def test_the_defaults_are_those_of_the_schema(page: Path) -> None:
    plain = load_minimal()
    table = next(table for table in tables(page) if table[1][0] == "`model.name`")
    for keys, default, _ in table[2:]:  # model.name has none
        for key in SPAN.findall(keys):
            value: Any = plain
            for name in key.split("."):
                value = value[name]
            (shown,) = SPAN.findall(default)
            assert value_of(shown) == value, key


def load_minimal() -> dict[str, Any]:
    """Every default."""
    task = {"name": "classification", **tasks.options("classification")().model_dump()}
    return Recipe.model_validate({"task": task, "model": {"name": "x"}}).model_dump()


def value_of(shown: str) -> Any:
    from llmkit.recipe import yaml

    return yaml.value(shown, "README")


def test_the_assets_are_those_of_the_catalog(page: Path) -> None:
    table = next(table for table in tables(page) if table[1][0].startswith("`index:"))
    assert [row[0] for row in table[1:]] == [f"`index:{name}`" for name in ASSETS]
    for asset, (_, _, size, licence) in zip(ASSETS.values(), table[1:], strict=True):
        assert size == f"{asset.size_bytes / 1e6:.0f} MB", asset.name
        assert licence.startswith(("package ", "软件包 ")) or licence == asset.licence, asset.name


def test_the_exit_codes_are_those_of_the_code(page: Path) -> None:
    """The numbers that the command line's own docstring names."""
    table = next(table for table in tables(page) if table[1][0] == "0")
    named = (cli.__doc__ or "").partition("Exit codes: ")[2]
    assert {row[0] for row in table[1:]} == set(re.findall(r"\b\d+\b", named))


def test_the_layers_are_all_there(page: Path) -> None:
    picture = next(content for _, content in blocks(page) if content.startswith("cli "))
    parts = {
        path.stem
        for path in (ROOT / "llmkit").iterdir()
        if path.name[0].isalpha() and path.suffix in ("", ".py")
    }
    named = {
        name
        for line in picture.splitlines()
        for name in re.split(r"  +", line)[0].replace(" | ", ", ").split(", ")
    }
    assert named == parts


def test_python_names_exist(page: Path) -> None:
    called = re.findall(r"`llmkit\.(\w+)\(", text_of(page))
    assert called
    assert set(called) <= set(llmkit.__all__)


@pytest.mark.parametrize("path", [*PAGES.values(), ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_no_path_of_a_machine_and_no_registry_host(path: Path) -> None:
    assert not re.findall(r"(?<![\w.])/(?:work|root|tmp|home|Users)\b|pythonhosted|pypi\.org", text_of(path))


def write_example_files(folder: Path, rows: list[dict[str, str]]) -> None:
    """The files that the commands name."""
    (folder / "reviews.jsonl").write_text("".join(jsonl(rows)), encoding="utf-8")
    (folder / "reviews.zh.jsonl").write_text("".join(jsonl(rows)), encoding="utf-8")
    pairs = samples.rows("pair_classification", 80)
    named = [{"premise": row["text"], "hypothesis": row["text_pair"], "label": row["label"]} for row in pairs]
    samples.write(folder / "pairs.jsonl", named)
    samples.write(folder / "questions.jsonl", samples.rows("extractive_qa", 80))
    sentences = [zip(row["tokens"], row["tags"]) for row in samples.rows("token_classification", 80)]
    columns = ["".join(f"{token} NN X {tag}\n" for token, tag in sentence) for sentence in sentences]
    (folder / "names.conll").write_text("\n".join(columns), encoding="utf-8")
    (folder / "book.txt").write_text("the story of the film 3 4 was warm", encoding="utf-8")
    (folder / "new.jsonl").write_text("".join(jsonl(rows[:40])), encoding="utf-8")
    (folder / "tweets.jsonl").write_text("".join(jsonl(rows[40:80])), encoding="utf-8")
    samples.write(folder / "conversations.jsonl", samples.rows("chat", 80))
    samples.write(folder / "preferences.jsonl", samples.rows("dpo", 80))
    samples.write(folder / "programs.jsonl", samples.rows("code", 80))
    samples.write(folder / "translations.jsonl", samples.rows("translation", 80))
    text = [f"it was a {row['text']}\n" for row in rows]
    for name in ("notes.txt", "written.txt", "references.txt"):
        (folder / name).write_text("".join(text), encoding="utf-8")
    (folder / "texts.txt").write_text("a good film\na sad story\n", encoding="utf-8")
    with (folder / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["sentence", "class"])
        table.writerows([row["text"], int(row["label"] == "positive")] for row in rows)


def jsonl(rows: list[dict[str, str]]) -> Iterator[str]:
    return (json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def story(
    tmp_path: Path,
    tiny_recipe: Path,
    tiny_bert: Path,
    tiny_for: Callable[[str], Path],
    make_reviews: Callable[[int, int], list[dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Command], int]:
    """Run a command of the README where its files lie; a tiny model and recipe stand in for the named ones."""
    write_example_files(tmp_path, make_reviews(160, 0))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()

    def stand_in(name: str) -> Path:
        recipe = read_recipe(name, [])
        task = recipe.task["name"]
        if task == "classification":
            return tiny_recipe
        path = samples.write_recipe(task, tmp_path / "recipes", tiny_for(task), count=80)
        return samples.with_columns(path, recipe.data.columns)

    def run(arguments: Command) -> int:
        if arguments[0] in ("check", "finetune", "pretrain"):
            arguments = [arguments[0], str(stand_in(arguments[1])), *arguments[2:]]
        return cli._run([str(tiny_bert) if word == "index:all-MiniLM-L6-v2" else word for word in arguments])

    return run


def skipped(arguments: Command) -> bool:
    """Needs a network, a real model or a person."""
    return arguments[0] in ("chat", "doctor", "launch") or any(
        word.startswith(("model.name=", "data.train=index:")) for word in arguments
    )


@pytest.mark.slow
def test_the_story_runs(
    story: Callable[[Command], int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Every command of the blocks, in their order, each on what the ones before have made."""
    told = [llmkit_arguments(words) for words in lines(ENGLISH) if words[0] == "llmkit"]
    run = [arguments for arguments in told if arguments and not skipped(arguments)]
    assert len(run) > 15
    for arguments in run:
        assert story(arguments) == 0, (arguments, capsys.readouterr())
    assert (tmp_path / "mine.yaml").exists()
    assert len((tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert "runs/second minus runs/first" in capsys.readouterr().out


@pytest.mark.slow
def test_the_json_sample_has_the_keys_of_a_result(
    story: Callable[[Command], int], capsys: pytest.CaptureFixture[str]
) -> None:
    (sample,) = (json.loads(content) for language, content in blocks(ENGLISH) if language == "json")
    assert story(["finetune", "sentiment", "train.max_steps=2", "--out", "runs/first", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(key_paths(sample)) <= set(key_paths(result))
    assert result["scores"]["accuracy"]["method"] == sample["scores"]["accuracy"]["method"]


def key_paths(value: Any, path: str = "") -> Iterator[str]:
    """`scores.accuracy.low` and so on."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from key_paths(inner, f"{path}.{key}")


def test_the_errors_shown_are_what_is_printed(
    story: Callable[[Command], int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    texts = ["warm", "dull", "superb", " ", "sad", "bright", "boring", "lovely", "cold", "fresh"]
    labels = ["positive", "negative"] * 5
    labels[3:6] = ["negative", "negative", "Positive"]
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    (tmp_path / "reviews.jsonl").write_text("".join(jsonl(rows)), encoding="utf-8")
    assert story(["finetune", "sentiment", "data.train=reviews.jsonl"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("error[") == 2
    assert printed in [content for language, content in blocks(ENGLISH) if language == "text"]
