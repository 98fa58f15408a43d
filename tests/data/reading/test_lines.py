import gzip
import tracemalloc

import pytest

from llmkit.base.errors import DataError
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.lines import check_encoding, ignore_progress, open_bytes, read_lines


def read(path, encoding="utf-8", limit=None, report_bytes=ignore_progress):
    """Return (lines, (code, place) of each error, notes)."""
    errors = FileErrors(path.name)
    lines = list(read_lines(path, errors, encoding=encoding, limit=limit, report_bytes=report_bytes))
    try:
        errors.raise_if_any()
    except DataError as error:
        return lines, [(detail.code, detail.place) for detail in error.details], errors.notes
    return lines, [], errors.notes


def test_lines_are_numbered_and_keep_their_line_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("één\r\n\n\u2028two\x0b\nthree".encode())
    expected = [(1, "één\r\n"), (2, "\n"), (3, "\u2028two\x0b\n"), (4, "three")]
    assert read(path) == (expected, [], [])


def test_a_gzip_file_is_decompressed(tmp_path):
    path = tmp_path / "a.txt.GZ"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    content, stored = open_bytes(path)
    with stored, content:
        assert content.read() == b"one\ntwo\n"
        assert stored.tell() == path.stat().st_size


def test_a_byte_order_mark_is_skipped_and_noted(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo")
    notes = ["a.txt: skipped a UTF-8 byte order mark at the beginning"]
    assert read(path) == ([(1, "one\n"), (2, "\ufefftwo")], [], notes)


@pytest.mark.parametrize("encoding", ["cp1252", "gb18030", "big5", "shift_jis", "utf-8-sig", "latin-1"])
def test_encodings_with_one_byte_line_ends_are_read(tmp_path, encoding):
    text = {"gb18030": "酒店很差", "big5": "飯店很差", "shift_jis": "映画ソ"}.get(encoding, "café")
    path = tmp_path / "a.txt"
    path.write_bytes(f"{text}\n{text}".encode(encoding).replace(b"\xef\xbb\xbf", b""))
    check_encoding(encoding, FileErrors("a.txt"))
    assert read(path, encoding) == ([(1, text + "\n"), (2, text)], [], [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-be", "utf9", "base64"])
def test_other_encodings_are_refused(encoding):
    with pytest.raises(DataError):
        check_encoding(encoding, FileErrors("a.txt"))


@pytest.mark.parametrize(
    ("content", "likely"),
    [
        ("un café à l'été".encode("cp1252"), "cp1252"),
        ("酒店很差，不像四星".encode("gb18030"), "gb18030"),
        ("the 酒店 was bad".encode("gb18030"), "gb18030"),
        (b"\x81 and \x8d", "latin-1"),
    ],
)
def test_the_fix_names_the_likely_encoding(tmp_path, content, likely):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    errors = FileErrors("a.txt")
    list(read_lines(path, errors, encoding="utf-8", limit=None, report_bytes=ignore_progress))
    with pytest.raises(DataError, match=f"set data.encoding={likely}, or convert"):
        errors.raise_if_any()


def test_utf8_is_suggested_for_a_utf8_file_read_in_another_encoding(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("一".encode())
    errors = FileErrors("a.txt")
    list(read_lines(path, errors, encoding="ascii", limit=None, report_bytes=ignore_progress))
    with pytest.raises(DataError, match=r"set data\.encoding=utf-8$"):
        errors.raise_if_any()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_the_limit_does_not_count_the_line_end(tmp_path, end):
    path = tmp_path / "a.txt"
    path.write_bytes(b"12345" + end)
    assert len(read(path, limit=5)[0]) == 1
    assert read(path, limit=4) == ([], [("F09", "a.txt:1")], [])


def test_lines_after_a_too_long_line_keep_their_numbers(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n" + 200_000 * b"x" + b"\nthree\n")
    assert read(path, limit=10) == ([(1, "one\n"), (3, "three\n")], [("F09", "a.txt:2")], [])


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_memory_for_a_20_mb_line_is_bounded_by_the_limit(tmp_path, name):
    limit, path = 1 << 20, tmp_path / name
    with gzip.open(path, "wb", compresslevel=1) if name.endswith(".gz") else path.open("wb") as file:
        for _ in range(20):
            file.write(b"x" * limit)
    tracemalloc.start()
    assert read(path, limit=limit) == ([], [("F09", f"{name}:1")], [])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * limit


def test_many_lines_take_constant_memory(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(200_000 * b"a line of some words\n")
    tracemalloc.start()
    count = sum(
        1
        for _ in read_lines(path, FileErrors("a"), encoding="utf-8", limit=100, report_bytes=ignore_progress)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 200_000
    assert peak < 1 << 20


def test_the_bytes_read_are_reported_while_reading(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(20_000 * b"a line of some words\n")
    reports = []
    read(path, report_bytes=reports.append)
    assert reports == sorted(reports)
    assert 0 < reports[0] < reports[-1] <= path.stat().st_size


def test_a_truncated_gzip_file_is_reported_at_the_next_line(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n")[:-4])
    assert read(path)[1] == [("F10", "a.txt.gz:3")]
