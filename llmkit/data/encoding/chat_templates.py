"""Encode conversations with a tokenizer's chat template, and label exactly the assistant's tokens.

    template = load_template(tokenizer)
    template.encode_prompt(messages[:-1])   # ids up to the next answer, and labels: earlier answers, IGNORED elsewhere
    template.encode_answer(messages)        # ids of the last answer, with the token that ends it

The rendered text is split at the start and end of each answer, and each piece is tokenized alone. So no token spans a
border, neither in training nor when the model answers. In templates without `{% generation %}` marks, the borders are
found by rendering the first turns alone, which must give the beginning of the whole text. transformers renders
templates in a sandbox without side effects (ImmutableSandboxedEnvironment).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import ModelError, RecipeError
from llmkit.data.checks.conversations import Message
from llmkit.data.encoding.collate import IGNORED
from llmkit.data.encoding.encode import count_tokens
from llmkit.data.encoding.features import Features, Limit

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["DEFAULT", "ChatTemplate", "encode_conversations", "load_template"]

GENERATION_MARK = re.compile(r"{%-?\s*generation\s*-?%}")
# For tokenizers without a template. It marks turns with plain words, because their vocabulary has no tokens for turns.
DEFAULT = (
    "{% for message in messages %}"
    "{{ message['role'] | capitalize }}:\n{{ message['content'] | trim }}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}\n\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)

Span = tuple[int, int]  # start and end of an answer in a rendered text, in characters


@dataclass(frozen=True)
class ChatTemplate:
    """The chat template of a tokenizer.

    Attributes:
        tokenizer: The tokenizer; its `chat_template` is a single template.
        end_token_id: The id of the token that ends an answer.
        is_default: The tokenizer had no template and uses DEFAULT.
    """

    tokenizer: PreTrainedTokenizerBase
    end_token_id: int
    is_default: bool

    @property
    def digest(self) -> str:
        """SHA-256 of the template's source."""
        return hashlib.sha256(self.tokenizer.chat_template.encode()).hexdigest()

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """Render the turns as text, with the beginning of the next answer if `add_generation_prompt`.

        Raises:
            ModelError: S03 when the template refuses these turns.
        """
        return self._render(messages, add_generation_prompt)[0]

    def encode_prompt(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """Encode turns up to the beginning of the next answer.

        Returns:
            The token ids, and the labels: the ids of the assistant's earlier answers, IGNORED elsewhere.

        Raises:
            ModelError: S03 when the template does not fit these turns.
        """
        text, spans = self._find_answers(messages)
        borders = [0, *(border for span in spans for border in span), len(text)]
        ids: list[int] = []
        labels: list[int] = []
        for number, (start, stop) in enumerate(pairwise(borders)):
            piece = self._tokenize(text[start:stop])
            ids += piece
            labels += piece if number % 2 else [IGNORED] * len(piece)
        return ids, labels

    def encode_answer(self, messages: Sequence[Message]) -> list[int]:
        """Encode the last turn, an answer, with the token that ends it.

        Raises:
            ModelError: S03 when the template does not fit these turns.
        """
        prompt, whole = self.render(messages[:-1], add_generation_prompt=True), self.render(messages)
        if not whole.startswith(prompt):
            raise _misfit(messages, "renders the turns before an answer differently once the answer follows")
        ids = self._tokenize(self._close(whole[len(prompt) :]))
        return ids if ids[-1:] == [self.end_token_id] else [*ids, self.end_token_id]

    def _find_answers(self, messages: Sequence[Message]) -> tuple[str, list[Span]]:
        """Render the turns up to the next answer, and find the answers in the text."""
        text, marked = self._render(messages, add_generation_prompt=True)
        answers = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
        if GENERATION_MARK.search(self.tokenizer.chat_template):
            if len(marked) != len(answers):
                raise _misfit(messages, f"marks {len(marked)} of {len(answers)} answers as generated")
            return text, marked
        spans = []
        for number in answers:
            before = self.render(messages[:number], add_generation_prompt=True)
            after = self.render(messages[: number + 1])
            if not (after.startswith(before) and text.startswith(after)):
                reason = "renders a turn differently once others follow, so the answers cannot be located"
                raise _misfit(messages, reason)
            spans.append((len(before), len(before) + len(self._close(after[len(before) :]))))
        return text, spans

    def _close(self, turn: str) -> str:
        """Cut an answer's turn after its end token, or remove trailing white space if there is no end token."""
        end_token = str(self.tokenizer.convert_ids_to_tokens(self.end_token_id))
        at = turn.rfind(end_token)
        return turn[: at + len(end_token)] if at >= 0 else turn.rstrip()

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool) -> tuple[str, list[Span]]:
        """Render the turns; return the text and the spans that the template marks as generated."""
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        template = str(self.tokenizer.chat_template)
        special_tokens: dict[str, Any] = dict(self.tokenizer.special_tokens_map)
        try:
            rendered: Any = render_jinja_template(
                [list(messages)],
                chat_template=template,
                add_generation_prompt=add_generation_prompt,
                return_assistant_tokens_mask=bool(GENERATION_MARK.search(template)),
                **special_tokens,
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise _misfit(messages, f"raises an error: {error}") from error
        (text, *_), spans = rendered
        return text, spans[0] if spans else []

    def _tokenize(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids


def load_template(tokenizer: PreTrainedTokenizerBase) -> ChatTemplate:
    """Load the tokenizer's chat template; a tokenizer without one gets DEFAULT and keeps it.

    Raises:
        ModelError: S03 when the template cannot render a plain conversation; S06 when there are several templates.
    """
    is_default = not tokenizer.chat_template
    if is_default:
        adds_bos = tokenizer.bos_token_id is not None and tokenizer("")["input_ids"][:1] == [
            tokenizer.bos_token_id
        ]
        tokenizer.chat_template = "{{ bos_token }}" * adds_bos + DEFAULT
    if not isinstance(tokenizer.chat_template, str):
        message = f"the tokenizer has several chat templates ({', '.join(tokenizer.chat_template)})"
        raise ModelError("S06", "model.name", message, "keep one of them as the tokenizer's chat_template")
    probe = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    template = ChatTemplate(tokenizer, _find_end_token(tokenizer, probe), is_default)
    template.encode_prompt([*probe, probe[0]])
    template.encode_answer(probe)
    return template


def _find_end_token(tokenizer: PreTrainedTokenizerBase, probe: Sequence[Message]) -> int:
    """Return the special token that follows an answer, or the tokenizer's end token if the template writes none."""
    template = ChatTemplate(tokenizer, tokenizer.eos_token_id, is_default=False)
    after_answer = template.render(probe).rpartition("b")[2]
    special = set(tokenizer.all_special_ids)
    ids = tokenizer(after_answer, add_special_tokens=False)["input_ids"]
    return int(next((token for token in ids if token in special), tokenizer.eos_token_id))


def encode_conversations(
    template: ChatTemplate,
    conversations: Sequence[Sequence[Message]],
    *,
    with_answers: bool,
    max_length: int,
    max_new_tokens: int,
    truncation: bool,
    answer_name: str = "answers",
) -> Features:
    """Encode conversations: `input_ids` for all turns before the last answer, `targets` for the last answer.

    A prompt of more than `max_length - max_new_tokens` tokens loses its first turns, then the end of its question. An
    answer of more than max_new_tokens loses its end. Both are counted in the notes.

    Args:
        template: The chat template of the model's tokenizer.
        conversations: The messages of each conversation.
        with_answers: Each conversation ends with an answer to learn; adds the columns `labels` (the assistant's tokens
            in the prompt) and `targets`. Otherwise each conversation is a prompt.
        max_length: The largest number of tokens of a prompt and its answer.
        max_new_tokens: The largest number of tokens of an answer.
        truncation: Truncate what is too long; otherwise list it in `too_long`.
        answer_name: What the last answers are called in notes and errors.

    Raises:
        RecipeError: C09 when max_length leaves no tokens for a prompt.
    """
    prompt_length = max_length - max_new_tokens
    if prompt_length < 1:
        message = f"leaves no tokens for a prompt beside {max_new_tokens} new tokens"
        raise RecipeError("C09", "train.max_length", message, "raise it, or lower task.max_new_tokens")
    tokenizer = template.tokenizer
    prompts = [turns[:-1] if with_answers else turns for turns in conversations]
    encoded = [template.encode_prompt(turns) for turns in prompts]
    lengths = [len(ids) for ids, _ in encoded]
    too_long = [number for number, length in enumerate(lengths) if length > prompt_length]
    for number in too_long:
        encoded[number] = _shorten_prompt(template, prompts[number], prompt_length)
    columns = {"input_ids": [ids for ids, _ in encoded]}
    counts = count_tokens(tokenizer, columns["input_ids"], lengths, prompt_length)
    notes = {f"conversations truncated to {prompt_length} tokens, first turns first": len(too_long)}
    limit = Limit("prompts", prompt_length)
    if with_answers:
        columns["labels"] = [labels for _, labels in encoded]
        answers = [template.encode_answer(turns) for turns in conversations]
        long_answers = [number for number, ids in enumerate(answers) if len(ids) > max_new_tokens]
        columns["targets"] = [ids[:max_new_tokens] for ids in answers]
        counts += count_tokens(tokenizer, columns["targets"], list(map(len, answers)), max_new_tokens)
        notes[f"{answer_name} truncated to {max_new_tokens} tokens"] = len(long_answers)
        if long_answers and not too_long:
            too_long, limit = long_answers, Limit(answer_name, max_new_tokens, "task.max_new_tokens")
    # A special token inside a text would end its turn and begin another one (S08).
    special = [token for token in tokenizer.all_special_tokens if token.strip()]
    notes["conversations with special tokens of the tokenizer in their texts"] = sum(
        any(token in message["content"] for message in turns for token in special) for turns in conversations
    )
    if template.is_default:
        notes["conversations in llmkit's default chat template (the tokenizer has none)"] = len(conversations)
    return Features(
        columns,
        counts,
        () if truncation else tuple(too_long),
        limit,
        notes={note: count for note, count in notes.items() if count},
    )


def _shorten_prompt(
    template: ChatTemplate, turns: Sequence[Message], max_length: int
) -> tuple[list[int], list[int]]:
    """Drop the first questions and answers until the prompt fits; truncate the end of the last question if need be."""
    head, rest = (turns[:1], turns[1:]) if turns[0]["role"] == "system" else ([], turns)
    while len(rest) > 1:
        rest = rest[2:]
        encoded = template.encode_prompt([*head, *rest])
        if len(encoded[0]) <= max_length:
            return encoded
    question = rest[0]["content"]
    fits, too_many = 0, len(question)  # characters of the question: binary search for the most that fit
    while too_many - fits > 1:
        half = (fits + too_many) // 2
        shorter = [*head, {"role": "user", "content": question[:half]}]
        if len(template.encode_prompt(shorter)[0]) <= max_length:
            fits = half
        else:
            too_many = half
    if not fits:
        message = f"leaves {max_length} tokens for a prompt, fewer than the words around a question need"
        raise RecipeError("C09", "train.max_length", message, "raise it")
    return template.encode_prompt([*head, {"role": "user", "content": question[:fits]}])


def _misfit(messages: Sequence[Message], reason: str) -> ModelError:
    start = next((m["content"] for m in messages if m["role"] != "system"), "")[:40]
    message = f'the chat template does not fit the conversation that begins "{start}": it {reason}'
    return ModelError("S03", "model.name", message, "use a checkpoint whose template accepts such turns")
