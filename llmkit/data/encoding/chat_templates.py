"""Conversations as token ids by a tokenizer's chat template, with what of them is to be learned told exactly.

    template = of(tokenizer)
    template.read(messages[:-1])     # ids of the prompt, and labels: the earlier answers, IGNORED elsewhere
    template.write(messages)         # ids of the last answer, with the token that ends it

The rendered text is cut at the borders of the answers, and each piece is tokenized by itself: no token lies across a
border, in training as when the model answers. Where the template has no `{% generation %}` marks, the borders are
found by rendering the first turns alone, which must be how the whole begins. transformers renders templates in a
sandbox that can't change anything (ImmutableSandboxedEnvironment).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llmkit.base.errors import ModelError, RecipeError
from llmkit.data.checks.conversations import Message
from llmkit.data.encoding.collate import IGNORED
from llmkit.data.encoding.encode import Features, count_tokens

__all__ = ["DEFAULT", "Template", "encoded", "of"]

MARKED = re.compile(r"{%-?\s*generation\s*-?%}")
# For tokenizers without a template: plain words, since their vocabulary has no tokens for turns.
DEFAULT = (
    "{% for message in messages %}"
    "{{ message['role'] | capitalize }}:\n{{ message['content'] | trim }}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}\n\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)

Span = tuple[int, int]  # characters of a rendered text


@dataclass(frozen=True)
class Template:
    """A tokenizer's chat template. end: the id that ends an answer. own: llmkit's, as the tokenizer had none."""

    tokenizer: Any
    end: int
    own: bool

    @property
    def digest(self) -> str:
        """SHA-256 of the template's text."""
        return hashlib.sha256(self.tokenizer.chat_template.encode()).hexdigest()

    def render(self, messages: Sequence[Message], *, asking: bool = False) -> str:
        """The text of these turns; asking: up to where an answer begins. Raises ModelError S03 where it refuses."""
        return self._rendered(messages, asking)[0]

    def read(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """Ids of the turns up to where the next answer begins, and labels: the answers' ids, IGNORED elsewhere."""
        text, spans = self._asked(messages)
        borders = [0, *(border for span in spans for border in span), len(text)]
        ids: list[int] = []
        labels: list[int] = []
        for number, (start, stop) in enumerate(pairwise(borders)):
            piece = self._ids(text[start:stop])
            ids += piece
            labels += piece if number % 2 else [IGNORED] * len(piece)
        return ids, labels

    def write(self, messages: Sequence[Message]) -> list[int]:
        """Ids of the last turn, an answer, with the token that ends it."""
        prompt, whole = self.render(messages[:-1], asking=True), self.render(messages)
        if not whole.startswith(prompt):
            raise _misfit(
                messages, "writes the turns before an answer in another way than when it is asked for one"
            )
        ids = self._ids(self._closed(whole[len(prompt) :]))
        return ids if ids[-1:] == [self.end] else [*ids, self.end]

    def _asked(self, messages: Sequence[Message]) -> tuple[str, list[Span]]:
        text, marked = self._rendered(messages, True)
        answers = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
        if MARKED.search(self.tokenizer.chat_template):
            if len(marked) != len(answers):
                raise _misfit(messages, f"marks {len(marked)} of {len(answers)} answers as generated")
            return text, marked
        return text, [self._span(text, messages, number) for number in answers]

    def _span(self, text: str, messages: Sequence[Message], number: int) -> Span:
        """Where the answer with this number stands in the text."""
        before = self.render(messages[:number], asking=True)
        after = self.render(messages[: number + 1])
        if not (after.startswith(before) and text.startswith(after)):
            raise _misfit(
                messages, "writes a turn in another way once others follow, so it can't be told apart"
            )
        return len(before), len(before) + len(self._closed(after[len(before) :]))

    def _closed(self, turn: str) -> str:
        """An answer's turn up to the token that ends it; all of it but space where the template has none."""
        closing = self.tokenizer.convert_ids_to_tokens(self.end)
        at = turn.rfind(closing)
        return turn[: at + len(closing)] if at >= 0 else turn.rstrip()

    def _rendered(self, messages: Sequence[Message], asking: bool) -> tuple[str, list[Span]]:
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        text = self.tokenizer.chat_template
        try:
            rendered: Any = render_jinja_template(
                [list(messages)],
                chat_template=text,
                add_generation_prompt=asking,
                return_assistant_tokens_mask=bool(MARKED.search(text)),
                **self.tokenizer.special_tokens_map,
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise _misfit(messages, f"refuses it: {error}") from error
        (found, *_), spans = rendered
        return found, spans[0] if spans else []

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids


def of(tokenizer: Any) -> Template:
    """The tokenizer's template, or DEFAULT, which it then keeps.

    Raises ModelError: S03 where the template can't write a plain conversation, S06 where there are several templates.
    """
    own = not tokenizer.chat_template
    if own:
        begins = tokenizer.bos_token_id is not None and tokenizer("")["input_ids"][:1] == [
            tokenizer.bos_token_id
        ]
        tokenizer.chat_template = "{{ bos_token }}" * begins + DEFAULT
    if not isinstance(tokenizer.chat_template, str):
        message = f"the tokenizer has several chat templates ({', '.join(tokenizer.chat_template)})"
        raise ModelError("S06", "model.name", message, "keep one as the tokenizer's chat_template")
    probe = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    template = Template(tokenizer, _end(tokenizer, probe), own)
    template.read([*probe, probe[0]])
    template.write(probe)
    return template


def _end(tokenizer: Any, probe: Sequence[Message]) -> int:
    """The special token behind an answer; the tokenizer's end token where the template writes none."""
    turn = Template(tokenizer, tokenizer.eos_token_id, own=False).render(probe).rpartition("b")[2]
    special = set(tokenizer.all_special_ids)
    found = tokenizer(turn, add_special_tokens=False)["input_ids"]
    return int(next((token for token in found if token in special), tokenizer.eos_token_id))


def encoded(
    template: Template,
    conversations: Sequence[Sequence[Message]],
    *,
    answered: bool,
    max_length: int,
    max_new_tokens: int,
    truncation: bool,
    called: str = "answers",
) -> Features:
    """`input_ids`: all turns before the last answer; where answered, their `labels` and the answer as `targets`.

    A prompt of more than max_length less max_new_tokens loses its first turns, then the end of its question; an answer
    of more than max_new_tokens its end: counted in the notes, without truncation only named. Raises RecipeError C09
    where no prompt has room. called: what the last answers are called.
    """
    room = max_length - max_new_tokens
    if room < 1:
        message = f"leaves no room for a prompt beside {max_new_tokens} new tokens"
        raise RecipeError("C09", "train.max_length", message, "raise it, or lower task.max_new_tokens")
    tokenizer, prompts = template.tokenizer, [turns[:-1] if answered else turns for turns in conversations]
    read = [template.read(turns) for turns in prompts]
    lengths = [len(ids) for ids, _ in read]
    long = [number for number, length in enumerate(lengths) if length > room]
    for number in long:
        read[number] = _shortened(template, prompts[number], room)
    columns = {"input_ids": [ids for ids, _ in read]}
    counts = count_tokens(tokenizer, columns["input_ids"], lengths, room)
    notes = {f"conversations cut to {room} tokens, first turns first": len(long)}
    too_long, most, setting = long, ("prompts", room), "train.max_length"
    if answered:
        columns["labels"] = [labels for _, labels in read]
        written = [template.write(turns) for turns in conversations]
        over = [number for number, ids in enumerate(written) if len(ids) > max_new_tokens]
        columns["targets"] = [ids[:max_new_tokens] for ids in written]
        counts += count_tokens(tokenizer, columns["targets"], list(map(len, written)), max_new_tokens)
        notes[f"{called} cut to {max_new_tokens} tokens"] = len(over)
        if over and not long:
            too_long, most, setting = over, (called, max_new_tokens), "task.max_new_tokens"
    notes["conversations with special tokens of the tokenizer in their texts"] = _with_special(
        tokenizer, conversations
    )
    notes["conversations in llmkit's own chat template (the tokenizer has none)"] = template.own * len(read)
    said = {what: count for what, count in notes.items() if count}
    return Features(columns, counts, () if truncation else tuple(too_long), most, notes=said, setting=setting)


def _shortened(template: Template, turns: Sequence[Message], room: int) -> tuple[list[int], list[int]]:
    """Without as many of the first questions and answers as need be; of a single question without its end."""
    head, rest = (turns[:1], turns[1:]) if turns[0]["role"] == "system" else ([], turns)
    while len(rest) > 1:
        rest = rest[2:]
        found = template.read([*head, *rest])
        if len(found[0]) <= room:
            return found
    question = rest[0]["content"]
    fits, over = 0, len(question)  # characters of it: so many fit, so many don't
    while over - fits > 1:
        half = (fits + over) // 2
        cut = [*head, {"role": "user", "content": question[:half]}]
        fits, over = (half, over) if len(template.read(cut)[0]) <= room else (fits, half)
    if not fits:
        message = f"leaves {room} tokens for a prompt, of which the words around a question need more"
        raise RecipeError("C09", "train.max_length", message, "raise it")
    return template.read([*head, {"role": "user", "content": question[:fits]}])


def _with_special(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> int:
    """Such a text would end its own turn and begin another (S08)."""
    special = [token for token in tokenizer.all_special_tokens if token.strip()]
    return sum(
        any(token in message["content"] for message in turns for token in special) for turns in conversations
    )


def _misfit(messages: Sequence[Message], why: str) -> ModelError:
    begins = next((m["content"] for m in messages if m["role"] != "system"), "")[:40]
    message = f'the chat template and the conversation that begins "{begins}": it {why}'
    return ModelError("S03", "model.name", message, "use a checkpoint whose template takes such turns")
