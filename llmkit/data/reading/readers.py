"""One file to rows, each with its line: jsonl, json (SQuAD's too), csv, tsv, CoNLL, txt (all also .gz) and parquet.

    for line, row in read_rows(Path("train.jsonl"), Data(), FileErrors("train.jsonl")): ...

Nothing is guessed and nothing repaired: all faults of a file are collected with their places and raised
together after its last row. So a consumer must not use the rows before the iteration has ended. Line
formats take flat memory; a .json document is held whole.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmkit.data.reading.conll_rows import parse_conll
from llmkit.data.reading.csv_rows import parse_delimited
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.json_rows import parse_json_document, parse_json_lines
from llmkit.data.reading.lines import ReportBytes, check_encoding, ignore_progress, open_bytes, read_lines
from llmkit.recipe.schema import Data

__all__ = ["CONLL", "PLAIN_TEXT", "SUFFIXES", "data_suffix", "read_rows"]

CONLL = (".conll", ".iob", ".bio", ".bmes")  # the lines of a sentence follow each other
PLAIN_TEXT = ".txt"  # running text, a row a line with its line end, blank lines too
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", PLAIN_TEXT, *CONLL)
HEAD = 4096  # bytes looked at to tell what a file is

# First bytes -> what such a file is, what to do.
_MAGIC = {
    b"version https://git-lfs": ("a git-LFS pointer, not the data itself", "run `git lfs pull`"),
    b"\x1f\x8b": ("a gzip archive", "add .gz to its name"),
    b"PK\x03\x04": ("a zip archive (or an Excel file)", "unpack it, or save the sheet as .csv"),
    b"PAR1": ("a parquet file", "rename it to .parquet"),
    b"%PDF": ("a PDF", "take the text out of it first"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it"),
    b"\xfd7zXZ": ("an xz archive", "unpack it"),
    b"BZh": ("a bzip2 archive", "unpack it"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "unpack it"),
    b"SQLite format 3": ("an SQLite database", "export the table as .csv"),
    b"ARROW1": ("an Arrow file", "save it as .parquet"),
}


def data_suffix(name: str) -> str | None:
    """The suffix that tells the format (`.csv` for `a.csv.gz`), None when it is none that can be read."""
    name = name.lower()
    plain = name.removesuffix(".gz")
    suffix = next((suffix for suffix in SUFFIXES if plain.endswith(suffix)), None)
    return None if suffix == ".parquet" and plain != name else suffix


def read_rows(
    path: Path,
    data: Data,
    errors: FileErrors,
    moved: ReportBytes = ignore_progress,
    *,
    otherwise: str | None = None,
    by_id: bool = False,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, row) of each row; for parquet (row number, row). Raises DataError F02-F10, J01-J05, J07-J11, N04.

    moved is called now and then with the number of stored bytes read so far. otherwise: what a file is read as
    whose suffix names no format. by_id: a .json document may be one object of values by id (see `parse_json_document`).
    """
    suffix = data_suffix(path.name) or otherwise
    if suffix is None:
        known = ", ".join(SUFFIXES)
        errors.fail(
            "F04", f'the suffix "{path.suffix}" names no format that can be read', f"use one of {known}"
        )
    _check_head(_head(path, errors), suffix, errors)
    found = 0
    for line, row in _parsed(path, suffix, data, errors, moved, by_id):
        found += 1
        yield line, row
    errors.raise_if_any()
    if not found:
        errors.fail("F03", "the file has no rows", "check how it was made")


