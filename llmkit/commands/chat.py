"""Hold a conversation with a model: keep its turns and stream its answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import ModelError
from llmkit.base.progress import SILENT, Progress
from llmkit.inference.trained_model import TrainedModel, open_model

if TYPE_CHECKING:
    import torch

    from llmkit.data.checks.conversations import Message

__all__ = ["Dialogue", "decode_stream", "start"]


@dataclass
class Dialogue:
    """A conversation in progress. The chat template adds the system message by itself.

    Attributes:
        opened: The model, its tokenizer and its task.
        temperature: Sampling temperature; 0 takes the most probable token.
        generator: Random generator for sampling.
        turns: Messages so far, without the system message.
        notes: What was truncated from the last prompt.
    """

    opened: TrainedModel
    temperature: float
    generator: torch.Generator
    turns: list[Message] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def ask(self, question: str) -> Generator[str]:
        """Add a question and stream the answer in pieces.

        The conversation keeps the part of an interrupted answer that was generated. If there is none, the question is
        removed too.
        """
        self.turns.append({"role": "user", "content": question})
        answer = ""
        try:
            for piece in self._generate():
                answer += piece
                yield piece
        finally:
            if answer.strip():
                self.turns.append({"role": "assistant", "content": answer.strip()})
            else:
                self.turns.pop()

    def reset(self) -> None:
        """Start a new conversation."""
        self.turns.clear()

    def _generate(self) -> Generator[str]:
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
            generator=self.generator,
        )
        return decode_stream(tokens, lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True)))


def decode_stream(tokens: Iterable[int], decode: Callable[[list[int]], str]) -> Generator[str]:
    """Decode tokens as they arrive. The cost of a piece does not grow with the length of the text.

    A token's text depends on the token before it (a space, the rest of a word), so both are decoded together. A piece
    that ends inside a character waits for the tokens that complete it.
    """
    previous: list[int] = []
    new: list[int] = []
    for token in tokens:
        new.append(token)
        prefix, text = decode(previous), decode(previous + new)
        if len(text) > len(prefix) and not text.endswith("\ufffd"):
            yield text[len(prefix) :]
            previous, new = new, []


def start(
    target: str,
    *,
    system: str | None = None,
    max_new_tokens: int | None = None,
    temperature: float = 0.0,
    seed: int = 1,
    progress: Progress = SILENT,
) -> Dialogue:
    """Open a model and start a conversation with it.

    Args:
        target: A chat run, or any GPT-type model with a tokenizer.
        system: System message; None keeps the one used in training.
        max_new_tokens: Maximum length of an answer in tokens; None keeps the value used in training.
        temperature: Sampling temperature; 0 takes the most probable token.
        seed: Random seed for sampling.
        progress: Receives messages while the model loads.

    Raises:
        ModelError: M11 for a run of another task, and the errors of `open_model`.
    """
    import torch

    from llmkit.tasks.chat import NAME, Chat

    opened = open_model(target, progress, task=NAME)
    task = opened.task
    if not isinstance(task, Chat):
        message = "was not trained to chat"
        raise ModelError("M11", target, message, "use `llmkit predict`")
    changes = {"system": system, "max_new_tokens": max_new_tokens}
    options = task.options.model_copy(update={name: v for name, v in changes.items() if v is not None})
    generator = torch.Generator().manual_seed(seed)
    return Dialogue(replace(opened, task=replace(task, options=options)), temperature, generator)
