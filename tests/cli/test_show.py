"""Progress on a terminal and elsewhere, tables, scores, JSON."""

from __future__ import annotations

import json
import os
import pty
import re
import struct
import sys
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest

from llmkit.base import processes
from llmkit.cli import show

# Progress messages as `finetune` sends them, slow enough for the bars to be drawn (ten times a second).
WORK = """
import time
from llmkit.cli import show
with show.progress() as progress:
    progress.note("loading a model [bold]")
    for step in range(1, 9):
        progress.advance("training", step, 8, "steps", f"loss {1 / step:.4f}  45 examples/s")
        time.sleep(0.15)
print("the result")
"""
CONTROL = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")


def run_on_terminal(code: str, columns: int, out: Path) -> str:
    """Run code in a pseudo-terminal and return its stderr without control codes; stdout goes to a file."""
    child, terminal = pty.fork()
    if child == 0:
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT), 1)
        os.execve(sys.executable, [sys.executable, "-c", code], {**os.environ, "TERM": "xterm"})
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    pieces = []
    while piece := _read(terminal):
        pieces.append(piece)
    assert os.waitpid(child, 0)[1] == 0
    os.close(terminal)
    return CONTROL.sub(b"", b"".join(pieces)).decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # raised on Linux when the other side is closed
        return b""


def test_terminal_shows_bar_amount_time_left_and_loss(tmp_path: Path) -> None:
    shown = run_on_terminal(WORK, 80, tmp_path / "out")
    drawn = [line for line in re.split(r"[\r\n]+", shown) if line.startswith("training")]
    assert "loading a model [bold]" in shown
    assert any(
        re.fullmatch(r"training +[━╸╺]+ +[4-7]/8 steps +00:0[0-9] left +loss 0\.\d{4}  45 examples/s *", line)
        for line in drawn
    ), drawn
    assert max(map(len, drawn)) <= 80


def test_results_go_to_stdout_while_bars_are_on_the_terminal(tmp_path: Path) -> None:
    code = 'from llmkit.cli import show\nwith show.progress():\n    show.print_json({"a": 1})\n'
    shown = run_on_terminal(code, 80, tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") == '{"a": 1}\n'
    assert '"a"' not in shown


def test_only_notes_are_printed_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with show.progress() as progress:
        progress.note("loading")
        progress.advance("training", 1, 2, "steps")
    assert capsys.readouterr() == ("", "loading\n")


def test_other_processes_print_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "get_rank", lambda: 1)
    with show.progress() as progress:
        progress.note("loading")
    assert capsys.readouterr() == ("", "")


def test_table_aligns_text_left_and_numbers_right(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        ["loss", "0.5", "1,024", "[-0.1, +0.2]", "7"],
        ["accuracy", "0.25 [0.1, 0.4]", "8", "", "Wilson 95%"],
        ["f1", "", "12", "[0, 1]", "3.11.2"],
    ]
    show.table("a title", ["score", "value", "n", "interval", "method"], rows)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "a title",
        "score                value       n       interval   method",
        "loss                   0.5   1,024   [-0.1, +0.2]   7",
        "accuracy   0.25 [0.1, 0.4]       8                  Wilson 95%",
        "f1                              12         [0, 1]   3.11.2",
    ]


def test_piped_table_does_not_wrap_and_has_no_empty_header(capsys: pytest.CaptureFixture[str]) -> None:
    text = "many words " * 12
    show.table("", ["", ""], [["a", text.strip()]])
    assert capsys.readouterr().out.splitlines() == [f"a   {text.strip()}"]


def test_markup_in_a_cell_is_printed_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    show.table("runs/[red]a", ["run"], [["[bold]b[/bold]"]])
    assert capsys.readouterr().out.split() == ["runs/[red]a", "run", "[bold]b[/bold]"]


@pytest.mark.parametrize(
    ("score", "text"),
    [
        ({"value": 0.8617, "low": 0.84, "high": 0.882}, "0.862 [0.840, 0.882]"),
        ({"value": 0.5, "low": None, "high": None}, "0.500"),
        (None, ""),
    ],
)
def test_score_is_shown_with_its_interval(score: dict[str, float | None] | None, text: str) -> None:
    assert show.score_text(score) == text


def test_json_is_one_line_without_nan(capsys: pytest.CaptureFixture[str]) -> None:
    show.print_json({"text": "好\n"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"text": "好\n"}
    assert out.count("\n") == 1
    with pytest.raises(ValueError, match="Out of range"):
        show.print_json({"loss": float("nan")})
