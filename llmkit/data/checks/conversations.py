"""Parse and check conversations in the usual formats: messages, ShareGPT, Alpaca, prompt and completion.

    parse_conversation({"instruction": "Add.", "input": "1 + 1", "output": "2"}, ALPACA)
        -> ([{"role": "user", "content": "Add.\\n\\n1 + 1"}, {"role": "assistant", "content": "2"}], None)

The columns tell the format. A conversation may start with a system message; then user and assistant take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail, shorten_list
from llmkit.data.checks.columns import iter_rows, message_array, string_array, with_columns
from llmkit.data.checks.row_errors import Checked, RowError, collect_errors, mask_empty_rows
from llmkit.data.corpus import Corpus, format_row_count
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
Turn = tuple[Any, Any]  # role and text, as written in the row
ROLES = {
    **{role: role for role in ("system", "user", "assistant")},
    "human": "user",  # this and the following: in ShareGPT files
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
COLUMNS = ("messages", "conversations", "instruction", "input", "output", "prompt", "completion", "system")


@dataclass(frozen=True)
class ConversationFormat:
    """A way to write a conversation as a row.

    Attributes:
        name: The name, for notes.
        columns: The columns that identify the format.
        read_turns: Returns the turns of a row, or the value found instead if it is not a list of objects.
    """

    name: str
    columns: tuple[str, ...]
    read_turns: Callable[[Mapping[str, Any]], Any]


def _read_list(column: str, role: str, text: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that reads the turns from a list of objects, by the names of their role and text."""

    def read_turns(row: Mapping[str, Any]) -> Any:
        value = row[column]
        if not isinstance(value, list | tuple) or not all(isinstance(turn, Mapping) for turn in value):
            return value
        return [(turn.get(role), turn.get(text)) for turn in value]

    return read_turns


def _read_alpaca(row: Mapping[str, Any]) -> list[Turn]:
    instruction, context = row["instruction"], row.get("input")
    if isinstance(instruction, str) and isinstance(context, str) and context.strip():
        instruction = f"{instruction}\n\n{context}"
    return [("user", instruction), ("assistant", row["output"])]


MESSAGES = ConversationFormat("messages", ("messages",), _read_list("messages", "role", "content"))
SHAREGPT = ConversationFormat("ShareGPT", ("conversations",), _read_list("conversations", "from", "value"))
ALPACA = ConversationFormat("Alpaca", ("instruction", "output"), _read_alpaca)
COMPLETION = ConversationFormat(
    "prompt and completion",
    ("prompt", "completion"),
    lambda row: [("user", row["prompt"]), ("assistant", row["completion"])],
)
FORMATS = (MESSAGES, SHAREGPT, ALPACA, COMPLETION)


def check_conversations(corpus: Corpus, data: Data) -> Checked:
    """Parse all rows as conversations with an answer to learn: L01, L02, L03, S01, S02, S03, S05.

    The corpus gets the columns `messages` (up to the last answer), `prompt` (the turns before that answer as one text)
    and `answer`. With data.empty_text=drop, rows with an empty turn are dropped.
    """
    splits, errors, notes = dict(corpus.splits), list[ErrorDetail](), list[str]()
    dropped: dict[str, NDArray[np.bool_]] = {}
    for name, split in corpus.splits.items():
        matches = (f for f in FORMATS if all(column in split.columns for column in f.columns))
        conversation_format = next(matches, None)
        if conversation_format is None:
            message = f"no columns of conversations (columns in the file: {shorten_list(sorted(split.columns), 10)})"
            formats = "; ".join(" and ".join(f.columns) for f in FORMATS)
            fix = f"name the columns, e.g. data.columns.messages=NAME; one of: {formats}"
            errors.append(ErrorDetail("L01", split.files[0], message, fix))
            continue
        notes.append(f"{name}: conversations in {conversation_format.name} format")
        rows = iter_rows(split, dict.fromkeys((*conversation_format.columns, "input", "system")))
        parsed = [parse_conversation(row, conversation_format) for row in rows]
        dropped[name] = mask_empty_rows([error for _, error in parsed], data)
        if dropped[name].any():
            notes.append(f"{name}: {format_row_count(int(dropped[name].sum()))} dropped (empty turn)")
        errors += collect_errors(
            (split.place(row), error)
            for row, (_, error) in enumerate(parsed)
            if error and not dropped[name][row]
        )
        ends_with_question = [bool(turns) and turns[-1]["role"] == "user" for turns, _ in parsed]
        conversations = [
            turns[:-1] if cut else turns for (turns, _), cut in zip(parsed, ends_with_question, strict=True)
        ]
        prompts = [join_turns(turns[:-1]) if turns else "" for turns in conversations]
        columns = {
            "messages": message_array(conversations),
            "prompt": string_array(prompts),
            "answer": string_array([turns[-1]["content"] if turns else "" for turns in conversations]),
        }
        splits[name] = with_columns(split, columns)
        if unanswered := sum(ends_with_question):
            count = format_row_count(unanswered)
            notes.append(f"{name}: {count} whose last question has no answer; the question is left out")
    if errors:
        return Checked(corpus, errors, notes)
    return Checked(replace(corpus, splits=splits).drop_rows(dropped), [], notes)


