"""Bad recipes, files, rows and labels: each gets one line with place and fix, and nothing is touched."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llmkit import cli
from llmkit.base import files

Row = dict[str, Any]
Content = str | bytes

RECIPE = """task:
  name: classification
model:
  name: {model}
data:
  train: train.jsonl
train:
  batch_size: 16
  max_length: 32
"""
LINE = re.compile(r"error\[(?P<code>[A-Z]\d\d)\] (?P<place>\S+): .*([.?] Fix: .+|; did you mean \".+\"\?)")
NOTE = re.compile(r"(train|validation): .+")  # said once the rows are read, before the texts are tokenized

GOOD = [
    {"text": f"{word} {kind} film", "label": "positive" if word in ("good", "great") else "negative"}
    for word in ("good", "great", "bad", "dull")
    for kind in ("funny", "warm", "cold", "dark", "quiet", "this")
]


def jsonl(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def delimited(rows: list[Row], mark: str = ",") -> str:
    return "".join(mark.join(line) + "\n" for line in [list(rows[0]), *(row.values() for row in rows)])


def labelled(labels: list[Any]) -> list[Row]:
    """The good rows, each with one of these labels in turn."""
    return [{**row, "label": labels[number % len(labels)]} for number, row in enumerate(GOOD)]


def with_row(number: int, **changes: Any) -> str:
    """The good rows with a change in this one (from 1)."""
    return jsonl([{**row, **changes} if n == number else row for n, row in enumerate(GOOD, 1)])


def with_line(number: int, line: str) -> str:
    """The good rows with this text as one more line (from 1)."""
    lines = jsonl(GOOD).splitlines(keepends=True)
    return "".join([*lines[: number - 1], line + "\n", *lines[number - 1 :]])


@dataclass(frozen=True)
class Case:
    """name begins with the error's code. edits: old text -> new text in RECIPE, unless there is a recipe."""

    name: str
    place: str
    says: str
    edits: dict[str, str] = field(default_factory=dict)
    recipe: Content | None = None
    files: dict[str, Content] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        return self.name[:3]


def in_file(file: str, name: str, line: str, says: str, content: Content) -> Case:
    """A case whose fault lies in the training file, at this line (`:3`, or `:3:10` with the column)."""
    return Case(name, file + line, says, {"train.jsonl": file}, files={file: content})


in_jsonl, in_gzip = partial(in_file, "train.jsonl"), partial(in_file, "train.jsonl.gz")
in_csv = partial(in_file, "train.csv")


def validation(name: str, place: str, says: str, rows: list[Row], train: str = jsonl(GOOD)) -> Case:
    """A case whose fault shows between the training and the validation file."""
    both = {"train.jsonl": train, "val.jsonl": jsonl(rows)}
    return Case(name, place, says, files=both, overrides=("data.validation=val.jsonl", "data.test_share=0"))


SIZE = "  batch_size: 16"
FRESH = {"text": "stale poor actor", "label": "negative"}

