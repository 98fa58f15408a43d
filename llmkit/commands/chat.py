"""A conversation with a model: its turns so far, and answers that come piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import ModelError
from llmkit.base.progress import SILENT, Progress
from llmkit.inference.trained_model import Opened, open_model

if TYPE_CHECKING:
    from llmkit.data.checks.conversations import Message

__all__ = ["Dialogue", "pieces", "start"]


@dataclass
class Dialogue:
    """The model, how it answers, and what was said; a system message comes before all by itself."""

    opened: Opened
    temperature: float
    draws: Any  # torch.Generator
    turns: list[Message] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was cut of the last prompt

    def ask(self, question: str) -> Generator[str]:
        """Pieces of the answer. One that is broken off stays as far as it came; without a word its question goes."""
        self.turns.append({"role": "user", "content": question})
        said = ""
        try:
            for piece in self._pieces():
                said += piece
                yield piece
        finally:
            if said.strip():
                self.turns.append({"role": "assistant", "content": said.strip()})
            else:
                self.turns.pop()

    def reset(self) -> None:
        """As if nothing had been said."""
        self.turns.clear()

    def _pieces(self) -> Generator[str]:
        from llmkit.engine.generation.stream import stream_tokens

        task: Any = self.opened.task
        tokenizer, options = self.opened.tokenizer, task.options
        features = task.encode(
            {"prompt": [self.turns]}, {}, tokenizer, max_length=self.opened.train.max_length, truncation=True
        )
        self.notes = list(features.notes)
        tokens = stream_tokens(
            self.opened.model,
            features.columns["input_ids"][0],
            end=task.template.end_token_id,
            pad=tokenizer.pad_token_id,
            max_new_tokens=options.max_new_tokens,
            temperature=self.temperature,
            generator=self.draws,
        )
        return pieces(tokens, lambda ids: tokenizer.decode(ids, skip_special_tokens=True))


def pieces(tokens: Iterable[int], decode: Callable[[list[int]], str]) -> Generator[str]:
    """The text of these tokens as they come; each piece costs the same, however long the text is by then.

    A token's text depends on the one before it (a space, the rest of a word), so they are decoded together. A piece
    that ends in half a character waits for its other tokens.
    """
    before: list[int] = []
    new: list[int] = []
    for token in tokens:
        new.append(token)
        known, text = decode(before), decode(before + new)
        if len(text) > len(known) and not text.endswith("\ufffd"):
            yield text[len(known) :]
            before, new = new, []


def start(
    target: str,
    *,
    system: str | None = None,
    max_new_tokens: int | None = None,
    temperature: float = 0.0,
    seed: int = 1,
    progress: Progress = SILENT,
) -> Dialogue:
    """Open a model to talk to. target: a run of chat, or any GPT type model with a tokenizer.

    What is None is as in training. Raises ModelError M11 for a run of another task, and as `open_model`.
    """
    import torch

    from llmkit.tasks.chat import Chat

    opened = open_model(target, progress, task="chat")
    task = opened.task
    if not isinstance(task, Chat):
        message = "was not trained to chat"
        raise ModelError("M11", target, message, "ask it with `llmkit predict`")
    given = {"system": system, "max_new_tokens": max_new_tokens}
    options = task.options.model_copy(update={name: v for name, v in given.items() if v is not None})
    draws = torch.Generator().manual_seed(seed)
    return Dialogue(replace(opened, task=replace(task, options=options)), temperature, draws)
