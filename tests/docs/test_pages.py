"""The documentation says what the code does: commands parse, tables agree with the code, links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import llmkit
from llmkit import cli, tasks
from llmkit.assets.pinned import ASSETS
from llmkit.base.errors import RecipeError
from llmkit.recipe import packaged, yaml
from llmkit.recipe.schema import Recipe
from tests.docs.conftest import Workspace, shortened
from tests.docs.pages import (
    CHINESE,
    DOCS,
    ENGLISH,
    GENERATED,
    READMES,
    ROOT,
    SPAN,
    Command,
    accepted,
    blocks,
    check_mention,
    commands,
    copies,
    is_mention,
    llmkit_arguments,
    name_of,
    pages,
    parse,
    prose_of,
    read_recipe,
    spans,
    text_of,
)

PAGES = pages()
# Each page, and the English one whose commands it has to share.
TRANSLATIONS = {
    CHINESE: ENGLISH,
    DOCS / "zh" / "index.md": DOCS / "getting-started.md",
    **{page: DOCS / "tutorials" / page.name for page in sorted((DOCS / "zh" / "tutorials").glob("*.md"))},
}
OTHERS = {"docker", "make", "pip"}  # programs that are not ours
README_BYTES = 10_240
# Every block that is not run, by its page: how many, and why.
NOT_RUN = {
    "docs/guides/distributed.md": ["starts several processes"] * 3,
    "docs/guides/models-and-data.md": ["downloads a model from the Hugging Face Hub"],
    "docs/guides/shell-and-docker.md": ["needs Docker"] * 2,
}

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def llmkit_lines(page: Path) -> list[Command]:
    """The complete commands of the page, in blocks and in the text."""
    named = [arguments for arguments in map(llmkit_arguments, spans(page)) if arguments]
    lines = [arguments for arguments in map(llmkit_arguments, commands(page)) if arguments is not None]
    return [*lines, *(arguments for arguments in named if not is_mention(arguments))]


def test_every_page_is_in_the_navigation() -> None:
    written = {path for path in DOCS.rglob("*.md") if path.parent != GENERATED}
    assert written <= set(PAGES)
    assert len(written) >= 20


def test_the_blocks_that_are_not_run_are_listed() -> None:
    found = {name_of(page): [b.reason for b in blocks(page) if b.reason] for page in PAGES}
    assert {name: reasons for name, reasons in found.items() if reasons} == NOT_RUN


def test_every_fence_is_read() -> None:
    """A fence that `blocks` does not understand would be a command that no test runs."""
    for page in PAGES:
        assert text_of(page).count("```") == 2 * len(blocks(page)), name_of(page)


@every_page
def test_every_line_is_of_a_known_program(page: Path) -> None:
    for words in commands(page):
        assert words[0] in OTHERS or words[0] == "--8<--" or llmkit_arguments(words) is not None, words


@every_page
def test_every_llmkit_line_parses(page: Path) -> None:
    for arguments in llmkit_lines(page):
        parse(arguments)
    for arguments in map(llmkit_arguments, spans(page)):
        if arguments and is_mention(arguments):
            check_mention(arguments)


@every_page
def test_every_recipe_exists_and_takes_the_overrides(page: Path) -> None:
    for name, parameters in (parse(arguments) for arguments in llmkit_lines(page)):
        if name in ("finetune", "pretrain", "check"):
            read_recipe(parameters["recipe"], parameters["overrides"] or [], copies(page))
        if name in ("recipes show", "recipes copy") and parameters["name"] not in (None, "NAME"):
            assert parameters["name"] in packaged.list_names()


@every_page
def test_overrides_in_the_text_are_accepted(page: Path) -> None:
    """`data.empty_text=drop`, `train.truncation=true` and the like; FILE and FOLDER stand for themselves."""
    for span in SPAN.findall(prose_of(page)):
        for override in shlex.split(span) if re.match(r"'?[a-z]+(\.[a-z_]+)+=", span) else []:
            assert accepted(override.replace("\\n", "\n")), override


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


@every_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = {word for words in [*commands(page), *spans(page)] if words[0] == "make" for word in words[1:]}
    assert named <= targets


@pytest.mark.parametrize("page", READMES, ids=name_of)
def test_the_readme_is_short_and_names_the_two_commands(page: Path) -> None:
    assert len(page.read_bytes()) <= README_BYTES
    assert commands(page)[:2] == [["make", "demo"], ["make", "test"]]


@pytest.mark.parametrize("page", TRANSLATIONS, ids=name_of)
def test_both_languages_show_the_same(page: Path) -> None:
    """Block by block: the same commands, programs, data and screens."""
    ours, theirs = blocks(page), blocks(TRANSLATIONS[page])
    assert ours == theirs


def test_both_readmes_have_the_same_tables_and_headings() -> None:
    assert len(headings(ENGLISH)) == len(headings(CHINESE))
    ours, theirs = ([[row[1:] for row in table[1:]] for table in tables(page)] for page in READMES)
    assert ours == theirs


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)


def tables(page: Path) -> list[list[list[str]]]:
    """Tables as rows of cells, the head first."""
    found = re.findall(r"(?:^\|.*\|\n)+", text_of(page), re.MULTILINE)
    rows = [[line for line in table.splitlines() if not line.startswith("| ---")] for table in found]
    return [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table] for table in rows
    ]


def table_of(page: Path, first: str) -> list[list[str]]:
    """The rows of the table whose first row begins so, without its head."""
    return next(table[1:] for table in tables(page) if table[1][0].startswith(first))


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """The site's build checks the pages; the links of the READMEs are relative to the repository."""
    for target in re.findall(r"\]\(([^)]+)\)", prose_of(page)):
        path, _, anchor = target.partition("#")
        goal = page.parent / path if path else page
        assert goal.exists(), target
        assert not anchor or anchor in anchors(goal), target


