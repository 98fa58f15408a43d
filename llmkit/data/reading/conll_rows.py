"""Parse CoNLL files: one token per line, a blank line between sentences, one row per sentence.

    EU NNP B-ORG
    rejects VBZ O      ->   {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"], "1": ["NNP", "VBZ"]}

The first column contains the tokens and the last column the tags. Every column is also available by its position ("0",
"1", ...), so `data.columns.tags=3` selects the fourth column. The positions of the tokens and the tags are left out
unless the recipe names them, because they would only repeat a column.

Columns are separated by single tabs if the first token line contains a tab, otherwise by runs of spaces. No other white
space separates columns, because a token may contain it. Two kinds of lines are skipped: lines that begin with
-DOCSTART-, and comments. A comment is a line outside a sentence that begins with "# " and does not have the file's
number of columns; so a sentence may begin with the token "#". A note says how many comments were skipped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from llmkit.data.reading.file_errors import FileErrors

__all__ = ["parse_conll"]

Line = tuple[int, str]  # line number, text with its line end

_SPACE = " \t\r\n"
_DOCUMENT, _COMMENT = "-DOCSTART-", "# "


def parse_conll(
    lines: Iterable[Line], errors: FileErrors, *, named_columns: Collection[str], limit: int
) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """Yield (line number of the first token, row) for each sentence.

    Args:
        lines: (line number, text with its line end).
        errors: Receives N04 for a line with another number of columns, and raises F09 for a sentence above the limit.
        named_columns: The columns of the file that the recipe names.
        limit: The longest allowed sentence in characters. A file without blank lines would be one sentence.
    """
    start, size = 0, 0
    sentence: list[list[str]] = []
    for number, fields in _split_lines(lines, errors):
        if not fields:
            if sentence:
                yield start, _make_row(sentence, named_columns)
            sentence, size = [], 0
            continue
        start = start if sentence else number
        sentence.append(fields)
        size += sum(map(len, fields))
        if size > limit:
            message = f"the sentence that begins here is longer than {limit:,} characters"
            fix = "write a blank line between sentences, or raise data.max_line_bytes"
            errors.fail("F09", message, fix, line=start)


def _split_lines(lines: Iterable[Line], errors: FileErrors) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) per token, and no fields at the end of a sentence and of the file."""
    (first_number, first_text), lines = _find_first_token(lines)
    separator = "tabs" if "\t" in first_text else "spaces"

    def split(text: str) -> list[str]:
        if separator == "tabs":
            return [field.strip(" ") for field in text.rstrip("\r\n").split("\t")]
        return [field for field in text.strip(_SPACE).split(" ") if field]

    width = len(split(first_text))
    comments, in_sentence = 0, False
    for number, text in lines:
        fields = [] if not text.strip(_SPACE) or text.startswith(_DOCUMENT) else split(text)
        if len(fields) in (0, width):
            in_sentence = bool(fields)
            yield number, fields
        elif text.startswith(_COMMENT) and not in_sentence:
            comments += 1
        else:
            message = f"the line has {_count(len(fields), 'column')}, but line {first_number} has {width}"
            fix = f"write {_count(width, 'column')} separated by {separator}, and a blank line between sentences"
            errors.add("N04", message, fix, line=number)
            in_sentence = True
    yield 0, []
    if comments:
        errors.notes.append(f"{errors.name}: skipped {_count(comments, 'comment line')}")


def _find_first_token(lines: Iterable[Line]) -> tuple[Line, Iterator[Line]]:
    """Return the first token line, which determines separator and number of columns, and an iterator over all lines."""
    lines = iter(lines)
    seen: list[Line] = []
    for line in lines:
        seen.append(line)
        if line[1].strip(_SPACE) and not line[1].startswith((_DOCUMENT, _COMMENT)):
            return line, chain(seen, lines)
    return (0, ""), iter(())


def _make_row(sentence: list[list[str]], named_columns: Collection[str]) -> dict[str, list[str]]:
    columns = [list(column) for column in zip(*sentence)]
    last = len(columns) - 1
    row = {"tokens": columns[0]}
    if last:
        row["tags"] = columns[last]
    by_position = {str(position): column for position, column in enumerate(columns)}
    # When the recipe names a position that does not exist, keep all of them so that the error can list them.
    missing = any(name.isdecimal() and name not in by_position for name in named_columns)
    repeated = set() if missing else {"0", str(last)} - {*named_columns}
    return row | {name: column for name, column in by_position.items() if name not in repeated}


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