CASES = [
    # Recipe
    Case("C01 tab", "recipe.yaml:8:1", "spaces", {SIZE: "\tbatch_size: 16"}),
    Case("C02 key twice", "recipe.yaml:9:3", "line 8 and again in line 9", {SIZE: f"{SIZE}\n{SIZE}"}),
    Case("C03 misspelt key", "recipe.yaml:8:3", 'did you mean "batch_size"', {"batch_size": "bach_size"}),
    Case("C03 other tool's key", "recipe.yaml:8:3", "learning_rate", {SIZE: "  lr: 1e-5"}),
    Case(
        "C04 wrong section", "recipe.yaml:6:3", "under train:", {"  train: t": "  max_length: 9\n  train: t"}
    ),
    Case("C05 hyphen", "recipe.yaml:8:3", "write batch_size", {"batch_size": "batch-size"}),
    Case("C06 quoted number", "recipe.yaml:8:18", "remove the quotes", {SIZE: '  learning_rate: "1e-5"'}),
    Case("C07 yes", "recipe.yaml:8:15", "write true", {SIZE: "  truncation: yes"}),
    Case("C08 wrong type", "recipe.yaml:8:15", "whole number", {"16": "[16]"}),
    Case("C09 out of range", "recipe.yaml:8:18", "above 0", {SIZE: "  learning_rate: 0"}),
    Case("C09 no such task", "recipe.yaml:2:9", 'did you mean "classification"', {": class": ": klass"}),
    Case("C10 exclusive keys", "recipe.yaml:9:3", "exclude", {SIZE: "  epochs: 1\n  max_steps: 9"}),
    Case("C11 key missing", "recipe.yaml:3:1", 'add "name: ', {"  name: {model}": "  new_head: true"}),
    Case("C12 empty", "recipe.yaml:1:1", "nothing", recipe=""),
    Case("C12 list", "recipe.yaml:1:1", "a list", recipe="- task\n- model\n"),
    Case("C13 open bracket", "recipe.yaml:8:15", "not closed", {"16": "[16"}),
    Case("C13 no override", "epochs", "KEY=VALUE", overrides=("epochs",)),
    Case("C14 tag", "recipe.yaml:8:15", "the tag", {"16": "!!python/object/apply:os.system [touch canary]"}),
    Case("C14 alias", "recipe.yaml:8:15", "alias", {"16": "&a 16"}),
    Case("C14 depth", "recipe.yaml:8:45", "32 deep", {"16": "[" * 40 + "]" * 40}),
    Case("C14 size", "recipe.yaml", "1 MiB", recipe=RECIPE + "#" * (1 << 20)),
    # Files
    Case("F01 no such file", "trian.jsonl", 'did you mean "train.jsonl"', {"train.jsonl": "trian.jsonl"}),
    Case(
        "F02 folder without data", "empty", "a folder", {"train.jsonl": "empty"}, files={"empty/notes.md": ""}
    ),
    in_jsonl("F03 no bytes", "", "empty", ""),
    in_csv("F03 header only", "", "no rows", "text,label\n"),
    in_jsonl("F04 JSON list", "", "rename it to .json", json.dumps(GOOD)),
    in_csv("F04 web page", "", "a web page", "<!DOCTYPE html><html>404</html>"),
    in_jsonl("F04 LFS pointer", "", "git lfs pull", "version https://git-lfs.github.com/spec/v1\n"),
    in_jsonl("F06 UTF-16", "", "iconv", jsonl(GOOD).encode("utf-16")),
    in_jsonl(
        "F07 cp1252",
        ":3:16",
        "cp1252",
        with_line(3, '{"text": "a caf\xe9", "label": "positive"}').encode("cp1252"),
    ),
    in_jsonl("F08 NUL", ":2:11", "NUL", with_line(2, '{"text": "\0a", "label": "positive"}')),
    in_jsonl(
        "F09 long line", ":25", "10,000,000 bytes", with_row(0) + json.dumps({"text": "a" * 10_000_000})
    ),
    in_gzip("F10 cut gzip", "", "truncated", gzip.compress(jsonl(GOOD).encode())[:-30]),
    # Rows
    in_jsonl("J01 malformed", ":3:33", "near `", with_line(3, '{"text": "a good film", "label" "positive"}')),
    in_jsonl("J02 trailing comma", ":3:29", "comma", with_line(3, '{"text": "a", "label": "bad",}')),
    in_jsonl("J02 single quotes", ":3:2", "double quotes", with_line(3, "{'text': 'a', 'label': 'bad'}")),
    in_jsonl("J03 no object", ":3", "a list", with_line(3, '["a", "positive"]')),
    in_jsonl(
        "J04 key twice", ":3", '"text"', with_line(3, '{"text": "a", "text": "b", "label": "positive"}')
    ),
    in_jsonl("J05 NaN", ":3", "NaN", with_line(3, '{"text": "a", "label": NaN}')),
    in_jsonl("J06 type changes", ":3", "train.jsonl:1", with_row(3, label=["positive"])),
    in_csv("J07 fields", ":3", "3 fields", delimited(GOOD).replace("warm film", "warm, film", 1)),
    in_csv("J08 open quote", ":3", "close the quote", delimited(GOOD).replace("good warm", '"good warm', 1)),
    in_csv("J09 no header", ":1", "header", "1,good film\n0,bad film\n"),
    in_csv("J09 column twice", ":1", '"text"', "text,text,label\na,b,positive\n"),
    in_csv("J10 delimiter", ":1", "semicolon", delimited(GOOD, ";")),
    in_jsonl("J11 lone surrogate", ":3", r"\ud800", with_row(3, text="half \ud800")),
    # Texts and labels
    in_jsonl("L01 no column", "", 'did you mean "texts"', jsonl(GOOD).replace('"text"', '"texts"')),
    in_jsonl("L02 null", ":3", "null", with_row(3, text=None)),
    in_jsonl("L03 blank", ":3", "blank", with_row(3, text=" \u200b")),
    in_jsonl("L04 null", ":3", "without a label", with_row(3, label=None)),
    validation("L05 unseen label", "val.jsonl:1", 'closest: "negative"', [{**FRESH, "label": "negativ"}]),
    validation("L06 label number", "val.jsonl:1", "0 to 1", [{**FRESH, "label": 7}], jsonl(labelled([0, 1]))),
    in_jsonl("L07 spelling", ":3", "case or space", with_row(3, label="Positive ")),
    in_jsonl("L08 single class", ":1", "the label", jsonl(labelled(["positive"]))),
    in_jsonl("L09 rare class", ":3", "distinct text", with_row(3, label="mixed")),
    in_jsonl("L10 fraction", ":1", "a float", jsonl(labelled([0.5, 0.25]))),
    Case("L11 checkpoint's head", "{head}", "3 labels", {"{model}": "{head}"}),
    in_jsonl("L12 too long", ":3", "truncation=true", with_row(3, text="film " * 40)),
    validation("L13 in two parts", "val.jsonl:1", "train.jsonl:1", [GOOD[0], FRESH]),
    in_jsonl("L13 two labels", ":25", "train.jsonl:1", jsonl([*GOOD, {**GOOD[0], "label": "negative"}])),
]
IN_A_PROCESS = ["C03 misspelt key", "F04 JSON list", "J01 malformed", "L05 unseen label", "L13 in two parts"]