def anchors(page: Path) -> set[str]:
    given = re.findall(r"^#+ .*\{ #([\w-]+) \}$", prose_of(page), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings(page)}
    return slugs | set(given)


def test_the_defaults_are_those_of_the_schema() -> None:
    task = {"name": "classification", **tasks.options("classification")().model_dump()}
    plain = Recipe.model_validate({"task": task, "model": {"name": "x"}}).model_dump()
    for keys, default, _ in table_of(DOCS / "guides" / "recipes.md", "`model.name`")[1:]:  # it has none
        for key in SPAN.findall(keys):
            value: Any = plain
            for name in key.split("."):
                value = value[name]
            (shown,) = SPAN.findall(default)
            assert yaml.parse_value(shown, "docs") == value, key


def test_the_assets_are_those_of_the_catalog() -> None:
    rows = table_of(DOCS / "guides" / "models-and-data.md", "`index:")
    assert [row[0] for row in rows] == [f"`index:{name}`" for name in ASSETS]
    for asset, (_, _, size, licence) in zip(ASSETS.values(), rows, strict=True):
        assert size == f"{asset.size_bytes / 1e6:.0f} MB", asset.name
        assert licence.startswith("package ") or licence == asset.licence, asset.name


def test_the_exit_codes_are_those_of_the_code() -> None:
    """The numbers that the command line's own docstring names."""
    rows = table_of(DOCS / "guides" / "scripts.md", "0")
    named = (cli.__doc__ or "").partition("Exit codes: ")[2]
    assert {row[0] for row in rows} == set(re.findall(r"\b\d+\b", named))


def test_every_task_has_its_page_and_its_recipes() -> None:
    rows = table_of(DOCS / "tasks" / "index.md", "[`classification`]")
    assert sorted(re.findall(r"`(\w+)`", row[0])[0] for row in rows) == tasks.names()
    named = ", ".join(row[2].replace("(pretrain) ", "") for row in rows)
    assert sorted(filter(None, named.split(", "))) == sorted(packaged.list_names())
    readme = table_of(ENGLISH, "[`classification`]")
    assert [[row[0].replace("docs/tasks/", ""), row[1]] for row in readme] == [
        [row[0], row[2]] for row in rows
    ]


