"""`llmkit chat` in a pseudo-terminal, with Ctrl-C and Ctrl-D, and with lines from a pipe."""

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
    """A tiny Llama that never generates its end token, with enough positions for long texts."""
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
    """`llmkit` in a pseudo-terminal."""

    def __init__(self, *arguments: str) -> None:
        self.output = ""
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [sys.executable, "-m", "llmkit", *arguments])

    def wait_for(self, text: str, *, more: int = 0, pressing: str = "") -> None:
        """Read the output until it contains the text, then drop the output up to the end of the text.

        Args:
            text: The text to wait for.
            more: Number of characters to wait for after the text.
            pressing: A key to press every second. Python's readline loses a Ctrl-C that arrives just before it waits
                for keys.
        """
        end = time.monotonic() + PATIENCE
        while len(self.output.partition(text)[2]) < more or text not in self.output:
            if time.monotonic() > end:
                raise TimeoutError(f"{text!r} was not printed: {self.output!r}")
            self.type(pressing)
            if select.select([self.screen], [], [], 1)[0]:
                self.output += os.read(self.screen, 4096).decode(errors="replace")
        self.output = self.output.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_terminal_conversation_handles_ctrl_c_reset_and_ctrl_d(endless: Path) -> None:
    terminal = Terminal("chat", str(endless), "--max-new-tokens", "50000")
    terminal.wait_for("Ctrl-C stops an answer")
    terminal.wait_for("> ")
    terminal.type("good film\n")
    terminal.wait_for("good film", more=40)  # the echo of the question, then the answer
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


def test_piped_lines_are_answered_without_prompts(
    command: Any, tiny_gpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("good film\n\n/reset\ngood film\n/exit\nnever\n"))
    outcome = command("chat", tiny_gpt, "--max-new-tokens", "6")
    assert outcome.code == 0
    first, second = outcome.out.splitlines()
    assert first == second
    assert len(first.split()) > 1
    assert "new conversation" in outcome.err
    assert ">" not in outcome.out


def test_sampled_answers_depend_on_the_seed(
    command: Any, tiny_gpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = []
    for seed in ("1", "1", "2"):
        monkeypatch.setattr(sys, "stdin", io.StringIO("good film"))
        outputs.append(
            command("chat", tiny_gpt, "--max-new-tokens", "8", "--temperature", "2", "--seed", seed).out
        )
    assert outputs[0] == outputs[1] != outputs[2]


def test_usage_errors_are_one_line(command: Any, tiny_gpt: Path) -> None:
    outcome = command("chat", tiny_gpt, "--temperature", "-1")
    assert outcome.code == 2
    assert outcome.err.startswith("error[U01]")
