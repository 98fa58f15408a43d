"""Parse CoNLL files: one token per line, a blank line between sentences, one row per sentence.

    EU NNP B-ORG
    rejects VBZ O      ->   {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"], "1": ["NNP", "VBZ"]}

The first column contains the tokens and the last column the tags. When the first column numbers the tokens of each
sentence, the second one contains the tokens: in CoNLL-U (10 columns) the tags are then column 3, the universal parts of
speech, and in GermEval 2014 (4 columns) they are column 2, the outer entities. Every column is also available by its
position ("0", "1", ...), so `data.columns.tags=3` selects the fourth column. The positions of the tokens and the tags
are left out unless the recipe names them, because they would only repeat a column.

Columns are separated by single tabs if the first token line contains a tab, otherwise by runs of spaces. No other white
space separates columns, because a token may contain it. Empty columns at the end of a line are ignored where the first
token line does not have them. Lines that begin with -DOCSTART- are skipped, and so are comments: lines outside a
sentence that begin with "# " (or "#" and a tab, or "#begin document") and do not have the file's number of columns. So
a sentence may begin with the token "#". A note says how many comments were skipped.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from llmkit.data.reading.file_errors import FileErrors

__all__ = ["looks_like_conll", "parse_conll"]

Line = tuple[int, str]  # line number, text with its line end

_SPACE = " \t\r\n"
_DOCUMENT = "-DOCSTART-"
_COMMENT = re.compile(r"#([ \t\r\n]|$|(begin|end) document)")
_EXTRA_NUMBER = re.compile(
    r"\d+[-.]\d+"
)  # CoNLL-U: the line of a contraction (1-2) or of an omitted word (8.1)
_ENTITY_TAG = re.compile(r"O|[BIESMLU][-_].+")
_PLAIN_TAG = re.compile(r"[A-Z][A-Z$_.&/+-]*\d*")
_MANY_TAGS = 40  # distinct tags without prefixes from which a column contains no tags


@dataclass(frozen=True)
class _Layout:
    """How the lines of a file are written.

    Attributes:
        first_line: The number of the first token line.
        separator: "tabs" or "spaces".
        width: The number of columns.
        tokens: The column of the tokens.
        tags: The column of the tags; None in a file with one column.
        numbered: Whether the first column numbers the tokens.
    """

    first_line: int
    separator: str
    width: int
    tokens: int = 0
    tags: int | None = None
    numbered: bool = False

    def split(self, text: str) -> list[str]:
        """Return the columns of a line, without empty columns beyond the width."""
        if self.separator == "spaces":
            return [field for field in text.strip(_SPACE).split(" ") if field]
        fields = [field.strip(" ") for field in text.rstrip("\r\n").split("\t")]
        while len(fields) > self.width and not fields[-1]:
            fields.pop()
        return fields


def looks_like_conll(head: str, limit: int) -> bool:
    """Return whether the beginning of a file, of at most `limit` bytes, is in the CoNLL format, by its content.

    All token lines have the same number of columns, and the last column contains tags. Tags without prefixes count
    only in a file with blank lines.
    """
    lines = head.splitlines(keepends=True)
    if len(head.encode()) >= limit - 4:  # the last line may be incomplete
        lines = lines[:-1]
    layout, _ = _read_layout(enumerate(lines, 1), limit)
    fields = [
        layout.split(text)
        for text in lines
        if text.strip(_SPACE) and not text.startswith((_DOCUMENT, "#") if layout.numbered else _DOCUMENT)
    ]
    if not layout.numbered:  # a comment has another number of columns
        fields = [row for row in fields if len(row) == layout.width or not _COMMENT.match(row[0])]
    if len(fields) < 2 or layout.tags is None or any(len(row) != layout.width for row in fields):
        return False
    if layout.numbered and layout.width == 10:
        return True  # CoNLL-U
    tags = {row[layout.tags] for row in fields}
    blank = any(not text.strip(_SPACE) for text in lines)
    if all(map(_ENTITY_TAG.fullmatch, tags)):
        return blank or tags != {"O"}
    if not blank or len(tags) > min(_MANY_TAGS, 0.7 * len(fields)):
        return False
    return all(map(_PLAIN_TAG.fullmatch, tags))


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
    layout, lines = _read_layout(lines, limit)
    _add_layout_note(layout, named_columns, errors)
    for number, fields in _split_lines(lines, layout, errors):
        if not fields:
            if sentence:
                yield start, _make_row(sentence, layout, named_columns)
            sentence, size = [], 0
            continue
        start = start if sentence else number
        sentence.append(fields)
        size += sum(map(len, fields))
        if size > limit:
            message = f"the sentence that begins here is longer than {limit:,} characters"
            fix = "write a blank line between sentences, or raise data.max_line_bytes"
            errors.fail("F09", message, fix, line=start)


def _split_lines(
    lines: Iterable[Line], layout: _Layout, errors: FileErrors
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) per token, and no fields at the end of a sentence and of the file."""
    comments, in_sentence = 0, False
    for number, text in lines:
        fields = [] if not text.strip(_SPACE) or text.startswith(_DOCUMENT) else layout.split(text)
        if layout.numbered and text.startswith("#"):
            comments += 1
        elif layout.numbered and fields and _EXTRA_NUMBER.fullmatch(fields[0]):
            continue
        elif len(fields) in (0, layout.width):
            in_sentence = bool(fields)
            yield number, fields
        elif _COMMENT.match(text) and not in_sentence:
            comments += 1
        else:
            message = f"the line has {_count(len(fields), 'column')}, but line {layout.first_line} has {layout.width}"
            columns = f"{_count(layout.width, 'column')} separated by {layout.separator}"
            fix = f"write {columns}, and a blank line between sentences"
            errors.add("N04", message, fix, line=number)
            in_sentence = True
    yield 0, []
    if comments:
        errors.notes.append(f"{errors.name}: skipped {_count(comments, 'comment line')}")


