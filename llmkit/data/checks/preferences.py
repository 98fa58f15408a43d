"""Pairs of answers, of which one was preferred, from rows of any usual form.

    parse_pair({"prompt": "1 + 1?", "chosen": "2", "rejected": "3"})
        -> (PreferencePair([{"role": "user", "content": "1 + 1?"}], "2", "3", "texts"), None)

chosen and rejected are answers to the prompt (or to the turns in `conversations`), or whole conversations that are the
same up to their last turn. Each is a text, a turn, or a list of turns; a text of "Human:" and "Assistant:" is turns
too, as HH-RLHF writes them (Bai et al. 2022).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail
from llmkit.data.checks.columns import with_columns
from llmkit.data.checks.conversations import MESSAGES, ROLES, Message, join_turns, parse_conversation
from llmkit.data.checks.row_errors import Fault, collect_errors
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.recipe.schema import Data

__all__ = ["SIDES", "PreferencePair", "check_pairs", "parse_pair"]

SIDES = ("chosen", "rejected")
READ = ("prompt", "conversations", "system", *SIDES)  # columns, where they are there
MARK = re.compile(r"(?:^|\n\n)(Human|Assistant):")
TEXTS, MARKED, LISTED, SHAREGPT = "texts", "texts of Human and Assistant", "messages", "ShareGPT"

Turn = tuple[Any, Any]  # role, text


@dataclass(frozen=True)
class PreferencePair:
    """A conversation up to its last question, the preferred answer to it and the other one; form: how it is written."""

    turns: list[Message]
    chosen: str
    rejected: str
    form: str = ""


def check_pairs(corpus: Corpus, data: Data) -> tuple[Corpus, list[ErrorDetail], list[str]]:
    """All rows as pairs to learn from: L02, L03, S01, S02, S03, S05, and S10, S11 of `pair`.

    Returns the corpus with the columns `messages` (the turns before the answers), `prompt` (the same as one text),
    `chosen` and `rejected` (texts); the problems; and notes. Rows with an empty turn are dropped where
    data.empty_text=drop.
    """
    parts, problems, notes = dict(corpus.splits), list[ErrorDetail](), list[str]()
    empty: dict[str, NDArray[np.bool_]] = {}
    for name, part in corpus.splits.items():
        read = [parse_pair(row) for row in _rows(part)]
        forms = Counter(found.form for found, _ in read if found)
        notes += [
            f"{name}: {format_row_count(count)} of pairs written as {form}" for form, count in forms.items()
        ]
        faults = [fault for _, fault in read]
        empty[name] = np.array([fault is not None and fault[0] in ("L03", "S05") for fault in faults], bool)
        if data.empty_text == "drop" and empty[name].any() and not empty[name].all():
            notes.append(f"{name}: {format_row_count(int(empty[name].sum()))} dropped, an empty turn")
            faults = [None if gone else fault for fault, gone in zip(faults, empty[name], strict=True)]
        problems += collect_errors((part.place(row), fault) for row, fault in enumerate(faults) if fault)
        parts[name] = _with_pairs(part, [found for found, _ in read])
    if problems:
        return corpus, problems, notes
    return replace(corpus, splits=parts).drop_rows(empty), [], notes


def parse_pair(row: Mapping[str, Any]) -> tuple[PreferencePair | None, Fault | None]:
    """What a row holds, and what is wrong with it, if anything is.

    S10: both answers are the same. S11: they are no answers to the same turns.
    """
    before, form = _turns(row.get("conversations") or row.get("prompt"), "user")
    if before and before[-1] == ("assistant", ""):
        before.pop()  # "Assistant:" at the end of a prompt asks for the answer
    both: list[list[Message]] = []
    for side in SIDES:
        own, written = _turns(row.get(side), "assistant")
        form = form if written == TEXTS else written
        found, fault = _whole(before, own, row.get("system"))
        if fault:
            code, message, fix = fault
            return None, (code, f"{side}: {message}", fix)
        both.append(found)
    (*turns, chosen), (*others, rejected) = both
    if turns != others:
        message = "chosen and rejected go on from different turns"
        return None, ("S11", message, "let both answer the same conversation, or leave the row out")
    if chosen["content"].strip() == rejected["content"].strip():
        return None, ("S10", "chosen and rejected are the same answer", "leave the row out")
    return PreferencePair(turns, chosen["content"], rejected["content"], form), None


def _turns(value: Any, role: str) -> tuple[list[Turn], str]:
    """The turns of a column and how they are written; role: of a text that is a single turn."""
    if isinstance(value, str):
        before, *marked = MARK.split(value.strip())
        if not before and "Assistant" in marked[::2]:  # an answer alone may begin with "Human:", and some do
            texts = [text.strip() for text in marked[1::2]]
            return list(zip(map(str.lower, marked[::2]), texts, strict=True)), MARKED
        return [(role, value)], TEXTS
    listed = [value] if isinstance(value, Mapping) else value
    if isinstance(listed, list | tuple) and listed and all(isinstance(turn, Mapping) for turn in listed):
        if any(turn.get("from") is not None for turn in listed):
            return [(turn.get("from"), turn.get("value")) for turn in listed], SHAREGPT
        return [(turn.get("role"), turn.get("content")) for turn in listed], LISTED
    return ([], TEXTS) if value is None and role == "user" else ([(role, value)], TEXTS)


def _whole(before: list[Turn], own: list[Turn], system: Any) -> tuple[list[Message], Fault | None]:
    """The conversation up to and with an answer; own: that answer, or the conversation itself."""
    begun = not _is_answer(own[0])
    if not begun and not before:
        return [], ("S11", "is an answer to nothing", "name its column, e.g. data.columns.prompt=question")
    turns = [{"role": role, "content": text} for role, text in (own if begun else [*before, *own])]
    found, fault = parse_conversation({"messages": turns, "system": system}, MESSAGES)
    if fault:
        return [], fault
    if found[-1]["role"] != "assistant":
        return [], ("S02", "the last turn is no answer", "let it end with an answer")
    said = [message["content"] for message in found if message["role"] != "system"]
    asked = [text for role, text in before if role != "system"]
    if said[: len(asked)] != asked:
        message = "is a conversation that begins in another way than the prompt"
        return [], ("S11", message, "leave one of them out")
    return found, None


def _is_answer(turn: Turn) -> bool:
    role, _ = turn
    return isinstance(role, str) and ROLES.get(role) == "assistant"


def _rows(part: Split) -> Iterator[dict[str, Any]]:
    known = part.columns
    names = [name for name in READ if name in known]
    return (dict(zip(names, values, strict=True)) for values in zip(*(known[name] for name in names)))


def _with_pairs(part: Split, pairs: Sequence[PreferencePair | None]) -> Split:
    """The part with the columns that `check_pairs` names; blank ones where a row is no pair."""
    import pyarrow as pa

    form = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
    kept = [found or PreferencePair([], "", "") for found in pairs]
    columns = {
        "messages": pa.array([found.turns for found in kept], form),
        "prompt": pa.array([join_turns(found.turns) if found.turns else "" for found in kept], pa.string()),
        "chosen": pa.array([found.chosen for found in kept], pa.string()),
        "rejected": pa.array([found.rejected for found in kept], pa.string()),
    }
    return with_columns(part, columns)
