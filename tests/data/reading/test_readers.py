# ruff: noqa: E501  (messages are shown in full, as the user sees them)
import gzip
import hashlib
import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from llmkit.base.errors import DataError
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.readers import data_suffix, read_rows
from llmkit.recipe.schema import Data

GOOD = b'{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n'
CSV = b'text,label\ngood,1\n"bad, ""really""",0\n'


def read(path, **data):
    errors = FileErrors(path.name)
    return list(read_rows(path, Data(**data), errors)), errors.notes


def parquet_bytes(table):
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return sink.getvalue().to_pybytes()


PARQUET = parquet_bytes(pa.table({"text": ["good", "bad"], "label": [1, 0]}))

# case -> file name, content, recipe keys, the message or its beginning
BAD_FILES = {
    "F03 no bytes": (
        "a.jsonl",
        b"",
        {},
        "error[F03] a.jsonl: the file is empty (0 bytes). Fix: check the program that wrote it",
    ),
    "F03 no bytes in the archive": (
        "a.jsonl.gz",
        gzip.compress(b""),
        {},
        "error[F03] a.jsonl.gz: the file has no rows.",
    ),
    "F03 blank lines": (
        "a.jsonl",
        b"\n \n",
        {},
        "error[F03] a.jsonl: the file has no rows. Fix: check the program that wrote it",
    ),
    "F03 header only": ("a.csv", b"text,label\n", {}, "error[F03] a.csv: the file has no rows."),
    "F03 empty list": ("a.json", b"[]", {}, "error[F03] a.json: the file has no rows."),
    "F04 unknown suffix": (
        "a.doc",
        GOOD,
        {},
        'error[F04] a.doc: the suffix ".doc" is not a known data format.'
        " Fix: use one of .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .txt, .conll, .conllu, .iob, .bio, .bmes",
    ),
    "F04 list in jsonl": (
        "a.jsonl",
        b'[{"text": "good"},\n {"text": "bad"}]',
        {},
        "error[F04] a.jsonl: the suffix is .jsonl, but this is one JSON list. Fix: rename it to .json",
    ),
    "F04 lines in json": (
        "a.json",
        GOOD,
        {},
        "error[F04] a.json: this is one JSON object per line, not a JSON document. Fix: rename it to .jsonl",
    ),
    "F04 JSON in csv": (
        "a.csv",
        GOOD,
        {},
        "error[F04] a.csv: the suffix is .csv, but this is JSON. Fix: rename it to .jsonl",
    ),
    "F04 web page": (
        "a.csv",
        b"\n<!DOCTYPE html><html>404",
        {},
        "error[F04] a.csv: the suffix is .csv, but this is a web page. Fix: download the file itself",
    ),
    "F04 LFS pointer": (
        "a.jsonl",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        {},
        "error[F04] a.jsonl: the suffix is .jsonl, but this is a git-LFS pointer, not the data itself."
        " Fix: run `git lfs pull`",
    ),
    "F04 parquet in csv": (
        "a.csv",
        PARQUET,
        {},
        "error[F04] a.csv: the suffix is .csv, but this is a parquet file. Fix: rename it to .parquet",
    ),
    "F04 csv in parquet": (
        "a.parquet",
        CSV,
        {},
        "error[F04] a.parquet: the suffix is .parquet, but this is not a parquet file. Fix: rename it, or convert it to parquet",
    ),
    "F04 zip": (
        "a.csv",
        b"PK\x03\x04....",
        {},
        "error[F04] a.csv: the suffix is .csv, but this is a zip archive",
    ),
    "F04 gzip without .gz": (
        "a.jsonl",
        gzip.compress(GOOD),
        {},
        "error[F04] a.jsonl: the suffix is .jsonl, but this is a gzip archive. Fix: add .gz to its name",
    ),
    "F04 .gz without gzip": (
        "a.jsonl.gz",
        GOOD,
        {},
        "error[F04] a.jsonl.gz: the suffix is .gz, but this is not a gzip archive. Fix: remove .gz from its name",
    ),
    "F05 byte order mark with another encoding": (
        "a.jsonl",
        b"\xef\xbb\xbf" + GOOD,
        {"encoding": "cp1252"},
        "error[F05] a.jsonl:1: the file begins with a UTF-8 byte order mark, but data.encoding is cp1252."
        " Fix: set data.encoding=utf-8",
    ),
    "F06 UTF-16": (
        "a.csv",
        CSV.decode().encode("utf-16"),
        {},
        "error[F06] a.csv: the file is UTF-16, not UTF-8. Fix: convert it with `iconv -f UTF-16 -t UTF-8 a.csv > NEW`",
    ),
    "F06 UTF-16 without a byte order mark": (
        "a.csv",
        CSV.decode().encode("utf-16-le"),
        {},
        "error[F06] a.csv: the file is UTF-16",
    ),
    "F06 UTF-32": (
        "a.csv",
        CSV.decode().encode("utf-32"),
        {},
        "error[F06] a.csv: the file is UTF-32, not UTF-8.",
    ),
    "F06 in the recipe": (
        "a.csv",
        CSV,
        {"encoding": "utf-16"},
        "error[F06] a.csv: a file in utf-16 can't be read line by line.",
    ),
    "F07 cp1252": (
        "a.jsonl",
        GOOD + '{"text": "un café noir", "label": 1}\n{"text": "été"}\n'.encode("cp1252"),
        {},
        "error[F07] a.jsonl:3:17: not valid UTF-8 (byte 0xe9); 1 more line has such bytes."
        " Fix: set data.encoding=cp1252, or convert the file to UTF-8",
    ),
    "F07 gb18030": (
        "a.csv",
        "text,label\n酒店设施很差，不像四星,0\n".encode("gb18030"),
        {},
        "error[F07] a.csv:2:1: not valid UTF-8 (byte 0xbe)."
        " Fix: set data.encoding=gb18030, or convert the file to UTF-8",
    ),
    "F07 unknown encoding": (
        "a.csv",
        CSV,
        {"encoding": "utf9"},
        'error[F07] a.csv: "utf9" is not a text encoding. Fix: set data.encoding to utf-8, gb18030, cp1252, ...',
    ),
    "F08 NUL byte": (
        "a.csv",
        b"text,label\ngood\0,1\n",
        {},
        "error[F08] a.csv:2:5: a NUL byte: this is not text, or the file is damaged. Fix: write the file again",
    ),
    "F08 NUL byte behind the inspected head": (
        "a.csv",
        b"text,label\n" + 1000 * b"good,1\n" + b"ba\0d,0\n",
        {},
        "error[F08] a.csv:1002:3: a NUL byte: this is not text, or the file is damaged. Fix: write the file again",
    ),
    "F09 long line": (
        "a.jsonl",
        GOOD + b'{"text": "' + 100 * b"x" + b'"}\n' + GOOD,
        {"max_line_bytes": 50},
        "error[F09] a.jsonl:3: the line is longer than 50 bytes. Fix: split the line, or raise data.max_line_bytes",
    ),
    "F10 truncated gzip": (
        "a.jsonl.gz",
        gzip.compress(os.urandom(9000).hex().encode().join([b'{"text": "', b'"}\n']) + GOOD)[:-20],
        {},
        "error[F10] a.jsonl.gz:2: the gzip file is truncated or damaged. Fix: copy or download it again",
    ),
    "F10 truncated parquet": (
        "a.parquet",
        PARQUET[:-10],
        {},
        "error[F10] a.parquet:1: the parquet file is truncated or damaged. Fix: copy or download it again",
    ),
    "J01 in lines": (
        "a.jsonl",
        GOOD + b'{"text": "good" "label": 1}\n',
        {},
        'error[J01] a.jsonl:3:17: invalid JSON (expecting \',\' delimiter) near `{"text": "good" "label": 1}`.'
        " Fix: correct it there",
    ),
    "J01 two objects in a line": (
        "a.jsonl",
        b'{"text": "good"} {"text": "bad"}\n',
        {},
        "error[J01] a.jsonl:1:18: invalid JSON (more text after the object) near",
    ),
    "J01 in a document": (
        "a.json",
        b'[\n  {"text": "good"},\n  {"text" "bad"}\n]',
        {},
        "error[J01] a.json:3:11: invalid JSON (expecting ':' delimiter) near",
    ),
    "J01 after a document": (
        "a.json",
        b'[{"text": "good"}]\n]',
        {},
        "error[J01] a.json:2:1: invalid JSON (extra data)",
    ),
    "J01 too deep": (
        "a.jsonl",
        b'{"text": ' + 100_000 * b"[" + b"\n",
        {},
        "error[J01] a.jsonl:1:1: invalid JSON",
    ),
    "J01 too many digits": (
        "a.jsonl",
        b'{"text": ' + 5000 * b"1" + b"}\n",
        {},
        "error[J01] a.jsonl:1:1: invalid JSON (number with too many digits)",
    ),
    "J02 trailing comma": (
        "a.jsonl",
        GOOD + b'{"text": "good", "label": 1, }\n',
        {},
        "error[J02] a.jsonl:3:28: a comma before the closing bracket near"
        ' `: "good", "label": 1, }`. Fix: remove the comma',
    ),
    "J02 trailing comma in a document": (
        "a.json",
        b'[{"text": "good"},\n {"text": "bad"},\n]\n',
        {},
        "error[J02] a.json:2:17: a comma before the closing bracket",
    ),
    "J02 single quotes": (
        "a.jsonl",
        b"{'text': 'good'}\n",
        {},
        "error[J02] a.jsonl:1:2: JSON needs double quotes instead of single quotes near `{'text': 'good'}`."
        ' Fix: write "..."',
    ),
    "J03 a list": (
        "a.jsonl",
        GOOD + b'["good", 1]\n',
        {},
        'error[J03] a.jsonl:3: expected an object, got a list. Fix: write {"column": value, ...}',
    ),
    "J03 a string": (
        "a.jsonl",
        b'"good"\n',
        {},
        "error[J03] a.jsonl:1: expected an object, got a string.",
    ),
    "J03 one object": (
        "a.json",
        b'{"text": "good", "label": 1}',
        {},
        "error[J03] a.json:1: the file is one object, not a list of rows."
        ' Fix: put the rows in a list: [{...}, {...}], or {"data": [...]}',
    ),
    "J04 repeated key": (
        "a.jsonl",
        GOOD + b'{"text": "good", "text": "bad"}\n',
        {},
        'error[J04] a.jsonl:3: the key "text" appears twice in an object. Fix: remove one of the two',
    ),
    "J05 NaN": (
        "a.jsonl",
        GOOD + b'{"text": "good", "label": NaN}\n',
        {},
        "error[J05] a.jsonl:3: NaN is not valid JSON. Fix: write null or a number",
    ),
    "J05 infinite number": (
        "a.jsonl",
        b'{"label": 1e999}\n',
        {},
        "error[J05] a.jsonl:1: the number 1e999 is too large.",
    ),
    "J07 too many fields": (
        "a.csv",
        CSV + b"good, but long,1\n",
        {},
        "error[J07] a.csv:4: the row has 3 fields, but the header has 2."
        ' Fix: put a field that contains commas or a line break in "double quotes"',
    ),
    "J07 too few fields": (
        "a.tsv",
        b"text\tlabel\n\ngood\n",
        {},
        "error[J07] a.tsv:3: the row has 1 field, but the header has 2.",
    ),
    "J07 carriage return": (
        "a.csv",
        b"text,label\rgood,1\r",
        {},
        "error[J07] a.csv:1: the row contains a carriage return outside quotes.",
    ),
    "J08 never closed": (
        "a.csv",
        CSV + b'"good,1\nbad,0\nbad,0\n',
        {},
        "error[J08] a.csv:4: the quote that opens here is never closed. Fix: close the quote, or set data.quoting=none if quotes are part of the text",
    ),
    "J08 quote inside a quoted field": (
        "a.csv",
        CSV + b'"a "good" film",1\n',
        {},
        "error[J08] a.csv:4: the quote that opens here is not closed at the end of its field."
        ' Fix: close the quote; inside a quoted field, write a quote as ""',
    ),
    "J09 header missing": (
        "a.csv",
        b"good,1\nbad,0\n",
        {},
        'error[J09] a.csv:1: the header is missing: the first line contains the value "1".'
        " Fix: write the column names in the first line",
    ),
    "J09 repeated name": (
        "a.csv",
        b"text,text\na,b\n",
        {},
        'error[J09] a.csv:1: two columns are named "text". Fix: rename one of them',
    ),
    "J09 no name": ("a.csv", b"text,,label\na,b,0\n", {}, "error[J09] a.csv:1: column 2 has no name."),
    "J10 semicolon": (
        "a.csv",
        b"text;label\ngood;1\n",
        {"delimiter": ","},
        "error[J10] a.csv:1: the fields are separated by semicolons instead of commas."
        ' Fix: set data.delimiter=";", or leave it out',
    ),
    "J10 tab": (
        "a.csv",
        b"text\tlabel\ngood\t1\n",
        {"delimiter": ";"},
        "error[J10] a.csv:1: the fields are separated by tabs instead of semicolons."
        r' Fix: set data.delimiter="\t", or leave it out',
    ),
    "J11 lone surrogate": (
        "a.jsonl",
        GOOD + b'{"text": "\\ud83d\\ude00 and \\ud83d"}\n',
        {},
        "error[J11] a.jsonl:3: \\ud83d is half of a surrogate pair and not a character. Fix: remove or repair it",
    ),
    "F04 JSON in conll": (
        "a.bio",
        b'{"tokens": ["a"], "tags": ["O"]}\n',
        {},
        "error[F04] a.bio: the suffix is .bio, but this is JSON. Fix: rename it to .jsonl",
    ),
    "F03 no sentence": ("a.conll", b"-DOCSTART- -X- O\n\n", {}, "error[F03] a.conll: the file has no rows."),
    "F07 conll in gb18030": (
        "a.bmes",
        "北 B-LOC\n京 E-LOC\n".encode("gb18030"),
        {},
        "error[F07] a.bmes:1:1: not valid UTF-8 (byte 0xb1); 1 more line has such bytes.",
    ),
    "F09 a sentence without end": (
        "a.conll",
        10 * b"word O\n",
        {"max_line_bytes": 20},
        "error[F09] a.conll:1: the sentence that begins here is longer than 20 characters."
        " Fix: write a blank line between sentences, or raise data.max_line_bytes",
    ),
    "N04 too few columns": (
        "a.conll",
        b"EU NNP B-ORG\nrejects O\n",
        {},
        "error[N04] a.conll:2: the line has 2 columns, but line 1 has 3."
        " Fix: write 3 columns separated by spaces, and a blank line between sentences",
    ),
    "N04 too many columns": (
        "a.iob",
        b"EU\tB-ORG\n\nNew\tYork\tO\n",
        {},
        "error[N04] a.iob:3: the line has 3 columns, but line 1 has 2."
        " Fix: write 2 columns separated by tabs, and a blank line between sentences",
    ),
    "J03 no questions in a paragraph": (
        "a.json",
        b'{"data": [\n{"paragraphs": [{"qas": []}, {"qas": "Who?"}]}]}',
        {},
        'error[J03] a.json:2: "qas" is not a list of objects. Fix: use the format of SQuAD',
    ),
    "J11 lone second half": (
        "a.json",
        b'[{"text": "\\uDE00"}]',
        {},
        "error[J11] a.json:1: \\uDE00 is half of",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_reported_with_place_and_fix(tmp_path, case):
    name, content, keys, expected = BAD_FILES[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(path, **keys)
    line = caught.value.lines()[0]
    assert line == expected if " Fix: " in expected else line.startswith(expected)
    assert len(caught.value.details) == 1
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert list(tmp_path.iterdir()) == [path]


def test_all_errors_of_a_file_are_raised_together(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": \n[1]\n' + GOOD + b'{"a": 1, "a": 2}\n')
    with pytest.raises(DataError) as caught:
        read(path)
    assert [(p.code, p.place) for p in caught.value.details] == [
        ("J01", "a.jsonl:1:10"),
        ("J03", "a.jsonl:2"),
        ("J04", "a.jsonl:5"),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_a_file_without_permission_is_f02(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(CSV)
    path.chmod(0)
    with pytest.raises(DataError, match=r"F02\] a.csv: you may not read this file"):
        read(path)


def test_permission_error_on_open_is_f02(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_bytes(CSV)

    def refuse(*args, **keys):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"F02\] a.csv: you may not read this file"):
        read(path)


ROWS = [(1, {"text": "good", "label": 1}), (2, {"text": "bad", "label": 0})]
STRINGS = [(2, {"text": "good", "label": "1"}), (3, {"text": 'bad, "really"', "label": "0"})]

CONLL = b"-DOCSTART- -X- O\n\nEU NNP B-ORG\n. . O\n\nRio NNP B-LOC\n"
SENTENCES = [
    (3, {"tokens": ["EU", "."], "tags": ["B-ORG", "O"], "1": ["NNP", "."]}),
    (6, {"tokens": ["Rio"], "tags": ["B-LOC"], "1": ["NNP"]}),
]
SQUAD = b"""{"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "In Rio.",
"qas": [{"id": "1", "question": "Where?", "answers": [{"text": "Rio", "answer_start": 3}]},
{"id": "2", "question": "When?", "answers": [], "is_impossible": true}]}]}]}"""
QUESTION = {"title": "t", "context": "In Rio."}
QUESTIONS = [
    (
        2,
        QUESTION
        | {
            "id": "1",
            "question": "Where?",
            "answers": {"text": ["Rio"], "answer_start": [3]},
            "is_impossible": False,
        },
    ),
    (
        3,
        QUESTION
        | {
            "id": "2",
            "question": "When?",
            "answers": {"text": [], "answer_start": []},
            "is_impossible": True,
        },
    ),
]

GOOD_FILES = {
    "a.conll": (CONLL, SENTENCES),
    "a.iob": (CONLL.rstrip(), SENTENCES),
    "a.bio.gz": (gzip.compress(CONLL), SENTENCES),
    "a.BMES": (CONLL.replace(b"\n", b"\r\n"), SENTENCES),
    "squad.json": (SQUAD, QUESTIONS),
    "crlf.json": (SQUAD.replace(b"\n", b"\r\n"), QUESTIONS),
    "squad.json.gz": (gzip.compress(SQUAD), QUESTIONS),
    "a.jsonl": (GOOD, ROWS),
    "a.ndjson": (GOOD.replace(b"\n", b"\r\n"), ROWS),
    "a.JSONL": (GOOD.rstrip(), ROWS),
    "blank.jsonl": (b"\n" + GOOD, [(2, ROWS[0][1]), (3, ROWS[1][1])]),
    "empty object.jsonl": (b"{}\n", [(1, {})]),
    "a.json": (
        b'\n[ {"text": "good",\n "label": 1}\n,\n{"text": "bad", "label": 0}]\n',
        [(2, ROWS[0][1]), (5, ROWS[1][1])],
    ),
    "data.json": (
        b'{"version": "2",\n"data": [{"a": {"b": [1]}},\n{}],\n"x": [1, {}]}',
        [(2, {"a": {"b": [1]}}), (3, {})],
    ),
    "a.csv": (CSV, STRINGS),
    "crlf.csv": (CSV.replace(b"\n", b"\r\n"), STRINGS),
    "a.tsv": (b'text\tlabel\ngood\t1\n"bad, ""really"""\t0\n', STRINGS),
    "lines.csv": (
        b'text,label\n"good\nfilm",1\n\nbad,0\n',
        [(2, {"text": "good\nfilm", "label": "1"}), (5, {"text": "bad", "label": "0"})],
    ),
    "a.parquet": (PARQUET, ROWS),
    "a.jsonl.gz": (gzip.compress(GOOD), ROWS),
    "a.csv.gz": (gzip.compress(CSV), STRINGS),
    "a.json.GZ": (gzip.compress(json.dumps([ROWS[0][1]]).encode()), ROWS[:1]),
}


@pytest.mark.parametrize("name", GOOD_FILES)
def test_a_good_file_yields_rows_with_line_numbers(tmp_path, name):
    content, expected = GOOD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert read(path) == (expected, [])
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.CSV", ".csv"),
        ("a.b.jsonl.gz", ".jsonl"),
        ("a.parquet.gz", None),
        ("a.txt.gz", ".txt"),
        ("a.doc", None),
        ("csv", None),
        ("a.ner.bio.GZ", ".bio"),
    ],
)
def test_the_suffix_determines_the_format(name, suffix):
    assert data_suffix(name) == suffix


@pytest.mark.parametrize(
    ("name", "content", "expected"), [("a.conll", CONLL, SENTENCES), ("a.json", SQUAD, QUESTIONS)]
)
def test_a_byte_order_mark_is_skipped_and_noted(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content)
    assert read(tmp_path / name) == (
        expected,
        [f"{name}: skipped a UTF-8 byte order mark at the beginning"],
    )


def test_a_conll_row_contains_the_columns_named_in_the_recipe(tmp_path):
    (tmp_path / "a.conll").write_bytes(CONLL)
    (_, row), _ = read(tmp_path / "a.conll", columns={"tags": 2})[0]
    assert row["2"] == row["tags"] == ["B-ORG", "O"]
    assert "0" not in row


def test_reading_imports_no_heavy_library():
    import subprocess

    code = "import sys, llmkit.data.corpus, llmkit.data.reading.readers; print({'torch', 'datasets', 'pyarrow'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_each_line_of_plain_text_is_a_row_including_blank_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes("to be\r\n\n  或 not\n".encode())
    rows = list(read_rows(tmp_path / "a.txt", Data(), FileErrors("a.txt")))
    assert rows == [(1, {"text": "to be\n"}), (2, {"text": "\n"}), (3, {"text": "  或 not\n"})]


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a.conll"])
def test_conll_is_recognized_by_its_content(tmp_path, name):
    path = tmp_path / name
    path.write_text("Anna\tB-PER\nslept\tO\n\nNo\tO\none\tO\n", encoding="utf-8")
    assert [row["tokens"] for _, row in read(path)[0]] == [["Anna", "slept"], ["No", "one"]]


def test_a_delimiter_in_the_recipe_wins_over_the_content(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("Anna\tB-PER\nslept\tO\n", encoding="utf-8")
    assert [row for _, row in read(path, delimiter="\t")[0]] == [{"Anna": "slept", "B-PER": "O"}]
