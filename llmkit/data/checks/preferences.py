"""Parse and check preference pairs, a prompt with a chosen and a rejected answer, in the usual formats.

    parse_pair({"prompt": "1 + 1?", "chosen": "2", "rejected": "3"})
        -> (PreferencePair([{"role": "user", "content": "1 + 1?"}], "2", "3", "texts"), None)

chosen and rejected are answers to the prompt (or to the turns in `conversations`), or whole conversations that are
equal up to their last turn. Each of them is a text, a turn, or a list of turns. A text of "Human:" and "Assistant:"
is a list of turns too, as in HH-RLHF (Bai et al. 2022).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail
from llmkit.data.checks.columns import iter_rows, message_array, string_array, with_columns
from llmkit.data.checks.conversations import MESSAGES, ROLES, Message, join_turns, parse_conversation
from llmkit.data.checks.row_errors import Checked, RowError, collect_errors, mask_empty_rows
from llmkit.data.corpus import Corpus, format_row_count
from llmkit.recipe.schema import Data

__all__ = ["SIDES", "PreferencePair", "check_pairs", "parse_pair"]

SIDES = ("chosen", "rejected")
COLUMNS = ("prompt", "conversations", "system", *SIDES)  # read if present
MARK = re.compile(r"(?:^|\n\n)(Human|Assistant):")
TEXTS, MARKED, LISTED, SHAREGPT = "plain text", "Human/Assistant", "messages", "ShareGPT"

Turn = tuple[Any, Any]  # role and text, as written in the row


@dataclass(frozen=True)
class PreferencePair:
    """A preference pair.

    Attributes:
        turns: The conversation up to its last question.
        chosen: The preferred answer.
        rejected: The other answer.
        format: How the row is written, for notes.
    """

    turns: list[Message]
    chosen: str
    rejected: str
    format: str = ""


def check_pairs(corpus: Corpus, data: Data) -> Checked:
    """Parse all rows as preference pairs: L02, L03, S01, S02, S03, S05, and S10, S11 of `parse_pair`.

    The corpus gets the columns `messages` (the turns before the answers), `prompt` (the same as one text), `chosen` and
    `rejected` (texts). With data.empty_text=drop, rows with an empty turn are dropped.
    """
    splits, errors, notes = dict(corpus.splits), list[ErrorDetail](), list[str]()
    dropped: dict[str, NDArray[np.bool_]] = {}
    for name, split in corpus.splits.items():
        parsed = [parse_pair(row) for row in iter_rows(split, COLUMNS)]
        formats = Counter(pair.format for pair, _ in parsed if pair)
        notes += [
            f"{name}: {format_row_count(count)} of pairs in {label} format"
            for label, count in formats.items()
        ]
        dropped[name] = mask_empty_rows([error for _, error in parsed], data)
        if dropped[name].any():
            notes.append(f"{name}: {format_row_count(int(dropped[name].sum()))} dropped (empty turn)")
        errors += collect_errors(
            (split.place(row), error)
            for row, (_, error) in enumerate(parsed)
            if error and not dropped[name][row]
        )
        # Rows with an error get blank columns; they are dropped, or their errors are raised.
        pairs = [pair or PreferencePair([], "", "") for pair, _ in parsed]
        prompts = [join_turns(pair.turns) if pair.turns else "" for pair in pairs]
        columns = {
            "messages": message_array([pair.turns for pair in pairs]),
            "prompt": string_array(prompts),
            "chosen": string_array([pair.chosen for pair in pairs]),
            "rejected": string_array([pair.rejected for pair in pairs]),
        }
        splits[name] = with_columns(split, columns)
    if errors:
        return Checked(corpus, errors, notes)
    return Checked(replace(corpus, splits=splits).drop_rows(dropped), [], notes)


def parse_pair(row: Mapping[str, Any]) -> tuple[PreferencePair | None, RowError | None]:
    """Return the pair of a row and None, or None and the first error.

    S10: both answers are the same. S11: they do not answer the same turns.
    """
    before, row_format = _read_turns(row.get("conversations") or row.get("prompt"), "user")
    if before and before[-1] == ("assistant", ""):
        before.pop()  # "Assistant:" at the end of a prompt asks for the answer
    conversations: list[list[Message]] = []
    for side in SIDES:
        turns, side_format = _read_turns(row.get(side), "assistant")
        row_format = row_format if side_format == TEXTS else side_format
        messages, error = _join_with_prompt(before, turns, row.get("system"))
        if error:
            return None, error._replace(message=f"{side}: {error.message}")
        conversations.append(messages)
    (*turns_of_chosen, chosen), (*turns_of_rejected, rejected) = conversations
    if turns_of_chosen != turns_of_rejected:
        message = "chosen and rejected follow different turns"
        return None, RowError("S11", message, "let both answer the same conversation, or remove the row")
    if chosen["content"].strip() == rejected["content"].strip():
        return None, RowError("S10", "chosen and rejected are the same answer", "remove the row")
    return PreferencePair(turns_of_chosen, chosen["content"], rejected["content"], row_format), None


def _read_turns(value: Any, role: str) -> tuple[list[Turn], str]:
    """Return the turns of a column and their format; `role` is that of a text that is a single turn."""
    if isinstance(value, str):
        before, *marked = MARK.split(value.strip())
        if not before and "Assistant" in marked[::2]:  # a single answer may start with "Human:", and some do
            texts = [text.strip() for text in marked[1::2]]
            return list(zip(map(str.lower, marked[::2]), texts, strict=True)), MARKED
        return [(role, value)], TEXTS
    turns = [value] if isinstance(value, Mapping) else value
    if isinstance(turns, list | tuple) and turns and all(isinstance(turn, Mapping) for turn in turns):
        if any(turn.get("from") is not None for turn in turns):
            return [(turn.get("from"), turn.get("value")) for turn in turns], SHAREGPT
        return [(turn.get("role"), turn.get("content")) for turn in turns], LISTED
    return ([], TEXTS) if value is None and role == "user" else ([(role, value)], TEXTS)


def _join_with_prompt(
    before: list[Turn], turns: list[Turn], system: Any
) -> tuple[list[Message], RowError | None]:
    """Return the conversation up to and including an answer.

    Args:
        before: The turns of the prompt.
        turns: The answer alone, or the whole conversation.
        system: The system message of the row, if any.
    """
    first_role, _ = turns[0]
    is_answer_alone = isinstance(first_role, str) and ROLES.get(first_role) == "assistant"
    if is_answer_alone and not before:
        fix = "name the column of the prompt, e.g. data.columns.prompt=question"
        return [], RowError("S11", "is an answer without a prompt", fix)
    whole = [*before, *turns] if is_answer_alone else turns
    row = {"messages": [{"role": role, "content": text} for role, text in whole], "system": system}
    messages, error = parse_conversation(row, MESSAGES)
    if error:
        return [], error
    if messages[-1]["role"] != "assistant":
        return [], RowError("S02", "the last turn is not an answer", "let it end with an answer")
    texts = [message["content"] for message in messages if message["role"] != "system"]
    prompt = [text for role, text in before if role != "system"]
    if texts[: len(prompt)] != prompt:
        message = "is a conversation that does not start with the prompt"
        return [], RowError("S11", message, "remove the prompt, or the conversation before the answer")
    return messages, None