def parse_conversation(
    row: Mapping[str, Any], conversation_format: ConversationFormat
) -> tuple[list[Message], RowError | None]:
    """Return the messages of a row and None, or [] and the first error."""
    turns = conversation_format.read_turns(row)
    if not isinstance(turns, list) or not turns:
        message = f'"{conversation_format.columns[0]}" is {_quote(turns)}, not a list of turns'
        fix = 'write a list such as [{"role": "user", "content": "..."}, ...]'
        return [], RowError("S01", message, fix)
    if isinstance(row.get("system"), str) and row["system"].strip() and turns[0][0] != "system":
        turns = [("system", row["system"]), *turns]
    error = next(_find_errors(turns), None)
    if error:
        return [], error
    return [{"role": ROLES[role], "content": text} for role, text in turns], None


def join_turns(messages: Sequence[Message]) -> str:
    """Join turns into one text: a single message as it is, several with their roles in front."""
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n".join(f"{message['role'].capitalize()}: {message['content']}" for message in messages)


def _find_errors(turns: Sequence[Turn]) -> Iterator[RowError]:
    for number, (role, text) in enumerate(turns, 1):
        if not isinstance(role, str) or role not in ROLES:
            fix = 'use "system", "user" and "assistant"'
            yield RowError("S01", f"turn {number}: the role {_quote(role)} is unknown", fix)
        elif not isinstance(text, str):
            message = f"turn {number} ({role}): {_quote(text)} is not a text"
            yield RowError("L02", message, "write a text there")
        elif not text.strip():
            is_answer = ROLES[role] == "assistant"
            what = "answer" if is_answer else f"text of the {role}"
            message = f"turn {number}: the {what} is empty or blank"
            fix = "fill it in, or set data.empty_text=drop"
            yield RowError("S05" if is_answer else "L03", message, fix)
    roles = [ROLES.get(role) if isinstance(role, str) else None for role, _ in turns]
    yield from _check_order(roles)
    if "assistant" not in roles:
        yield RowError("S02", "no turn is the assistant's, so there is nothing to learn", "add an answer")


def _check_order(roles: Sequence[str | None]) -> Iterator[RowError]:
    """S03: [system] user assistant user assistant ... is the only order that all chat templates accept."""
    fix = "let user and assistant take turns, after at most one system message"
    first = 1 if roles[0] == "system" else 0
    for number, role in enumerate(roles[first:]):
        expected = ("user", "assistant")[number % 2]
        if role != expected:
            turn = first + number + 1
            again = " again" if turn > 1 and roles[turn - 2] == role else ""
            yield RowError("S03", f"turn {turn} is the {role}'s{again}; expected the {expected}'s", fix)


def _quote(value: object) -> str:
    return "missing" if value is None else repr(value)[:40]
