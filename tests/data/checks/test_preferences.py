"""Tests of the parsing and checking of preference pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from llmkit.base.progress import SILENT
from llmkit.data import corpus
from llmkit.data.checks.conversations import join_turns
from llmkit.data.checks.preferences import PreferencePair, check_pairs, parse_pair
from llmkit.recipe.schema import Data

Row = dict[str, Any]
Check = Callable[..., Any]


def message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


ASKED = [message("user", "1 + 1?"), message("assistant", "Why?"), message("user", "I forgot.")]
GOOD, BAD = message("assistant", "2"), message("assistant", "3")
HUMAN = "\n\nHuman: 1 + 1?\n\nAssistant: Why?\n\nHuman: I forgot.\n\nAssistant:"
SHAREGPT = [{"from": "human", "value": "1 + 1?"}, gpt("Why?"), {"from": "human", "value": "I forgot."}]


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return a function that writes rows to train.jsonl and checks them."""
    monkeypatch.chdir(tmp_path)

    def check(rows: Sequence[Row], **settings: Any) -> Any:
        Path("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        data = Data(train="train.jsonl", **settings)
        columns = {"chosen": "chosen", "rejected": "rejected", **data.columns}
        read = corpus.read(
            data,
            columns=columns,
            progress=SILENT,
            resolve_index=lambda name, _: Path(name),
            resolve_hub=lambda name, _: {},
        )
        return check_pairs(read, data)

    return check


@pytest.mark.parametrize(
    ("row", "format_name"),
    [
        ({"prompt": ASKED, "chosen": [GOOD], "rejected": [BAD]}, "messages"),
        ({"prompt": ASKED, "chosen": "2", "rejected": "3"}, "messages"),
        ({"chosen": [*ASKED, GOOD], "rejected": [*ASKED, BAD]}, "messages"),
        ({"prompt": "1 + 1?", "chosen": [*ASKED, GOOD], "rejected": [*ASKED, BAD]}, "messages"),
        ({"conversations": SHAREGPT, "chosen": gpt("2"), "rejected": gpt("3")}, "ShareGPT"),
        ({"prompt": HUMAN, "chosen": "2", "rejected": "3"}, "Human/Assistant"),
        ({"prompt": HUMAN.strip(), "chosen": "2", "rejected": "3"}, "Human/Assistant"),
        ({"chosen": HUMAN + " 2", "rejected": HUMAN + " 3"}, "Human/Assistant"),
    ],
)
def test_all_formats_give_the_same_pair(row: Row, format_name: str, checked: Check) -> None:
    assert parse_pair(row) == (PreferencePair(ASKED, "2", "3", format_name), None)
    corpus_after, errors, notes = checked([row])
    assert errors == []
    assert notes == [f"train: 1 row of pairs in {format_name} format"]
    columns = corpus_after.splits["train"].columns
    assert list(columns["messages"]) == [ASKED]
    assert [columns[name][0] for name in ("prompt", "chosen", "rejected")] == [join_turns(ASKED), "2", "3"]


def test_plain_texts_and_a_system_message() -> None:
    row = {"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}
    assert parse_pair(row) == (PreferencePair([message("user", "1 + 1?")], "2", "3", "plain text"), None)
    system = [message("system", "Count."), message("user", "1 + 1?")]
    assert parse_pair({**row, "system": "Count."}) == (PreferencePair(system, "2", "3", "plain text"), None)
    assert parse_pair({"chosen": [*system, GOOD], "rejected": [*system, BAD]})[0] == PreferencePair(
        system, "2", "3", "messages"
    )


def test_an_answer_may_start_with_human() -> None:
    """Some answers of HH-RLHF start like this."""
    pair, error = parse_pair({"prompt": "Human: 1 + 1?\n\nAssistant:", "chosen": "Human: 2", "rejected": "3"})
    assert error is None
    assert pair is not None and (pair.turns, pair.chosen) == ([message("user", "1 + 1?")], "Human: 2")


ASK = {"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}


@pytest.mark.parametrize(
    ("row", "code", "text"),
    [
        ({**ASK, "rejected": " 2\n"}, "S10", "the same answer"),
        ({**ASK, "rejected": "  "}, "S05", "rejected: turn 2: the answer is empty"),
        ({**ASK, "chosen": ""}, "S05", "chosen: turn 2: the answer is empty"),
        ({**ASK, "prompt": " "}, "L03", "the text of the user is empty"),
        ({**ASK, "chosen": None}, "L02", "chosen: turn 2 (assistant): missing is not a text"),
        ({"chosen": "2", "rejected": "3"}, "S11", "an answer without a prompt"),
        ({"chosen": [*ASKED, GOOD], "rejected": [*ASKED[:1], BAD]}, "S11", "different turns"),
        (
            {**ASK, "chosen": [*ASKED, GOOD], "prompt": "2 + 2?"},
            "S11",
            "does not start with the prompt",
        ),
        ({"chosen": ASKED, "rejected": [*ASKED, BAD]}, "S02", "chosen: the last turn is not an answer"),
        ({**ASK, "chosen": [message("tool", "2")]}, "S01", "the role 'tool' is unknown"),
        ({**ASK, "chosen": [GOOD, GOOD]}, "S03", "chosen: turn 3 is the assistant's again"),
    ],
)
def test_invalid_rows_have_an_error(row: Row, code: str, text: str) -> None:
    pair, error = parse_pair(row)
    assert pair is None
    assert error is not None and error.code == code
    assert text in error.message


def test_errors_have_a_place_and_empty_answers_can_be_dropped(checked: Check) -> None:
    rows = [ASK, {**ASK, "chosen": " "}, {**ASK, "rejected": "2"}, {**ASK, "prompt": "2 + 0?"}]
    _, errors, _ = checked(rows)
    assert sorted((p.code, p.place) for p in errors) == [("S05", "train.jsonl:2"), ("S10", "train.jsonl:3")]
    corpus_after, errors, notes = checked([rows[0], rows[1], rows[3]], empty_text="drop")
    assert errors == []
    assert "train: 1 row dropped (empty turn)" in notes
    assert list(corpus_after.splits["train"].columns["prompt"]) == ["1 + 1?", "2 + 0?"]


def test_columns_may_have_other_names(checked: Check) -> None:
    row = {"question": "1 + 1?", "good": "2", "bad": "3"}
    corpus_after, errors, _ = checked(
        [row], columns={"prompt": "question", "chosen": "good", "rejected": "bad"}
    )
    assert errors == []
    assert list(corpus_after.splits["train"].columns["messages"]) == [[message("user", "1 + 1?")]]


@pytest.mark.shared
def test_all_rows_of_the_sample_sets_are_valid(shared: Path) -> None:
    counts = {"hh_rlhf_harmless": 296 + 42 + 87, "dpo_zh": 91 + 10 + 12}
    for name, count in counts.items():
        files = sorted((shared / "preference" / name).glob("*.jsonl"))
        rows = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
        parsed = [parse_pair(row) for row in rows]
        assert len(parsed) == count
        assert all(error is None for _, error in parsed)
        assert all(pair.turns[-1]["role"] == "user" for pair, _ in parsed if pair)
