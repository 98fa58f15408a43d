"""Learning a vocabulary from files, and cutting a text with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from llmkit.base.errors import DataError, RecipeError
from llmkit.commands.tokenizer import show, train


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"source": "ab ab", "target": "cd cd", "other": "xyz"}] * 3
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_all_texts_of_all_files_are_read(pairs: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("efg\n\nh", encoding="utf-8")
    out = tmp_path / "made"
    measured, sample = train([str(pairs), str(plain)], "characters", 99, out)
    assert (measured.texts, measured.characters, measured.unknown) == (9, 36, 0)
    known = set(AutoTokenizer.from_pretrained(out).get_vocab())
    assert {*"abcdefgh \n"} <= known
    assert not known & {*"xyz"}
    assert [token.text for token in sample] == [*"ab ab"]


def test_a_named_column_is_read_alone(pairs: Path, tmp_path: Path) -> None:
    train([str(pairs)], "characters", 99, tmp_path / "made", columns=["other"])
    assert [token.name for token in show(str(tmp_path / "made"), "xa")] == ["x", "<|unk|>"]


def test_tokens_tell_their_part_of_the_text(pairs: Path, tmp_path: Path) -> None:
    train([str(pairs)], "wordpiece", 30, tmp_path / "made")
    tokens = show(str(tmp_path / "made"), "ab  cd")
    assert [(token.name, token.text) for token in tokens] == [
        ("[CLS]", ""),
        ("ab", "ab"),
        ("cd", "cd"),
        ("[SEP]", ""),
    ]


def test_mistakes_are_told_and_leave_nothing(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    with pytest.raises(DataError, match=r"L02\].*pairs.jsonl:1: no column txt .*has source, target, other"):
        train([str(pairs)], "bpe", 300, out, columns=["txt"])
    with pytest.raises(DataError, match="F01"):
        train([str(tmp_path / "none.txt")], "bpe", 300, out)
    assert not out.exists()
    out.mkdir()
    with pytest.raises(RecipeError, match=r"R04\].*already exists"):
        train([str(pairs)], "bpe", 300, out)
