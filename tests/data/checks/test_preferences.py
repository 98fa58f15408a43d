"""Pairs of answers from rows: every usual form gives the same pair, faults have their places."""

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


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


ASKED = [said("user", "1 + 1?"), said("assistant", "Why?"), said("user", "I forgot.")]
GOOD, BAD = said("assistant", "2"), said("assistant", "3")
HUMAN = "\n\nHuman: 1 + 1?\n\nAssistant: Why?\n\nHuman: I forgot.\n\nAssistant:"
SHAREGPT = [{"from": "human", "value": "1 + 1?"}, gpt("Why?"), {"from": "human", "value": "I forgot."}]


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """check_pairs on rows of a file train.jsonl."""
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
    ("row", "form"),
    [
        ({"prompt": ASKED, "chosen": [GOOD], "rejected": [BAD]}, "messages"),
        ({"prompt": ASKED, "chosen": "2", "rejected": "3"}, "messages"),
        ({"chosen": [*ASKED, GOOD], "rejected": [*ASKED, BAD]}, "messages"),
        ({"prompt": "1 + 1?", "chosen": [*ASKED, GOOD], "rejected": [*ASKED, BAD]}, "messages"),
        ({"conversations": SHAREGPT, "chosen": gpt("2"), "rejected": gpt("3")}, "ShareGPT"),
        ({"prompt": HUMAN, "chosen": "2", "rejected": "3"}, "texts of Human and Assistant"),
        ({"prompt": HUMAN.strip(), "chosen": "2", "rejected": "3"}, "texts of Human and Assistant"),
        ({"chosen": HUMAN + " 2", "rejected": HUMAN + " 3"}, "texts of Human and Assistant"),
    ],
)
def test_the_forms_give_the_same_pair(row: Row, form: str, checked: Check) -> None:
    assert parse_pair(row) == (PreferencePair(ASKED, "2", "3", form), None)
    found, problems, notes = checked([row])
    assert problems == []
    assert notes == [f"train: 1 row of pairs written as {form}"]
    columns = found.splits["train"].columns
    assert list(columns["messages"]) == [ASKED]
    assert [columns[name][0] for name in ("prompt", "chosen", "rejected")] == [join_turns(ASKED), "2", "3"]


def test_plain_texts_and_a_system_message() -> None:
    row = {"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}
    assert parse_pair(row) == (PreferencePair([said("user", "1 + 1?")], "2", "3", "texts"), None)
    system = [said("system", "Count."), said("user", "1 + 1?")]
    assert parse_pair({**row, "system": "Count."}) == (PreferencePair(system, "2", "3", "texts"), None)
    assert parse_pair({"chosen": [*system, GOOD], "rejected": [*system, BAD]})[0] == PreferencePair(
        system, "2", "3", "messages"
    )


def test_an_answer_that_begins_with_human_is_an_answer() -> None:
    """Some of HH-RLHF do."""
    found, fault = parse_pair(
        {"prompt": "Human: 1 + 1?\n\nAssistant:", "chosen": "Human: 2", "rejected": "3"}
    )
    assert fault is None
    assert found is not None and (found.turns, found.chosen) == ([said("user", "1 + 1?")], "Human: 2")


ASK = {"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}


@pytest.mark.parametrize(
    ("row", "code", "text"),
    [
        ({**ASK, "rejected": " 2\n"}, "S10", "the same answer"),
        ({**ASK, "rejected": "  "}, "S05", "rejected: turn 2: the answer is empty"),
        ({**ASK, "chosen": ""}, "S05", "chosen: turn 2: the answer is empty"),
        ({**ASK, "prompt": " "}, "L03", "the text of the user is empty"),
        ({**ASK, "chosen": None}, "L02", "chosen: turn 2 (assistant): missing is no text"),
        ({"chosen": "2", "rejected": "3"}, "S11", "an answer to nothing"),
        ({"chosen": [*ASKED, GOOD], "rejected": [*ASKED[:1], BAD]}, "S11", "different turns"),
        (
            {**ASK, "chosen": [*ASKED, GOOD], "prompt": "2 + 2?"},
            "S11",
            "begins in another way than the prompt",
        ),
        ({"chosen": ASKED, "rejected": [*ASKED, BAD]}, "S02", "chosen: the last turn is no answer"),
        ({**ASK, "chosen": [said("tool", "2")]}, "S01", "the role 'tool' is unknown"),
        ({**ASK, "chosen": [GOOD, GOOD]}, "S03", "chosen: turn 3 is the assistant's again"),
    ],
)
def test_faults_are_told(row: Row, code: str, text: str) -> None:
    found, fault = parse_pair(row)
    assert found is None
    assert fault is not None and fault[0] == code
    assert text in fault[1]


def test_faults_have_their_places_and_empty_answers_may_go(checked: Check) -> None:
    rows = [ASK, {**ASK, "chosen": " "}, {**ASK, "rejected": "2"}, {**ASK, "prompt": "2 + 0?"}]
    _, problems, _ = checked(rows)
    assert sorted((p.code, p.place) for p in problems) == [("S05", "train.jsonl:2"), ("S10", "train.jsonl:3")]
    found, problems, notes = checked([rows[0], rows[1], rows[3]], empty_text="drop")
    assert problems == []
    assert "train: 1 row dropped, an empty turn" in notes
    assert list(found.splits["train"].columns["prompt"]) == ["1 + 1?", "2 + 0?"]


def test_other_names_of_columns(checked: Check) -> None:
    row = {"question": "1 + 1?", "good": "2", "bad": "3"}
    found, problems, _ = checked([row], columns={"prompt": "question", "chosen": "good", "rejected": "bad"})
    assert problems == []
    assert list(found.splits["train"].columns["messages"]) == [[said("user", "1 + 1?")]]


@pytest.mark.shared
def test_the_sample_sets_are_read_whole(shared: Path) -> None:
    counts = {"hh_rlhf_harmless": 296 + 42 + 87, "dpo_zh": 91 + 10 + 12}
    for name, count in counts.items():
        files = sorted((shared / "preference" / name).glob("*.jsonl"))
        rows = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
        found = [parse_pair(row) for row in rows]
        assert len(found) == count
        assert all(fault is None for _, fault in found)
        assert all(one.turns[-1]["role"] == "user" for one, _ in found if one)
