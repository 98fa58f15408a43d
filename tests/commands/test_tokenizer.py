"""Train a tokenizer on files, and tokenize a text with it."""

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


def test_texts_of_all_files_and_columns_are_read(pairs: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("efg\n\nh", encoding="utf-8")
    out = tmp_path / "trained"
    measured, sample = train([str(pairs), str(plain)], "characters", 99, out)
    assert (measured.texts, measured.characters, measured.unknown) == (9, 36, 0)
    vocabulary = set(AutoTokenizer.from_pretrained(out).get_vocab())
    assert {*"abcdefgh \n"} <= vocabulary
    assert not vocabulary & {*"xyz"}
    assert [token.text for token in sample] == [*"ab ab"]


def test_only_the_named_column_is_read(pairs: Path, tmp_path: Path) -> None:
    train([str(pairs)], "characters", 99, tmp_path / "trained", columns=["other"])
    assert [token.name for token in show(str(tmp_path / "trained"), "xa")] == ["x", "<|unk|>"]


def test_tokens_have_their_characters(pairs: Path, tmp_path: Path) -> None:
    train([str(pairs)], "wordpiece", 30, tmp_path / "trained")
    tokens = show(str(tmp_path / "trained"), "ab  cd")
    assert [(token.name, token.text) for token in tokens] == [
        ("[CLS]", ""),
        ("ab", "ab"),
        ("cd", "cd"),
        ("[SEP]", ""),
    ]


def test_errors_leave_no_output_folder(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "trained"
    with pytest.raises(DataError, match=r"L02\].*pairs.jsonl:1: no column txt .*has source, target, other"):
        train([str(pairs)], "bpe", 300, out, columns=["txt"])
    with pytest.raises(DataError, match="F01"):
        train([str(tmp_path / "none.txt")], "bpe", 300, out)
    assert not out.exists()
    out.mkdir()
    with pytest.raises(RecipeError, match=r"R04\].*already exists"):
        train([str(pairs)], "bpe", 300, out)
