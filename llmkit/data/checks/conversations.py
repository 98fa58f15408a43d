"""Conversations from rows of any usual form: messages, ShareGPT, Alpaca, prompt and completion.

    parse_conversation({"instruction": "Add.", "input": "1 + 1", "output": "2"}, ALPACA)
        -> ([{"role": "user", "content": "Add.\\n\\n1 + 1"}, {"role": "assistant", "content": "2"}], None)

The form is told by the columns. A conversation may begin with a system message; then user and assistant take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llmkit.base.errors import ErrorDetail, some
from llmkit.data.checks.columns import with_columns
from llmkit.data.checks.row_errors import Fault, collect_errors
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.recipe.schema import Data

__all__ = [
    "ALPACA",
    "COLUMNS",
    "COMPLETION",
    "MESSAGES",
    "ROLES",
    "SHAREGPT",
    "ConversationFormat",
    "Message",
    "check_conversations",
    "join_turns",
    "parse_conversation",
]

Message = dict[str, str]  # role and content
ROLES = {
    **{role: role for role in ("system", "user", "assistant")},
    "human": "user",  # and these in ShareGPT's files
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
COLUMNS = ("messages", "conversations", "instruction", "input", "output", "prompt", "completion", "system")


@dataclass(frozen=True)
class ConversationFormat:
    """A way to write a conversation: its name, the columns that tell it, and how a row is read."""

    name: str
    needs: tuple[str, ...]
    turns: Callable[
        [Mapping[str, Any]], Any
    ]  # a row -> [(role, text), ...] or, when it is none, what is there


def _listed(column: str, role: str, text: str) -> Callable[[Mapping[str, Any]], Any]:
    def turns(row: Mapping[str, Any]) -> Any:
        found = row[column]
        if not isinstance(found, list | tuple) or not all(isinstance(turn, Mapping) for turn in found):
            return found
        return [(turn.get(role), turn.get(text)) for turn in found]

    return turns


def _alpaca(row: Mapping[str, Any]) -> Any:
    asked, about = row["instruction"], row.get("input")
    if isinstance(asked, str) and isinstance(about, str) and about.strip():
        asked = f"{asked}\n\n{about}"
    return [("user", asked), ("assistant", row["output"])]


def _completion(row: Mapping[str, Any]) -> Any:
    return [("user", row["prompt"]), ("assistant", row["completion"])]


MESSAGES = ConversationFormat("messages", ("messages",), _listed("messages", "role", "content"))
SHAREGPT = ConversationFormat("ShareGPT", ("conversations",), _listed("conversations", "from", "value"))
ALPACA = ConversationFormat("Alpaca", ("instruction", "output"), _alpaca)
COMPLETION = ConversationFormat("prompt and completion", ("prompt", "completion"), _completion)
FORMS = (MESSAGES, SHAREGPT, ALPACA, COMPLETION)


def check_conversations(corpus: Corpus, data: Data) -> tuple[Corpus, list[ErrorDetail], list[str]]:
    """All rows as conversations that a model can learn from: L01, L02, L03, S01, S02, S03, S05.

    Returns the corpus with the columns `messages` (up to the last answer), `prompt` (the turns before that answer as
    one text) and `answer`; the problems; and notes. Empty texts are dropped where data.empty_text=drop.
    """
    parts, problems, notes = dict(corpus.splits), list[ErrorDetail](), list[str]()
    empty: dict[str, Any] = {}
    for name, part in corpus.splits.items():
        form = next((form for form in FORMS if all(need in part.columns for need in form.needs)), None)
        if form is None:
            problems.append(_no_form(part))
            continue
        notes.append(f"{name}: conversations written as {form.name}")
        read = [parse_conversation(row, form) for row in _rows(part, form)]
        faults = [fault for _, fault in read]
        empty[name] = np.array([fault is not None and fault[0] in ("L03", "S05") for fault in faults], bool)
        if data.empty_text == "drop" and empty[name].any() and not empty[name].all():
            notes.append(f"{name}: {format_row_count(int(empty[name].sum()))} dropped, an empty turn")
            faults = [None if gone else fault for fault, gone in zip(faults, empty[name], strict=True)]
        problems += collect_errors((part.place(row), fault) for row, fault in enumerate(faults) if fault)
        parts[name], unanswered = _written(part, [turns for turns, _ in read])
        if unanswered:
            notes.append(
                f"{name}: {format_row_count(unanswered)} whose last question has no answer; it is left out"
            )
    if problems:
        return corpus, problems, notes
    return replace(corpus, splits=parts).drop_rows(empty), [], notes


def parse_conversation(
    row: Mapping[str, Any], form: ConversationFormat
) -> tuple[list[Message], Fault | None]:
    """The messages of a row, and what is wrong with them, if anything is."""
    turns = form.turns(row)
    if not isinstance(turns, list) or not turns:
        message = f'"{form.needs[0]}" is {_short(turns)}, not a list of turns'
        return [], ("S01", message, 'write a list such as [{"role": "user", "content": "..."}, ...]')
    if isinstance(row.get("system"), str) and row["system"].strip() and turns[0][0] != "system":
        turns = [("system", row["system"]), *turns]
    fault = next(_faults(turns), None)
    if fault:
        return [], fault
    return [{"role": ROLES[role], "content": text} for role, text in turns], None


def join_turns(messages: Sequence[Message]) -> str:
    """Turns as one text: a single question as it is, else each behind its role."""
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n".join(f"{message['role'].capitalize()}: {message['content']}" for message in messages)


def _faults(turns: Sequence[tuple[Any, Any]]) -> Iterator[Fault]:
    for number, (role, text) in enumerate(turns, 1):
        if not isinstance(role, str) or role not in ROLES:
            known = 'use "system", "user" and "assistant"'
            yield "S01", f"turn {number}: the role {_short(role)} is unknown", known
        elif not isinstance(text, str):
            yield "L02", f"turn {number} ({role}): {_short(text)} is no text", "write a text there"
        elif not text.strip():
            code, who = ("S05", "answer") if ROLES[role] == "assistant" else ("L03", f"text of the {role}")
            fix = "fill it in, or set data.empty_text=drop"
            yield code, f"turn {number}: the {who} is empty or blank", fix
    roles = [ROLES.get(role) if isinstance(role, str) else None for role, _ in turns]
    yield from _out_of_order(roles)
    if "assistant" not in roles:
        yield "S02", "no turn is the assistant's, so there is nothing to learn", "add an answer"


def _out_of_order(roles: Sequence[str | None]) -> Iterator[Fault]:
    """S03: [system] user assistant user assistant ... is the only order that all chat templates take."""
    fix = "let user and assistant take turns, behind at most one system message"
    first = 1 if roles[0] == "system" else 0
    for number, role in enumerate(roles[first:]):
        expected = ("user", "assistant")[number % 2]
        if role != expected:
            place = first + number + 1
            again = " again" if place > 1 and roles[place - 2] == role else ""
            yield "S03", f"turn {place} is the {role}'s{again}, where the {expected}'s belongs", fix


def _written(part: Split, conversations: Sequence[list[Message]]) -> tuple[Split, int]:
    """The part with the columns that `check_conversations` names, and how many rows end without an answer."""
    import pyarrow as pa

    form = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
    whole = [turns[:-1] if turns and turns[-1]["role"] == "user" else turns for turns in conversations]
    columns = {
        "messages": pa.array(whole, form),
        "prompt": pa.array([join_turns(turns[:-1]) if turns else "" for turns in whole], pa.string()),
        "answer": pa.array([turns[-1]["content"] if turns else "" for turns in whole], pa.string()),
    }
    unanswered = sum(len(short) < len(turns) for short, turns in zip(whole, conversations, strict=True))
    return with_columns(part, columns), unanswered


def _rows(part: Split, form: ConversationFormat) -> Iterator[dict[str, Any]]:
    known = part.columns
    names = [name for name in dict.fromkeys((*form.needs, "input", "system")) if name in known]
    return (dict(zip(names, values, strict=True)) for values in zip(*(known[name] for name in names)))


def _no_form(part: Split) -> ErrorDetail:
    there = f"columns there: {some(sorted(part.columns), 10)}"
    wanted = "; ".join(" and ".join(form.needs) for form in FORMS)
    fix = f"name the columns, e.g. data.columns.messages=NAME; one of: {wanted}"
    return ErrorDetail("L01", part.files[0], f"no columns of conversations ({there})", fix)


def _short(value: object) -> str:
    return "missing" if value is None else repr(value)[:40]