@pytest.fixture(scope="session")
def three_class_head(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT as a classifier of three classes."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path_factory.mktemp("head")
    AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=3).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Workplace:
    """A working folder with a recipe and its data, and two checkpoints beside it."""

    folder: Path
    model: Path
    head: Path

    def named(self, text: str) -> str:
        return text.replace("{model}", str(self.model)).replace("{head}", str(self.head))

    def fill(self, recipe: Content, contents: dict[str, Content]) -> None:
        for name, content in {"train.jsonl": jsonl(GOOD), **contents, "recipe.yaml": recipe}.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else self.named(content).encode())

    def state(self) -> dict[Path, str]:
        """SHA-256 of every file, of the checkpoints too."""
        paths = [path for folder in (self.folder, self.model, self.head) for path in folder.rglob("*")]
        return {path: files.compute_sha256(path) if path.is_file() else "folder" for path in paths}


@pytest.fixture
def workplace(
    tmp_path: Path, tiny_bert: Path, three_class_head: Path, monkeypatch: pytest.MonkeyPatch
) -> Workplace:
    monkeypatch.chdir(tmp_path)
    return Workplace(tmp_path, tiny_bert, three_class_head)


def edited(edits: dict[str, str]) -> str:
    recipe = RECIPE
    for old, new in edits.items():
        assert recipe.count(old) == 1, old
        recipe = recipe.replace(old, new)
    return recipe


