"""Read one file as rows with line numbers: jsonl, json (also SQuAD), csv, tsv, CoNLL, txt (all also .gz), parquet.

    for line, row in read_rows(Path("train.jsonl"), Data(), FileErrors("train.jsonl")): ...

Nothing is guessed or repaired. All errors of a file are collected with their places and raised together after its last
row, so a caller must not use the rows before the iteration has ended. Files of lines take constant memory; a .json
document is read into memory as a whole.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmkit.data.reading.conll_rows import looks_like_conll, parse_conll
from llmkit.data.reading.csv_rows import Dialect, parse_delimited
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.json_rows import parse_json_document, parse_json_lines
from llmkit.data.reading.lines import ReportBytes, check_encoding, ignore_progress, open_bytes, read_lines
from llmkit.data.reading.parquet_rows import parse_parquet
from llmkit.recipe.schema import Data

__all__ = ["CONLL", "PLAIN_TEXT", "SUFFIXES", "data_suffix", "read_rows"]

CONLL = (".conll", ".conllu", ".iob", ".bio", ".bmes")  # one token per line
PLAIN_TEXT = ".txt"  # running text: each line is a row and keeps its line end, blank lines included
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", PLAIN_TEXT, *CONLL)
HEAD_BYTES = 4096  # bytes that are inspected to recognize the content of a file

_FETCH_AGAIN = "copy or download it again"

# The first bytes of a file -> what kind of file it is, and what to do.
_SIGNATURES = {
    b"version https://git-lfs": ("a git-LFS pointer, not the data itself", "run `git lfs pull`"),
    b"\x1f\x8b": ("a gzip archive", "add .gz to its name"),
    b"PK\x03\x04": ("a zip archive (or an Excel file)", "unpack it, or save the sheet as .csv"),
    b"PAR1": ("a parquet file", "rename it to .parquet"),
    b"%PDF": ("a PDF file", "extract the text first"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it"),
    b"\xfd7zXZ": ("an xz archive", "unpack it"),
    b"BZh": ("a bzip2 archive", "unpack it"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "unpack it"),
    b"SQLite format 3": ("an SQLite database", "export the table as .csv"),
    b"ARROW1": ("an Arrow file", "save it as .parquet"),
}


def data_suffix(name: str) -> str | None:
    """Return the suffix that determines a file's format (`.csv` for `a.csv.gz`), or None for an unknown format."""
    name = name.lower()
    uncompressed = name.removesuffix(".gz")
    suffix = next((suffix for suffix in SUFFIXES if uncompressed.endswith(suffix)), None)
    return None if suffix == ".parquet" and uncompressed != name else suffix


def read_rows(
    path: Path,
    data: Data,
    errors: FileErrors,
    report_bytes: ReportBytes = ignore_progress,
    *,
    default_suffix: str | None = None,
    by_id: bool = False,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, row) for each row; the number of a parquet row counts rows.

    Args:
        path: The file to read.
        data: The recipe section with the encoding, the longest line and the column names.
        errors: Collects the errors and notes of this file.
        report_bytes: Called from time to time with the number of stored bytes read so far.
        default_suffix: The format of a file whose own suffix names none; None makes such a suffix an error.
        by_id: Whether a .json document may be one object of values by id (see `parse_json_document`).

    Raises:
        DataError: F02 to F10, J01 to J05, J07 to J11, N04, after the last row where reading can go on.
    """
    suffix = data_suffix(path.name) or default_suffix
    if suffix is None:
        message = f'the suffix "{path.suffix}" is not a known data format'
        errors.fail("F04", message, f"use one of {', '.join(SUFFIXES)}")
    head = _read_head(path, errors)
    _check_head(head, suffix, errors)
    by_content = suffix == PLAIN_TEXT or (suffix == ".tsv" and data.delimiter is None)
    if by_content and looks_like_conll(head.decode("utf-8", "replace"), HEAD_BYTES):
        suffix = CONLL[0]
    count = 0
    for line, row in _parse(path, suffix, data, errors, report_bytes, by_id):
        count += 1
        yield line, row
    errors.raise_if_any()
    if not count:
        errors.fail("F03", "the file has no rows", "check the program that wrote it")


def _parse(
    path: Path, suffix: str, data: Data, errors: FileErrors, report_bytes: ReportBytes, by_id: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Return the rows of the parser for this suffix."""
    if suffix == ".parquet":
        return parse_parquet(path, errors, report_bytes, name_classes=data.labels is None)
    check_encoding(data.encoding, errors)
    limit = None if suffix == ".json" else data.max_line_bytes
    lines = read_lines(path, errors, encoding=data.encoding, limit=limit, report_bytes=report_bytes)
    if suffix == ".json":
        return parse_json_document("".join(text for _, text in lines), errors, by_id=by_id)
    if suffix in (".csv", ".tsv"):
        default = "," if suffix == ".csv" else "\t"
        return parse_delimited(
            lines, errors, Dialect(default, data.delimiter, data.quoting, data.max_line_bytes)
        )
    if suffix in CONLL:
        return parse_conll(lines, errors, named_columns=data.columns.values(), limit=data.max_line_bytes)
    if suffix == PLAIN_TEXT:
        return ((number, {"text": line.replace("\r\n", "\n")}) for number, line in lines)
    return parse_json_lines(lines, errors)