def _read_layout(lines: Iterable[Line], limit: int) -> tuple[_Layout, Iterator[Line]]:
    """Find the layout from the first sentence of two tokens or more, and return it with an iterator over all lines.

    At most `limit` characters are read. The first token line alone determines the separator and the width.
    """
    lines = iter(lines)
    seen: list[Line] = []
    first: Line | None = None
    sentence: list[str] = []
    size = 0
    for number, text in lines:
        seen.append((number, text))
        size += len(text)
        if not text.strip(_SPACE) or text.startswith(_DOCUMENT):
            if len(sentence) > 1:
                break
            sentence = []
        elif not _COMMENT.match(text):
            first = first or (number, text)
            sentence.append(text)
        if size > limit:
            break
    return _find_layout(first or (0, ""), sentence), chain(seen, lines)


def _find_layout(first: Line, sentence: list[str]) -> _Layout:
    """Find the layout from the first token line and a sentence."""
    number, text = first[0], first[1].rstrip(_SPACE) or first[1]
    separator = "tabs" if "\t" in text else "spaces"
    width = len(_Layout(number, separator, 1).split(text))
    layout = _Layout(number, separator, width, tags=width - 1 if width > 1 else None)
    numbers = [fields[0] for line in sentence if (fields := layout.split(line))]
    numbers = [item for item in numbers if not _EXTRA_NUMBER.fullmatch(item)]
    counts = [[str(count) for count in range(start, start + len(numbers))] for start in (0, 1)]
    if width < 3 or len(numbers) < 2 or numbers not in counts:
        return layout
    return replace(layout, tokens=1, tags={10: 3, 4: 2}.get(width, width - 1), numbered=True)


def _add_layout_note(layout: _Layout, named_columns: Collection[str], errors: FileErrors) -> None:
    """Say which columns are read where the first column is not the tokens, unless the recipe names both."""
    if layout.numbered and sum(name.isdecimal() for name in named_columns) < 2:
        columns = f"tokens are column {layout.tokens} and tags column {layout.tags} (counted from 0)"
        errors.notes.append(f"{errors.name}: the first column numbers the tokens; {columns}")


def _make_row(
    sentence: list[list[str]], layout: _Layout, named_columns: Collection[str]
) -> dict[str, list[str]]:
    columns = [list(column) for column in zip(*sentence)]
    row = {"tokens": columns[layout.tokens]}
    if layout.tags is not None:
        row["tags"] = columns[layout.tags]
    by_position = {str(position): column for position, column in enumerate(columns)}
    # When the recipe names a position that does not exist, keep all of them so that the error can list them.
    missing = any(name.isdecimal() and name not in by_position for name in named_columns)
    repeated = set() if missing else {str(layout.tokens), str(layout.tags)} - {*named_columns}
    return row | {name: column for name, column in by_position.items() if name not in repeated}


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
