"""Lines of a text file, decoded, in flat memory, each fault with its line and column.

A line is read in bounded pieces, so a file without line ends costs `limit` bytes of memory and no more. A
line that can't be decoded is still handed on (with replacement characters), for what follows to find its
own faults; the reader raises at the end of the file, so no such row is ever used.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path

from llmkit.data.reading.file_errors import FileErrors

__all__ = ["ReportBytes", "check_encoding", "ignore_progress", "open_bytes", "read_lines"]

ReportBytes = Callable[[int], None]  # called with the bytes of the file (as stored) that are read

EVERY = 4096  # lines between two calls of ReportBytes
PIECE = 1 << 16  # bytes of a line that is too long, skipped at once


def ignore_progress(stored: int) -> None:
    """The ReportBytes that nobody listens to."""


def open_bytes(path: Path) -> tuple[BufferedIOBase, BufferedIOBase]:
    """(the file's content, the file as stored): two views of one file, which differ for .gz."""
    stored = path.open("rb")
    return (gzip.GzipFile(fileobj=stored) if path.suffix.lower() == ".gz" else stored), stored


def check_encoding(encoding: str, errors: FileErrors) -> None:
    """Stop at an encoding that Python does not know, or whose line ends are not the byte 0x0A."""
    try:
        end = "a\n".encode(encoding)
    except LookupError:
        errors.fail(
            "F07", f'"{encoding}" is no text encoding', "set data.encoding to utf-8, gb18030, cp1252, ..."
        )
    if not end.endswith(b"a\n"):
        errors.fail("F06", f"{encoding} can't be read line by line", _convert(encoding))


def read_lines(
    path: Path, errors: FileErrors, *, encoding: str, limit: int | None, moved: ReportBytes
) -> Iterator[tuple[int, str]]:
    """(line number, text with its line end). Problems F05, F07, F08, F09, F10 go to the errors.

    limit: longest line in bytes, None for no limit.
    """
    undecodable = _Undecodable(encoding)
    for number, line in _raw_lines(path, errors, limit, moved):
        if number == 1 and line.startswith(codecs.BOM_UTF8):
            line = _without_bom(line, encoding, errors)
        if b"\0" in line:
            column = line.index(b"\0") + 1
            errors.add(
                "F08", "NUL byte: not text, or damaged", "write the file again", line=number, column=column
            )
            line = line.replace(b"\0", b"")
        try:
            yield number, line.decode(encoding)
        except UnicodeDecodeError as error:
            undecodable.add(number, line, error)
            yield number, line.decode(encoding, "replace")
    undecodable.report(errors)


def _raw_lines(
    path: Path, errors: FileErrors, limit: int | None, moved: ReportBytes
) -> Iterator[tuple[int, bytes]]:
    """(line number, bytes); a line over the limit is reported and skipped in pieces."""
    piece = -1 if limit is None else limit + 2  # room for a line end of two bytes
    content, stored = open_bytes(path)
    number = 0
    with stored, content:
        try:
            while line := content.readline(piece):
                number += 1
                if number % EVERY == 0:
                    moved(stored.tell())
                if limit is not None and _length(line) > limit:
                    _skip_rest(content, line)
                    fix = "split it, or raise data.max_line_bytes"
                    errors.add("F09", f"the line is longer than {limit:,} bytes", fix, line=number)
                else:
                    yield number, line
        except (EOFError, gzip.BadGzipFile, zlib.error):
            errors.add("F10", "the gzip file ends too early or is damaged", "fetch it again", line=number + 1)


def _length(line: bytes) -> int:
    """Bytes without the line end."""
    return len(line) - (2 if line.endswith(b"\r\n") else line.endswith(b"\n"))


def _skip_rest(content: BufferedIOBase, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = content.readline(PIECE)


def _without_bom(line: bytes, encoding: str, errors: FileErrors) -> bytes:
    if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig"):
        fix = "set data.encoding=utf-8"
        errors.add(
            "F05", f"the file begins with a UTF-8 mark (BOM), but data.encoding is {encoding}", fix, line=1
        )
    errors.notes.append(f"{errors.name}: begins with a UTF-8 byte order mark, which was skipped")
    return line.removeprefix(codecs.BOM_UTF8)


class _Undecodable:
    """Bytes that are not in the encoding: the first is shown, the lines are counted."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.lines = 0
        self.first: tuple[int, bytes, UnicodeDecodeError] | None = None

    def add(self, number: int, line: bytes, error: UnicodeDecodeError) -> None:
        self.lines += 1
        self.first = self.first or (number, line, error)

    def report(self, errors: FileErrors) -> None:
        if not self.first:
            return
        number, line, error = self.first
        column = len(line[: error.start].decode(self.encoding)) + 1
        more = f" (and {self.lines - 1} more lines)" if self.lines > 1 else ""
        likely = _likely_encoding(line, self.encoding)
        message = (
            f"byte 0x{line[error.start]:02X} is not {self.encoding}{more}; probably the file is {likely}"
        )
        fix = f"convert it to UTF-8, or set data.encoding={likely}"
        errors.add("F07", message, fix, line=number, column=column)


def _likely_encoding(line: bytes, tried: str) -> str:
    """utf-8 where it fits; gb18030 where high bytes come in runs (two a character); else cp1252."""
    runs = re.findall(rb"[\x80-\xff]+", line)
    paired = sum(len(run) for run in runs if len(run) > 1) > sum(map(len, runs)) / 2
    candidates = ["utf-8", "gb18030", "cp1252"] if paired else ["utf-8", "cp1252"]
    known = codecs.lookup(tried).name
    return next(
        (name for name in candidates if codecs.lookup(name).name != known and _fits(line, name)), "latin-1"
    )


def _fits(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _convert(encoding: str) -> str:
    return f"convert it: iconv -f {encoding.upper()} -t UTF-8 OLD > NEW, and set data.encoding=utf-8"