def _parsed(
    path: Path, suffix: str, data: Data, errors: FileErrors, moved: ReportBytes, by_id: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    if suffix == ".parquet":
        return _parquet_rows(path, errors, moved)
    check_encoding(data.encoding, errors)
    limit = None if suffix == ".json" else data.max_line_bytes
    lines = read_lines(path, errors, encoding=data.encoding, limit=limit, moved=moved)
    if suffix == ".json":
        return parse_json_document("".join(text for _, text in lines), errors, by_id=by_id)
    if suffix in (".csv", ".tsv"):
        delimiter = "," if suffix == ".csv" else "\t"
        return parse_delimited(lines, errors, delimiter=delimiter, limit=data.max_line_bytes)
    if suffix in CONLL:
        return parse_conll(lines, errors, asked=data.columns.values(), limit=data.max_line_bytes)
    if suffix == PLAIN_TEXT:
        return ((number, {"text": line.replace("\r\n", "\n")}) for number, line in lines)
    return parse_json_lines(lines, errors)


def _parquet_rows(path: Path, errors: FileErrors, moved: ReportBytes) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with path.open("rb") as stored, parquet.ParquetFile(stored) as file:
            names = file.schema_arrow.names
            if doubled := [name for name in names if names.count(name) > 1]:
                errors.fail("J09", f'two columns are named "{doubled[0]}"', "rename one")
            for batch in file.iter_batches(batch_size=1000):
                batch.validate(full=True)  # strings that are not UTF-8
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
                moved(stored.tell())
    except (pyarrow.ArrowException, OSError):
        errors.add("F10", "the parquet file ends too early or is damaged", "fetch it again", line=number + 1)


def _head(path: Path, errors: FileErrors) -> bytes:
    """The first bytes of the content."""
    try:
        content, stored = open_bytes(path)
    except PermissionError:
        errors.fail("F02", "not allowed to read this file", "ask its owner, or change its mode")
    with stored, content:
        if not path.stat().st_size:
            errors.fail("F03", "the file is empty (0 bytes)", "check how it was made")
        try:
            return content.read(HEAD)
        except gzip.BadGzipFile:
            errors.fail("F04", "the suffix is .gz, but this is no gzip archive", "remove .gz from its name")
        except (EOFError, zlib.error):
            errors.fail("F10", "the gzip file ends too early or is damaged", "fetch it again")


def _check_head(head: bytes, suffix: str, errors: FileErrors) -> None:
    """Stop when the content is not what the suffix says, or not text."""
    for magic, (what, fix) in _MAGIC.items():
        if head.startswith(magic) and not (magic == b"PAR1" and suffix == ".parquet"):
            errors.fail("F04", f"the suffix says {suffix[1:]}, but this is {what}", fix)
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if start[:100].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        errors.fail("F04", f"the suffix says {suffix[1:]}, but this is a web page", "fetch the file itself")
    if suffix == ".parquet":
        if not head.startswith(b"PAR1"):
            errors.fail("F04", "the suffix says parquet, but this is no parquet file", "rename or convert it")
        return
    _check_text(head, errors)
    _check_json_in(start, suffix, errors)


def _check_text(head: bytes, errors: FileErrors) -> None:
    """Stop at UTF-16 or UTF-32 (with a mark, or every second byte NUL) and at NUL bytes."""
    wide = "UTF-32" if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) else "UTF-16"
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    fewer, more = sorted([head[::2].count(0), head[1::2].count(0)])
    if marked or (fewer == 0 and more > 0.2 * len(head)):
        fix = f"convert it: iconv -f {wide} -t UTF-8 {errors.name} > NEW"
        errors.fail("F06", f"the file is {wide}, not UTF-8", fix)
    if b"\0" in head:
        line = head.count(b"\n", 0, head.index(b"\0")) + 1
        column = head.index(b"\0") - head.rfind(b"\n", 0, head.index(b"\0"))
        errors.fail("F08", "NUL byte: not text, or damaged", "write the file again", line=line, column=column)


def _check_json_in(start: bytes, suffix: str, errors: FileErrors) -> None:
    """Stop at a JSON list where lines are expected, and at JSON where fields are."""
    a_list = start.startswith(b"[") and start[1:].lstrip()[:1] in (b"{", b"")
    if suffix in (".jsonl", ".ndjson") and a_list:
        errors.fail("F04", f"the suffix says {suffix[1:]}, but this is one JSON list", "rename it to .json")
    if suffix in (".csv", ".tsv", *CONLL) and (a_list or start.startswith(b'{"')):
        name = ".json" if a_list else ".jsonl"
        errors.fail("F04", f"the suffix says {suffix[1:]}, but this is JSON", f"rename it to {name}")
