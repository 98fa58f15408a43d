"""Invalid recipes, files, rows and labels: each prints one error line with place and fix, and changes no file."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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
NOTE = re.compile(r"(train|validation): .+")  # printed after reading, before tokenization

GOOD = [
    {"text": f"{word} {kind} film", "label": "positive" if word in ("good", "great") else "negative"}
    for word in ("good", "great", "bad", "dull")
    for kind in ("funny", "warm", "cold", "dark", "quiet", "this")
]


def to_jsonl(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def to_csv(rows: list[Row], delimiter: str = ",") -> str:
    return "".join(delimiter.join(line) + "\n" for line in [list(rows[0]), *(row.values() for row in rows)])


def replace_labels(labels: list[Any]) -> list[Row]:
    """Return the valid rows with these labels, in turn."""
    return [{**row, "label": labels[number % len(labels)]} for number, row in enumerate(GOOD)]


def change_row(number: int, **changes: Any) -> str:
    """Return the valid rows as JSON lines, with one row changed (from 1)."""
    return to_jsonl([{**row, **changes} if n == number else row for n, row in enumerate(GOOD, 1)])


def insert_line(number: int, line: str) -> str:
    """Return the valid rows as JSON lines, with a line inserted at this number (from 1)."""
    lines = to_jsonl(GOOD).splitlines(keepends=True)
    return "".join([*lines[: number - 1], line + "\n", *lines[number - 1 :]])


@dataclass(frozen=True)
class Case:
    """An invalid input and the error line that it must print.

    Attributes:
        name: Begins with the error code.
        place: The place in the error line.
        message: Text that the error line must contain.
        edits: Old text -> new text in RECIPE.
        recipe: The whole recipe, instead of an edited RECIPE.
        files: Further files, by name.
        overrides: Overrides on the command line.
    """

    name: str
    place: str
    message: str
    edits: dict[str, str] = field(default_factory=dict)
    recipe: Content | None = None
    files: dict[str, Content] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        return self.name[:3]


def in_file(file: str, name: str, line: str, message: str, content: Content) -> Case:
    """Return a case with an error in the training file, at this line (`:3`, or `:3:10` with the column)."""
    return Case(name, file + line, message, {"train.jsonl": file}, files={file: content})


in_jsonl, in_gzip = partial(in_file, "train.jsonl"), partial(in_file, "train.jsonl.gz")
in_csv = partial(in_file, "train.csv")


def validation(name: str, place: str, message: str, rows: list[Row], train: str = to_jsonl(GOOD)) -> Case:
    """Return a case with an error in the validation rows, or between them and the training rows."""
    both = {"train.jsonl": train, "val.jsonl": to_jsonl(rows)}
    return Case(
        name, place, message, files=both, overrides=("data.validation=val.jsonl", "data.test_share=0")
    )


SIZE = "  batch_size: 16"
FRESH = {"text": "stale poor actor", "label": "negative"}

CASES = [
    # Recipe
    Case("C01 tab", "recipe.yaml:8:1", "spaces", {SIZE: "\tbatch_size: 16"}),
    Case("C02 key twice", "recipe.yaml:9:3", "line 8 and again on line 9", {SIZE: f"{SIZE}\n{SIZE}"}),
    Case("C03 misspelled key", "recipe.yaml:8:3", 'did you mean "batch_size"', {"batch_size": "bach_size"}),
    Case("C03 other tool's key", "recipe.yaml:8:3", "learning_rate", {SIZE: "  lr: 1e-5"}),
    Case(
        "C04 wrong section", "recipe.yaml:6:3", "under train:", {"  train: t": "  max_length: 9\n  train: t"}
    ),
    Case("C05 hyphen", "recipe.yaml:8:3", "write batch_size", {"batch_size": "batch-size"}),
    Case("C06 quoted number", "recipe.yaml:8:18", "remove the quotes", {SIZE: '  learning_rate: "1e-5"'}),
    Case("C07 yes", "recipe.yaml:8:15", "write true", {SIZE: "  truncation: yes"}),
    Case("C08 wrong type", "recipe.yaml:8:15", "an integer", {"16": "[16]"}),
    Case("C09 out of range", "recipe.yaml:8:18", "a number > 0", {SIZE: "  learning_rate: 0"}),
    Case("C09 no such task", "recipe.yaml:2:9", 'did you mean "classification"', {": class": ": klass"}),
    Case("C10 conflicting keys", "recipe.yaml:9:3", "exclude", {SIZE: "  epochs: 1\n  max_steps: 9"}),
    Case("C11 key missing", "recipe.yaml:3:1", 'add "name: ', {"  name: {model}": "  new_head: true"}),
    Case("C12 empty", "recipe.yaml:1:1", "no content", recipe=""),
    Case("C12 list", "recipe.yaml:1:1", "a list", recipe="- task\n- model\n"),
    Case("C13 open bracket", "recipe.yaml:8:15", "not closed", {"16": "[16"}),
    Case("C13 not an override", "epochs", "KEY=VALUE", overrides=("epochs",)),
    Case("C14 tag", "recipe.yaml:8:15", "tags", {"16": "!!python/object/apply:os.system [touch canary]"}),
    Case("C14 alias", "recipe.yaml:8:15", "alias", {"16": "&a 16"}),
    Case("C14 depth", "recipe.yaml:8:45", "32 levels deep", {"16": "[" * 40 + "]" * 40}),
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
    in_jsonl("F06 UTF-16", "", "iconv", to_jsonl(GOOD).encode("utf-16")),
    in_jsonl(
        "F07 cp1252",
        ":3:16",
        "cp1252",
        insert_line(3, '{"text": "a caf\xe9", "label": "positive"}').encode("cp1252"),
    ),
    in_jsonl("F08 NUL", ":2:11", "NUL", insert_line(2, '{"text": "\0a", "label": "positive"}')),
    in_jsonl(
        "F09 long line", ":25", "10,000,000 bytes", change_row(0) + json.dumps({"text": "a" * 10_000_000})
    ),
    in_gzip("F10 truncated gzip", "", "truncated", gzip.compress(to_jsonl(GOOD).encode())[:-30]),
    # Rows
    in_jsonl(
        "J01 malformed", ":3:33", "near `", insert_line(3, '{"text": "a good film", "label" "positive"}')
    ),
    in_jsonl("J02 trailing comma", ":3:29", "comma", insert_line(3, '{"text": "a", "label": "bad",}')),
    in_jsonl("J02 single quotes", ":3:2", "double quotes", insert_line(3, "{'text': 'a', 'label': 'bad'}")),
    in_jsonl("J03 not an object", ":3", "a list", insert_line(3, '["a", "positive"]')),
    in_jsonl(
        "J04 key twice", ":3", '"text"', insert_line(3, '{"text": "a", "text": "b", "label": "positive"}')
    ),
    in_jsonl("J05 NaN", ":3", "NaN", insert_line(3, '{"text": "a", "label": NaN}')),
    in_jsonl("J06 type changes", ":3", "train.jsonl:1", change_row(3, label=["positive"])),
    in_csv("J07 fields", ":3", "3 fields", to_csv(GOOD).replace("warm film", "warm, film", 1)),
    in_csv("J08 open quote", ":3", "close the quote", to_csv(GOOD).replace("good warm", '"good warm', 1)),
    in_csv("J09 no header", ":1", "header", "1,good film\n0,bad film\n"),
    in_csv("J09 column twice", ":1", '"text"', "text,text,label\na,b,positive\n"),
    replace(in_csv("J10 delimiter", ":1", "semicolon", to_csv(GOOD, ";")), overrides=("data.delimiter=|",)),
    in_jsonl("J11 lone surrogate", ":3", r"\ud800", change_row(3, text="half \ud800")),
    # Texts and labels
    in_jsonl("L01 no column", "", 'did you mean "texts"', to_jsonl(GOOD).replace('"text"', '"texts"')),
    in_jsonl("L02 null", ":3", "null", change_row(3, text=None)),
    in_jsonl("L03 blank", ":3", "blank", change_row(3, text=" \u200b")),
    in_jsonl("L04 null", ":3", "without a label", change_row(3, label=None)),
    validation("L05 unseen label", "val.jsonl:1", 'closest: "negative"', [{**FRESH, "label": "negativ"}]),
    validation(
        "L06 label number", "val.jsonl:1", "0 to 1", [{**FRESH, "label": 7}], to_jsonl(replace_labels([0, 1]))
    ),
    in_jsonl("L07 case and space", ":3", "case or space", change_row(3, label="Positive ")),
    in_jsonl("L08 single class", ":1", "the label", to_jsonl(replace_labels(["positive"]))),
    in_jsonl("L09 rare class", ":3", "distinct text", change_row(3, label="mixed")),
    in_jsonl("L10 fraction", ":1", "a float", to_jsonl(replace_labels([0.5, 0.25]))),
    Case("L11 checkpoint's head", "{head}", "3 labels", {"{model}": "{head}"}),
    in_jsonl("L12 too long", ":3", "truncation=true", change_row(3, text="film " * 40)),
    validation("L13 in two splits", "val.jsonl:1", "train.jsonl:1", [GOOD[0], FRESH]),
    in_jsonl("L13 two labels", ":25", "train.jsonl:1", to_jsonl([*GOOD, {**GOOD[0], "label": "negative"}])),
]
IN_NEW_PROCESS = [
    "C03 misspelled key",
    "F04 JSON list",
    "J01 malformed",
    "L05 unseen label",
    "L13 in two splits",
]


@pytest.fixture(scope="session")
def three_class_head(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the tiny BERT as a classifier with three classes."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path_factory.mktemp("head")
    AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=3).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Workspace:
    """A working folder with a recipe and its data, and two checkpoints outside it."""

    folder: Path
    model: Path
    head: Path

    def fill_in_paths(self, text: str) -> str:
        return text.replace("{model}", str(self.model)).replace("{head}", str(self.head))

    def write(self, recipe: Content, contents: dict[str, Content]) -> None:
        for name, content in {"train.jsonl": to_jsonl(GOOD), **contents, "recipe.yaml": recipe}.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else self.fill_in_paths(content).encode())

    def hash_files(self) -> dict[Path, str]:
        """Return the SHA-256 of every file, including those of the checkpoints."""
        paths = [path for folder in (self.folder, self.model, self.head) for path in folder.rglob("*")]
        return {path: files.compute_sha256(path) if path.is_file() else "folder" for path in paths}


@pytest.fixture
def workspace(
    tmp_path: Path, tiny_bert: Path, three_class_head: Path, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    monkeypatch.chdir(tmp_path)
    return Workspace(tmp_path, tiny_bert, three_class_head)


def edit_recipe(edits: dict[str, str]) -> str:
    recipe = RECIPE
    for old, new in edits.items():
        assert recipe.count(old) == 1, old
        recipe = recipe.replace(old, new)
    return recipe


def finetune(*arguments: str) -> int:
    """Run the command in this process; return its exit code."""
    return cli._run(["finetune", "recipe.yaml", *arguments])


def check(case: Case, workspace: Workspace, before: dict[Path, str], code: int, out: str, err: str) -> None:
    """Check that stderr ends with the error line, stdout is empty and no file has changed."""
    *notes, last = err.splitlines()
    line = LINE.fullmatch(last)
    assert line and all(map(NOTE.fullmatch, notes)), err
    assert (line["code"], line["place"]) == (case.code, workspace.fill_in_paths(case.place)), err
    assert case.message in last
    assert code == 2
    assert out == ""
    assert workspace.hash_files() == before


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_invalid_input_prints_its_error_line(
    case: Case, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.write(edit_recipe(case.edits) if case.recipe is None else case.recipe, case.files)
    before = workspace.hash_files()
    code = finetune(*case.overrides)
    check(case, workspace, before, code, *capsys.readouterr())


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in IN_NEW_PROCESS], ids=lambda case: case.name
)
def test_installed_command_prints_the_same_line(
    case: Case, workspace: Workspace, llmkit: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    workspace.write(edit_recipe(case.edits), case.files)
    before = workspace.hash_files()
    process = llmkit("finetune", "recipe.yaml", *case.overrides)
    check(case, workspace, before, process.returncode, process.stdout, process.stderr)


def test_every_error_code_has_a_case() -> None:
    counts = {"C": 14, "F": 9, "J": 11, "L": 13}
    codes = {f"{letter}{number:02}" for letter, count in counts.items() for number in range(1, count + 1)}
    warnings = {"F05"}  # tested below
    assert codes - warnings <= {case.code for case in CASES}
    assert {case.name for case in CASES} >= set(IN_NEW_PROCESS)


def run_dry(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], str]:
    """Run `finetune --dry-run` on valid input; return the plan and stderr."""
    code = finetune("--dry-run", "--json", *arguments)
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out), err


def test_unquoted_number_with_an_exponent_is_accepted(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.write(edit_recipe({SIZE: "  learning_rate: 1e-5"}), {})
    assert run_dry(capsys)[0]["schedule"]["peak"] == 1e-5


def test_yes_and_no_are_accepted_as_labels(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    rows = to_jsonl(replace_labels(["no", "yes"]))
    workspace.write(edit_recipe({"  train: t": "  labels: [yes, no]\n  train: t"}), {"train.jsonl": rows})
    assert run_dry(capsys)[0]["labels"] == ["yes", "no"]


def test_byte_order_mark_is_skipped_with_one_note(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.write(RECIPE, {"train.jsonl": codecs.BOM_UTF8 + to_jsonl(GOOD).encode()})
    planned, err = run_dry(capsys)
    assert sum(planned["rows"].values()) == len(GOOD)
    assert [line for line in err.splitlines() if "byte order mark" in line] == [
        "train.jsonl: skipped a UTF-8 byte order mark at the beginning"
    ]


def test_all_errors_of_a_recipe_are_printed_from_top_to_bottom(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.write(edit_recipe({"  train: t": "  trian: t", SIZE: "  batch-size: 0\n  epochs: 0"}), {})
    assert finetune("seed=-1") == 2
    places = [(line["code"], line["place"]) for line in read_error_lines(capsys)]
    assert places == [
        ("C03", "recipe.yaml:6:3"),
        ("C05", "recipe.yaml:8:3"),
        ("C09", "recipe.yaml:9:11"),
        ("C09", "seed=-1"),
    ]


def test_errors_beyond_twenty_are_counted(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    workspace.write(RECIPE, {"train.jsonl": "{\n" * 30})
    assert finetune() == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more errors"


def read_error_lines(capsys: pytest.CaptureFixture[str]) -> Iterator[re.Match[str]]:
    for line in capsys.readouterr().err.splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        yield match