def finetune(*arguments: str) -> int:
    """The exit code of the command, run in this process."""
    return cli._run(["finetune", "recipe.yaml", *arguments])


def check(case: Case, workplace: Workplace, before: dict[Path, str], code: int, out: str, err: str) -> None:
    """One line with code, place and fix on stderr, nothing else anywhere."""
    *notes, last = err.splitlines()
    line = LINE.fullmatch(last)
    assert line and all(map(NOTE.fullmatch, notes)), err
    assert (line["code"], line["place"]) == (case.code, workplace.named(case.place)), err
    assert case.says in last
    assert code == 2
    assert out == ""
    assert workplace.state() == before


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_bad_input_is_answered_by_its_line(
    case: Case, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.fill(edited(case.edits) if case.recipe is None else case.recipe, case.files)
    before = workplace.state()
    code = finetune(*case.overrides)
    check(case, workplace, before, code, *capsys.readouterr())


@pytest.mark.parametrize("case", [c for c in CASES if c.name in IN_A_PROCESS], ids=lambda case: case.name)
def test_the_installed_command_answers_the_same(
    case: Case, workplace: Workplace, llmkit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    workplace.fill(edited(case.edits), case.files)
    before = workplace.state()
    done = llmkit("finetune", "recipe.yaml", *case.overrides)
    check(case, workplace, before, done.returncode, done.stdout, done.stderr)


def test_every_class_has_a_case() -> None:
    counts = {"C": 14, "F": 9, "J": 11, "L": 13}
    classes = {f"{letter}{number:02}" for letter, count in counts.items() for number in range(1, count + 1)}
    accepted = {"F05"}  # below
    assert classes - accepted <= {case.code for case in CASES}
    assert {case.name for case in CASES} >= set(IN_A_PROCESS)


def plan(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], str]:
    """What --dry-run prints (the plan, stderr) for an input that is accepted."""
    code = finetune("--dry-run", "--json", *arguments)
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out), err


def test_c06_an_unquoted_exponent_is_a_number(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.fill(edited({SIZE: "  learning_rate: 1e-5"}), {})
    assert plan(capsys)[0]["schedule"]["peak"] == 1e-5


def test_c07_no_and_yes_are_words_where_words_belong(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = jsonl(labelled(["no", "yes"]))
    workplace.fill(edited({"  train: t": "  labels: [yes, no]\n  train: t"}), {"train.jsonl": rows})
    assert plan(capsys)[0]["labels"] == ["yes", "no"]


def test_f05_a_byte_order_mark_is_skipped_and_said_once(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.fill(RECIPE, {"train.jsonl": codecs.BOM_UTF8 + jsonl(GOOD).encode()})
    planned, err = plan(capsys)
    assert sum(planned["rows"].values()) == len(GOOD)
    assert [line for line in err.splitlines() if "byte order mark" in line] == [
        "train.jsonl: skipped a UTF-8 byte order mark at the beginning"
    ]


def test_all_problems_of_a_recipe_come_at_once_from_top_to_bottom(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.fill(edited({"  train: t": "  trian: t", SIZE: "  batch-size: 0\n  epochs: 0"}), {})
    assert finetune("seed=-1") == 2
    places = [(line["code"], line["place"]) for line in lines_of(capsys)]
    assert places == [
        ("C03", "recipe.yaml:6:3"),
        ("C05", "recipe.yaml:8:3"),
        ("C09", "recipe.yaml:9:11"),
        ("C09", "seed=-1"),
    ]


def test_problems_beyond_twenty_are_counted(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.fill(RECIPE, {"train.jsonl": "{\n" * 30})
    assert finetune() == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more errors"


def lines_of(capsys: pytest.CaptureFixture[str]) -> Iterator[re.Match[str]]:
    for line in capsys.readouterr().err.splitlines():
        found = LINE.fullmatch(line)
        assert found, line
        yield found
