"""Read and decode the lines of a text file in constant memory, with a line and column for every error.

A line is read in bounded pieces, so a file without line ends takes at most `limit` bytes of memory. A line that can't
be decoded is still passed on, with replacement characters, so that later stages find their own errors in it. The reader
raises at the end of the file, so such a row is never used.
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

ReportBytes = Callable[[int], None]  # receives the number of bytes read so far, counted in the file as stored

REPORT_EVERY = 4096  # lines between two calls of ReportBytes
SKIP_BYTES = 1 << 16  # bytes read at once while skipping the rest of a line above the limit


def ignore_progress(stored_bytes: int) -> None:
    """Do nothing: the ReportBytes of a caller that shows no progress."""


def open_bytes(path: Path) -> tuple[BufferedIOBase, BufferedIOBase]:
    """Open a file and return (its content, the file as stored); the two differ for .gz files."""
    stored = path.open("rb")
    return (gzip.GzipFile(fileobj=stored) if path.suffix.lower() == ".gz" else stored), stored


def check_encoding(encoding: str, errors: FileErrors) -> None:
    """Fail with F07 for an unknown encoding and with F06 for one whose line end is not the byte 0x0A."""
    try:
        line_end = "a\n".encode(encoding)
    except LookupError:
        fix = "set data.encoding to utf-8, gb18030, cp1252, ..."
        errors.fail("F07", f'"{encoding}" is not a text encoding', fix)
    if not line_end.endswith(b"a\n"):
        convert = f"iconv -f {encoding.upper()} -t UTF-8 OLD > NEW"
        fix = f"convert it with `{convert}`, and set data.encoding=utf-8"
        errors.fail("F06", f"a file in {encoding} can't be read line by line", fix)


def read_lines(
    path: Path, errors: FileErrors, *, encoding: str, limit: int | None, report_bytes: ReportBytes
) -> Iterator[tuple[int, str]]:
    """Yield (line number, text with its line end) for each line.

    Args:
        path: A text file, possibly compressed with gzip.
        errors: Receives errors F05 and F07 to F10.
        encoding: A text encoding that passed `check_encoding`.
        limit: The longest allowed line in bytes; None for no limit.
        report_bytes: Called every 4096 lines.
    """
    undecodable = _UndecodableLines(encoding)
    for number, line in _read_raw_lines(path, errors, limit, report_bytes):
        if number == 1 and line.startswith(codecs.BOM_UTF8):
            if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig"):
                message = f"the file begins with a UTF-8 byte order mark, but data.encoding is {encoding}"
                errors.add("F05", message, "set data.encoding=utf-8", line=1)
            errors.notes.append(f"{errors.name}: skipped a UTF-8 byte order mark at the beginning")
            while line.startswith(codecs.BOM_UTF8):  # two tools may each have written one
                line = line.removeprefix(codecs.BOM_UTF8)
        if b"\0" in line:
            message, fix = "a NUL byte: this is not text, or the file is damaged", "write the file again"
            errors.add("F08", message, fix, line=number, column=line.index(b"\0") + 1)
            line = line.replace(b"\0", b"")
        try:
            yield number, line.decode(encoding)
        except UnicodeDecodeError as error:
            undecodable.add(number, line, error)
            yield number, line.decode(encoding, "replace")
    undecodable.report(errors)


def _read_raw_lines(
    path: Path, errors: FileErrors, limit: int | None, report_bytes: ReportBytes
) -> Iterator[tuple[int, bytes]]:
    """Yield (line number, bytes) for each line; report a line above the limit and skip it in pieces."""
    max_bytes = -1 if limit is None else limit + 2  # room for a line end of two bytes
    content, stored = open_bytes(path)
    number = 0
    with stored, content:
        try:
            while line := content.readline(max_bytes):
                number += 1
                if number % REPORT_EVERY == 0:
                    report_bytes(stored.tell())
                length = len(line) - (2 if line.endswith(b"\r\n") else line.endswith(b"\n"))
                if limit is None or length <= limit:
                    yield number, line
                    continue
                while line and not line.endswith(b"\n"):
                    line = content.readline(SKIP_BYTES)
                fix = "split the line, or raise data.max_line_bytes"
                errors.add("F09", f"the line is longer than {limit:,} bytes", fix, line=number)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            message = "the gzip file is truncated or damaged"
            errors.add("F10", message, "copy or download it again", line=number + 1)


class _UndecodableLines:
    """The lines that are not valid in an encoding: the first is shown, the others are counted."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.count = 0
        self.first: tuple[int, bytes, UnicodeDecodeError] | None = None

    def add(self, number: int, line: bytes, error: UnicodeDecodeError) -> None:
        self.count += 1
        self.first = self.first or (number, line, error)

    def report(self, errors: FileErrors) -> None:
        """Add F07 with the place of the first byte that can't be decoded and the likely encoding."""
        if not self.first:
            return
        number, line, error = self.first
        column = len(line[: error.start].decode(self.encoding)) + 1
        others = self.count - 1
        more = f"; {others:,} more {'line has' if others == 1 else 'lines have'} such bytes" if others else ""
        message = f"not valid {self.encoding.upper()} (byte 0x{line[error.start]:02x}){more}"
        likely = _guess_encoding(line, self.encoding)
        fix = f"set data.encoding={likely}" + (", or convert the file to UTF-8" if likely != "utf-8" else "")
        errors.add("F07", message, fix, line=number, column=column)


def _guess_encoding(line: bytes, declared: str) -> str:
    """Guess an encoding that decodes the line.

    Prefer UTF-8, then gb18030 when most bytes above 0x7F come in runs (two per character), then cp1252, then latin-1.
    """
    runs = re.findall(rb"[\x80-\xff]+", line)
    paired = sum(len(run) for run in runs if len(run) > 1) > sum(map(len, runs)) / 2
    candidates = ["utf-8", "gb18030", "cp1252"] if paired else ["utf-8", "cp1252"]
    for name in candidates:
        if codecs.lookup(name).name == codecs.lookup(declared).name:
            continue
        try:
            line.decode(name)
        except UnicodeDecodeError:
            continue
        return name
    return "latin-1"
