"""Rows from CoNLL columns: one token a line, a blank line between sentences, one row a sentence.

    EU NNP B-ORG
    rejects VBZ O      ->   {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"], "1": ["NNP", "VBZ"]}

The first column holds the tokens, the last the tags. Every column also has its position as a name ("0", "1" ...), so
that `data.columns.tags=3` chooses one; what would only repeat tokens or tags is left out unless the recipe asks for it.

Columns are separated by single tabs where the first token line has one, else by runs of blanks; no other white space
separates, for a token may hold it. Passed over are lines that begin with -DOCSTART-, and comments: lines that begin
with "# " before the first token of a sentence and have another number of columns than the file. So a sentence may
begin with the token "#", and comments of several words are found as well; a note counts them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import Any

from llmkit.data.reading.file_errors import FileErrors

__all__ = ["parse_conll"]

Line = tuple[int, str]

_BLANKS = " \t\r\n"
_DOCUMENT, _COMMENT = "-DOCSTART-", "# "


def parse_conll(
    lines: Iterable[Line], errors: FileErrors, *, asked: Collection[str], limit: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line of its first token, sentence). Problems N04, F09 go to the errors.

    asked: names of columns in the file that the recipe names. limit: longest sentence in characters, for a file
    without blank lines would be one sentence.
    """
    start, size = 0, 0
    sentence: list[list[str]] = []
    for number, fields in _token_lines(lines, errors):
        if not fields:
            if sentence:
                yield start, _row(sentence, asked)
            sentence, size = [], 0
            continue
        start = start if sentence else number
        sentence.append(fields)
        size += sum(map(len, fields))
        if size > limit:
            message = f"the sentence that begins here is longer than {limit:,} characters"
            fix = "write a blank line between sentences, or raise data.max_line_bytes"
            errors.fail("F09", message, fix, line=start)


def _token_lines(lines: Iterable[Line], errors: FileErrors) -> Iterator[tuple[int, list[str]]]:
    """(line number, its columns), all of one width; no columns at the end of a sentence and of the file."""
    first, lines = _first_token_line(lines)
    split, separator = (_by_tabs, "tabs") if "\t" in first[1] else (_by_blanks, "blanks")
    width = len(split(first[1]))
    comments, inside = 0, False
    for number, text in lines:
        fields = [] if not text.strip(_BLANKS) or text.startswith(_DOCUMENT) else split(text)
        if len(fields) in (0, width):
            inside = bool(fields)
            yield number, fields
        elif text.startswith(_COMMENT) and not inside:
            comments += 1
        else:
            message = f"{_counted(len(fields))} instead of {width} (as in line {first[0]})"
            fix = f"write {_counted(width)} separated by {separator}, and a blank line between sentences"
            errors.add("N04", message, fix, line=number)
            inside = True
    yield 0, []
    if comments:
        errors.notes.append(f"{errors.name}: {_counted(comments, 'comment line')} passed over")


def _first_token_line(lines: Iterable[Line]) -> tuple[Line, Iterator[Line]]:
    """The line that says how the columns are separated and how many there are, and all lines once more."""
    lines = iter(lines)
    before: list[Line] = []
    for line in lines:
        before.append(line)
        if line[1].strip(_BLANKS) and not line[1].startswith((_DOCUMENT, _COMMENT)):
            return line, chain(before, lines)
    return (0, ""), iter(())


def _by_tabs(text: str) -> list[str]:
    return [field.strip(" ") for field in text.rstrip("\r\n").split("\t")]


def _by_blanks(text: str) -> list[str]:
    return [field for field in text.strip(_BLANKS).split(" ") if field]


def _row(sentence: list[list[str]], asked: Collection[str]) -> dict[str, Any]:
    columns = [list(column) for column in zip(*sentence)]
    last = len(columns) - 1
    row: dict[str, Any] = {"tokens": columns[0]}
    if last:
        row["tags"] = columns[last]
    numbered = {str(position): column for position, column in enumerate(columns)}
    missed = any(name.isdecimal() and name not in numbered for name in asked)  # then the error shows them all
    repeated = set() if missed else {"0", str(last)} - {*asked}
    return row | {name: column for name, column in numbered.items() if name not in repeated}


def _counted(count: int, what: str = "column") -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
