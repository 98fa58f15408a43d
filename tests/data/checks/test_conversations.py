"""Tests of the parsing and checking of conversations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llmkit.base.progress import SILENT
from llmkit.data import corpus
from llmkit.data.checks.conversations import check_conversations, join_turns
from llmkit.recipe.schema import Data

Row = dict[str, Any]
USER, ANSWER = {"role": "user", "content": "Add.\n\n1 + 1"}, {"role": "assistant", "content": "2"}


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that writes rows to train.jsonl and checks them."""
    monkeypatch.chdir(tmp_path)

    def check(rows: Sequence[Row], **settings: Any) -> Any:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        Path("train.jsonl").write_text("".join(lines), encoding="utf-8")
        data = Data(train="train.jsonl", **settings)
        read = corpus.read(
            data,
            columns={},
            progress=SILENT,
            resolve_index=lambda name, _: Path(name),
            resolve_hub=lambda name, _: {},
        )
        return check_conversations(read, data)

    return check


def messages(*turns: str, roles: str = "ua") -> Row:
    names = {"u": "user", "a": "assistant", "s": "system"}
    return {
        "messages": [{"role": names[roles[i % len(roles)]], "content": text} for i, text in enumerate(turns)]
    }


@pytest.mark.parametrize(
    ("row", "format_name"),
    [
        ({"messages": [USER, ANSWER]}, "messages"),
        (
            {"conversations": [{"from": "human", "value": "Add.\n\n1 + 1"}, {"from": "gpt", "value": "2"}]},
            "ShareGPT",
        ),
        ({"instruction": "Add.", "input": "1 + 1", "output": "2", "id": 7}, "Alpaca"),
        ({"instruction": "Add.\n\n1 + 1", "input": " ", "output": "2"}, "Alpaca"),
        ({"instruction": "Add.\n\n1 + 1", "output": "2"}, "Alpaca"),
        ({"prompt": "Add.\n\n1 + 1", "completion": "2"}, "prompt and completion"),
    ],
)
def test_the_columns_tell_the_format(checked: Any, row: Row, format_name: str) -> None:
    corpus_after, errors, notes = checked([row])
    assert not errors
    split = corpus_after.splits["train"]
    assert split.column("messages") == [[USER, ANSWER]]
    assert (split.column("prompt"), split.column("answer")) == (["Add.\n\n1 + 1"], ["2"])
    assert notes == [f"train: conversations in {format_name} format"]


def test_the_prompt_includes_the_system_column_and_earlier_turns(checked: Any) -> None:
    corpus_after, errors, _ = checked([{**messages("a", "b", "c", "d"), "system": "Be brief."}])
    assert not errors
    split = corpus_after.splits["train"]
    assert split.column("messages")[0][0] == {"role": "system", "content": "Be brief."}
    assert split.column("prompt") == ["System: Be brief.\nUser: a\nAssistant: b\nUser: c"]
    assert split.column("answer") == ["d"]


def test_a_last_question_without_an_answer_is_left_out_and_counted(checked: Any) -> None:
    corpus_after, _, notes = checked([messages("a", "b", "c"), messages("a", "b")])
    assert [len(turns) for turns in corpus_after.splits["train"].column("messages")] == [2, 2]
    assert notes[-1] == "train: 1 row whose last question has no answer; the question is left out"


INVALID = {
    "no list": ({"messages": "hello"}, "S01", "not a list of turns"),
    "empty": ({"messages": []}, "S01", "not a list of turns"),
    "unknown role": ({"messages": [{"role": "tool", "content": "x"}]}, "S01", "the role 'tool' is unknown"),
    "no role": ({"messages": [{"content": "x"}]}, "S01", "the role missing is unknown"),
    "no answer": (messages("x"), "S02", "no turn is the assistant's"),
    "only a system message": (messages("x", roles="s"), "S02", "no turn is the assistant's"),
    "twice": (messages("x", "y", roles="u"), "S03", "turn 2 is the user's again"),
    "answer first": (messages("x", "y", roles="au"), "S03", "turn 1 is the assistant's"),
    "system later": (messages("x", "y", "z", roles="uas"), "S03", "turn 3 is the system's"),
    "null": (
        {"messages": [USER, {**ANSWER, "content": None}]},
        "L02",
        "turn 2 (assistant): missing is not a text",
    ),
    "blank answer": (messages("x", " \n"), "S05", "turn 2: the answer is empty"),
    "blank question": (messages("", "y"), "L03", "turn 1: the text of the user is empty"),
}


@pytest.mark.parametrize("name", INVALID)
def test_errors_have_a_place_and_a_fix(checked: Any, name: str) -> None:
    row, code, message = INVALID[name]
    good = messages("q", "r") if name != "no list" else {"messages": "x"}
    _, errors, _ = checked([good, row])
    error = errors[-1]
    assert (error.code, error.place) == (code, "train.jsonl:2")
    assert message in error.message
    assert error.fix


def test_rows_with_empty_turns_can_be_dropped(checked: Any) -> None:
    rows = [messages("a", "b"), messages("c", ""), messages("e", "f")]
    corpus_after, errors, notes = checked(rows, empty_text="drop")
    assert not errors
    assert corpus_after.splits["train"].column("answer") == ["b", "f"]
    assert corpus_after.splits["train"].place(1) == "train.jsonl:3"
    assert "train: 1 row dropped (empty turn)" in notes
    assert checked([messages("c", "")], empty_text="drop")[1][0].code == "S05"  # no row would be left


def test_missing_columns_are_l01_with_the_columns_of_the_file(checked: Any) -> None:
    _, errors, _ = checked([{"text": "a", "label": "b"}])
    assert errors[0].code == "L01"
    assert "label, text" in errors[0].message
    assert "data.columns.messages=NAME" in errors[0].fix


def test_a_single_message_is_joined_without_its_role() -> None:
    assert join_turns([USER]) == USER["content"]
    assert join_turns([USER, ANSWER]) == "User: Add.\n\n1 + 1\nAssistant: 2"


@pytest.mark.shared
@pytest.mark.parametrize("name", ["alpaca_tiny", "alpaca_zh", "code_alpaca", "self_instruct_seed"])
def test_sample_instruction_sets_have_no_errors(checked: Any, shared: Path, name: str) -> None:
    lines = (shared / "instruction" / name / "test.jsonl").read_text(encoding="utf-8").splitlines()
    _, errors, notes = checked([json.loads(line) for line in lines])
    assert not errors
    assert notes == ["train: conversations in Alpaca format"]
