"""`llmkit tokenizer train | show`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_train_then_show(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("To be,\nor not to be\n", encoding="utf-8")
    asked = ("tokenizer", "train", "--data", "a.txt", "--kind", "characters", "--vocab-size", "50")
    done = command(*asked, "--out", "made")
    assert done.code == 0
    assert "T | o |   | b | e | , | \\n" in done.out
    assert "0.000% of the tokens" in done.out
    shown = command("tokenizer", "show", "made", "--text", "to\n?")
    assert [line.split()[-1] for line in shown.out.splitlines()[2:]] == ["t", "o", "\\n", "?"]
    found = command(*asked, "--out", "again", "--json").json
    assert found["tokens"] == found["characters"] == 20
    assert found["sample"][0] == {"id": found["sample"][0]["id"], "name": "T", "text": "T"}
    tokens = command("tokenizer", "show", "made", "--text", "be", "--json").json["tokens"]
    assert [token["text"] for token in tokens] == ["b", "e"]


def test_mistakes_are_one_line(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("To be\n", encoding="utf-8")
    few = command("tokenizer", "train", "--data", "a.txt", "--vocab-size", "9", "--out", "made")
    assert (few.code, len(few.err.splitlines())) == (2, 2)  # the note that it is learning stands before
    assert "at least 258" in few.err
    unknown = command(
        "tokenizer", "train", "--data", "a.txt", "--vocab-size", "9", "--out", "made", "--kind", "x"
    )
    assert unknown.code == 2
    assert "error[U01]" in unknown.err
    assert command("tokenizer", "show", "nowhere", "--text", "a").code == 2