def test_the_scores_of_the_recipes_are_among_the_results() -> None:
    """`Expected: test F1 0.781 (95 % interval 0.744 to 0.816)` is printed on the page of results as well."""
    results = text_of(DOCS / "results.md")
    expected = re.compile(r"Expected: test [^(]*?([\d.]+) \(95 ?% [^\d]*([\d.]+ to [\d.]+)\)")
    found = 0
    for name in packaged.list_names():
        header = " ".join(text_of(packaged.find_path(name)).split())
        for value, interval in expected.findall(header):
            found += 1
            assert f"{value}, {interval}" in results or f"{name} {value}" in results, name
    assert found >= 15


def test_the_layers_are_those_of_the_package() -> None:
    picture = next(b.content for b in blocks(DOCS / "design" / "index.md") if b.content.startswith("cli "))
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


def test_python_names_exist() -> None:
    called = {name for page in PAGES for name in re.findall(r"`llmkit\.(\w+)\(", text_of(page))}
    assert called
    assert called <= set(llmkit.__all__)


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_no_path_of_a_machine_and_no_registry_host(path: Path) -> None:
    assert not re.findall(r"(?<![\w.])/(?:work|root|tmp|home|Users)\b|pythonhosted|pypi\.org", text_of(path))


@every_page
def test_the_data_shown_is_what_the_commands_read(in_workspace: Workspace, page: Path) -> None:
    """A block with a data file's name as its title has the columns of the file that the tests run on."""
    for block in blocks(page):
        if block.title and block.title.endswith((".jsonl", ".csv")):
            first = (in_workspace.folder / block.title).read_text(encoding="utf-8").splitlines()[0]
            for line in block.content.splitlines() if block.language == "json" else []:
                assert set(json.loads(line)) == set(json.loads(first)), block.title
            if block.language == "csv":
                assert block.content.splitlines()[0] == first


def test_the_json_sample_has_the_keys_of_a_result(
    in_workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    page = DOCS / "guides" / "scripts.md"
    (sample,) = (json.loads(block.content) for block in blocks(page) if block.language == "json")
    line = "finetune sentiment data.train=reviews.jsonl train.max_steps=2 train.epochs=null --out runs/json --json"
    assert cli._run(line.split()) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(key_paths(sample)) <= set(key_paths(result))
    assert result["scores"]["accuracy"]["method"] == sample["scores"]["accuracy"]["method"]


def key_paths(value: Any, path: str = "") -> Iterator[str]:
    """`scores.accuracy.low` and so on."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from key_paths(inner, f"{path}.{key}")


def test_the_screen_of_the_readme_has_the_lines_of_a_run(
    in_workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line by line but for the numbers; scores and verdicts are of another model."""
    (screen,) = (b.content for b in blocks(ENGLISH) if b.language == "text" and "examples/s" in b.content)
    assert cli._run(shortened(["finetune", "sentiment"])) == 0
    captured = capsys.readouterr()
    printed = {without_numbers(line) for line in (captured.err + captured.out).splitlines()}
    lines = [without_numbers(line) for line in screen.splitlines()]
    others = ("index:", "step", "model  #", "model ", "majority", "tfidf", "untuned", "The ")
    assert {line for line in lines if not line.startswith(others)} <= printed
    assert any(line.startswith("step") for line in printed)


def without_numbers(line: str) -> str:
    line = re.sub(r"runs/\S+?(/[a-z.]+)?(?=[ :]|$)", r"RUN\1", line)
    return " ".join(re.sub(r"\d[\d,.]*", "#", line).split())


@pytest.mark.parametrize("page", [ENGLISH, DOCS / "getting-started.md"], ids=name_of)
def test_the_errors_shown_are_what_is_printed(
    in_workspace: Workspace,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    page: Path,
) -> None:
    texts = ["warm", "dull", "superb", " ", "sad", "bright", "boring", "lovely", "cold", "fresh"]
    labels = ["positive", "negative"] * 5
    labels[3:6] = ["negative", "negative", "Positive"]
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    monkeypatch.chdir(tmp_path)
    Path("reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert cli._run(["finetune", "sentiment", "data.train=reviews.jsonl"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("error[") == 2
    assert printed in [block.content for block in blocks(page) if block.language == "text"]