def _read_head(path: Path, errors: FileErrors) -> bytes:
    """Read the first bytes of the content."""
    try:
        content, stored = open_bytes(path)
    except PermissionError:
        errors.fail("F02", "you may not read this file", "ask its owner, or change its permissions")
    with stored, content:
        if not path.stat().st_size:
            errors.fail("F03", "the file is empty (0 bytes)", "check the program that wrote it")
        try:
            return content.read(HEAD_BYTES)
        except gzip.BadGzipFile:
            errors.fail(
                "F04", "the suffix is .gz, but this is not a gzip archive", "remove .gz from its name"
            )
        except (EOFError, zlib.error):
            errors.fail("F10", "the gzip file is truncated or damaged", _FETCH_AGAIN)


def _check_head(head: bytes, suffix: str, errors: FileErrors) -> None:
    """Fail when the first bytes show that the content is not what the suffix says, or not text."""
    for signature, (kind, fix) in _SIGNATURES.items():
        if head.startswith(signature) and not (signature == b"PAR1" and suffix == ".parquet"):
            errors.fail("F04", f"the suffix is {suffix}, but this is {kind}", fix)
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if start[:100].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        errors.fail("F04", f"the suffix is {suffix}, but this is a web page", "download the file itself")
    if suffix == ".parquet":
        if not head.startswith(b"PAR1"):
            message = "the suffix is .parquet, but this is not a parquet file"
            errors.fail("F04", message, "rename it, or convert it to parquet")
        return
    _check_text(head, errors)
    is_list = start.startswith(b"[") and start[1:].lstrip()[:1] in (b"{", b"")
    if suffix in (".jsonl", ".ndjson") and is_list:
        errors.fail("F04", f"the suffix is {suffix}, but this is one JSON list", "rename it to .json")
    if suffix in (".csv", ".tsv", *CONLL) and (is_list or start.startswith(b'{"')):
        fix = f"rename it to {'.json' if is_list else '.jsonl'}"
        errors.fail("F04", f"the suffix is {suffix}, but this is JSON", fix)


def _check_text(head: bytes, errors: FileErrors) -> None:
    """Fail for UTF-16 or UTF-32 (by its byte order mark, or by NUL in every second byte) and for other NUL bytes."""
    wide = "UTF-32" if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) else "UTF-16"
    has_bom = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    fewer, more = sorted([head[::2].count(0), head[1::2].count(0)])
    if has_bom or (fewer == 0 and more > 0.2 * len(head)):
        fix = f"convert it with `iconv -f {wide} -t UTF-8 {errors.name} > NEW`"
        errors.fail("F06", f"the file is {wide}, not UTF-8", fix)
    if b"\0" in head:
        position = head.index(b"\0")
        line = head.count(b"\n", 0, position) + 1
        column = position - head.rfind(b"\n", 0, position)
        message = "a NUL byte: this is not text, or the file is damaged"
        errors.fail("F08", message, "write the file again", line=line, column=column)
