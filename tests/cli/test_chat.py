"""`llmkit chat` as a person meets it: in a terminal, with Ctrl-C and Ctrl-D, and with lines from a pipe."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

PATIENCE = 240.0  # seconds; the machine may be busy


@pytest.fixture(scope="module")
def endless(tiny_gpt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama with room for long texts, which it never ends."""
    folder = Path(shutil.copytree(tiny_gpt, tmp_path_factory.mktemp("endless") / "model"))
    for name, key in (
        ("config.json", "max_position_embeddings"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**settings, key: 100_000}))
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight[model.config.eos_token_id] = 0
    model.save_pretrained(folder)
    return folder


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.said = ""
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [sys.executable, "-m", "llmkit", *arguments])

    def wait_for(self, text: str, *, more: int = 0, pressing: str = "") -> None:
        """Read on until the text has come, and so many characters behind it; then forget all up to there.

        pressing: a key that is pressed again each second, as a person would. Python's readline loses a Ctrl-C
        that comes in the instant before it begins to wait for keys.
        """
        end = time.monotonic() + PATIENCE
        while len(self.said.partition(text)[2]) < more or text not in self.said:
            if time.monotonic() > end:
                raise TimeoutError(f"{text!r} did not come: {self.said!r}")
            self.type(pressing)
            if select.select([self.screen], [], [], 1)[0]:
                self.said += os.read(self.screen, 4096).decode(errors="replace")
        self.said = self.said.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_conversation_in_a_terminal(endless: Path) -> None:
    terminal = Terminal("chat", str(endless), "--max-new-tokens", "50000")
    terminal.wait_for("Ctrl-C stops an answer")
    terminal.wait_for("> ")
    terminal.type("good film\n")
    terminal.wait_for("good film", more=40)  # what was typed is echoed, then the answer comes
    terminal.type("\x03")
    terminal.wait_for("(stopped)")
    terminal.wait_for("> ")
    terminal.type("half a line")
    terminal.wait_for("half a line")
    terminal.wait_for("Ctrl-D quits", pressing="\x03")
    terminal.wait_for("> ")
    terminal.type("/reset\n")
    terminal.wait_for("new conversation")
    terminal.wait_for("> ")
    terminal.type("\x04")
    assert terminal.code() == 0


def test_lines_from_a_pipe(command: Any, tiny_gpt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("good film\n\n/reset\ngood film\n/exit\nnever\n"))
    done = command("chat", tiny_gpt, "--max-new-tokens", "6")
    assert done.code == 0
    first, second = done.out.splitlines()
    assert first == second
    assert len(first.split()) > 1
    assert "new conversation" in done.err
    assert ">" not in done.out


def test_draws_differ_by_seed(command: Any, tiny_gpt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    for seed in ("1", "1", "2"):
        monkeypatch.setattr(sys, "stdin", io.StringIO("good film"))
        said.append(
            command("chat", tiny_gpt, "--max-new-tokens", "8", "--temperature", "2", "--seed", seed).out
        )
    assert said[0] == said[1] != said[2]


def test_mistakes_are_one_line(command: Any, tiny_gpt: Path) -> None:
    done = command("chat", tiny_gpt, "--temperature", "-1")
    assert done.code == 2
    assert done.err.startswith("error[U01]")
