"""`llmkit tokenizer train | show`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_trained_tokenizer_can_be_shown(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("To be,\nor not to be\n", encoding="utf-8")
    arguments = ("tokenizer", "train", "--data", "a.txt", "--kind", "characters", "--vocab-size", "50")
    outcome = command(*arguments, "--out", "trained")
    assert outcome.code == 0
    assert "T | o |   | b | e | , | \\n" in outcome.out
    assert "0.000% of the tokens" in outcome.out
    shown = command("tokenizer", "show", "trained", "--text", "to\n?")
    assert [line.split()[-1] for line in shown.out.splitlines()[2:]] == ["t", "o", "\\n", "?"]
    statistics = command(*arguments, "--out", "again", "--json").json
    assert statistics["tokens"] == statistics["characters"] == 20
    assert statistics["sample"][0] == {"id": statistics["sample"][0]["id"], "name": "T", "text": "T"}
    tokens = command("tokenizer", "show", "trained", "--text", "be", "--json").json["tokens"]
    assert [token["text"] for token in tokens] == ["b", "e"]


def test_usage_errors_are_reported(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("To be\n", encoding="utf-8")
    few = command("tokenizer", "train", "--data", "a.txt", "--vocab-size", "9", "--out", "trained")
    assert (few.code, len(few.err.splitlines())) == (2, 2)  # the first line is the progress note
    assert "at least 258" in few.err
    unknown = command(
        "tokenizer", "train", "--data", "a.txt", "--vocab-size", "9", "--out", "trained", "--kind", "x"
    )
    assert unknown.code == 2
    assert "error[U01]" in unknown.err
    assert command("tokenizer", "show", "nowhere", "--text", "a").code == 2
