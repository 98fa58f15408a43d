# ruff: noqa: E501  (messages are written on one line, as the user sees them)
"""Tests of the check of extractive questions."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.data.checks.questions import check_questions
from llmkit.data.reading import table_builder
from llmkit.recipe.schema import Data

SHARED = pytest.mark.shared
SPLITS = ("train", "validation", "test")
WHOLE = {"validation_share": 0.0, "test_share": 0.0}  # no split is created
COLUMNS = {"question": "question", "context": "context", "answers": "answers"}
CONTEXT = "Pelé joined in the late 1980s, not in 1980."


@pytest.fixture
def questions(in_folder, read):
    """Return a function that reads a corpus of rows about CONTEXT, given by split."""

    def call(columns=COLUMNS, **splits):
        for split, rows in splits.items():
            full = [{"question": f"When {n}?", "context": CONTEXT, **row} for n, row in enumerate(rows)]
            Path(f"{split}.jsonl").write_text(
                "".join(json.dumps(row) + "\n" for row in full), encoding="utf-8"
            )
        return read(columns=columns, **{split: f"{split}.jsonl" for split in splits})

    return call


def answers(*pairs):
    return {"answers": {"text": [text for text, _ in pairs], "answer_start": [start for _, start in pairs]}}


def lines(corpus, unanswerable=False, **keys):
    _, references, errors, _ = check_questions(
        corpus, Data(**WHOLE, **keys), unanswerable=unanswerable, seed=1
    )
    assert bool(references) is not bool(errors)
    return [str(error) for error in errors]


# valid rows


def test_valid_questions_get_references(questions):
    corpus = questions(
        train=[answers(("late 1980s", 19), ("1980s", 24)), answers(("1980", 38)), answers(("Pelé", 0)) | {"context": "Pelé"}],
        test=[answers(("Pelé", 0)) | {"context": CONTEXT.upper() + "!", "answers": {"text": ["PELÉ"], "answer_start": [0]}}],
    )  # fmt: skip
    left, references, errors, notes = check_questions(corpus, Data(**WHOLE), unanswerable=False, seed=1)
    assert (errors, notes) == ([], [])
    assert references["train"]["answers"].tolist() == [("late 1980s", "1980s"), ("1980",), ("Pelé",)]
    assert [row.tolist() for row in references["train"]["starts"]] == [[19, 24], [38], [0]]
    assert references["train"]["starts"][0].dtype == np.int64
    assert references["train"]["groups"].tolist() == [0, 0, 1]
    assert references["test"]["groups"].tolist() == [2]
    assert left.fingerprint == corpus.fingerprint


FORMATS = {
    "lists": {"answers": {"text": ["1980s"], "answer_start": [24]}},
    "objects": {"answers": [{"text": "1980s", "answer_start": 24}]},
    "one object": {"answers": {"text": "1980s", "answer_start": 24}},
    "a text beside": {"answers": "1980s", "answer_start": 24},
    "a string as offset": {"answers": "1980s", "answer_start": "24"},
    "a fraction": {"answers": [{"text": "1980s", "answer_start": 24.0}]},
}


@pytest.mark.parametrize("form", FORMATS)
def test_answers_in_all_formats_are_unified(questions, form):
    left, references, errors, _ = check_questions(
        questions(train=[FORMATS[form]]), Data(), unanswerable=False
    )
    assert errors == []
    assert left.splits["train"].column("answers") == [{"text": ["1980s"], "answer_start": [24]}]
    assert (references["train"]["answers"][0], references["train"]["starts"][0].tolist()) == (
        ("1980s",),
        [24],
    )


def test_a_csv_file_holds_one_answer_per_question(in_folder, read):
    Path("a.csv").write_text("question,context,answer,answer_start\nWhat?,a b,b,2\nWhy?,a b,,\n")
    corpus = read(train="a.csv", columns={"question": "question", "context": "context"})
    _, references, errors, notes = check_questions(corpus, Data(), unanswerable=True)
    assert (errors, notes) == ([], ["train: 1 of 2 rows without an answer"])
    assert references["train"]["answers"].tolist() == [("b",), ()]
    renamed = read(train="a.csv", columns=COLUMNS | {"answers": "answer"})
    assert check_questions(renamed, Data(), unanswerable=True)[1]["train"]["answers"].tolist() == [("b",), ()]


@pytest.mark.parametrize("no_answer", [
    {"answers": {"text": [], "answer_start": []}}, {"answers": None}, {"answers": {"text": None}}, {"answers": {}},
])  # fmt: skip
@pytest.mark.parametrize("rows_in_chunk", [1, 10_000])
@pytest.mark.parametrize("first", [True, False])
def test_rows_without_answers_may_come_first_or_last(questions, monkeypatch, no_answer, rows_in_chunk, first):
    monkeypatch.setattr(table_builder, "CHUNK_ROWS", rows_in_chunk)
    rows = [no_answer, no_answer, answers(("1980s", 24))]
    corpus = questions(train=rows if first else rows[::-1])
    _, references, errors, _ = check_questions(corpus, Data(), unanswerable=True)
    assert errors == []
    expected = [(), (), ("1980s",)]
    assert references["train"]["answers"].tolist() == (expected if first else expected[::-1])


def test_empty_lists_of_objects_are_no_answers(questions):
    corpus = questions(train=[{"answers": []}, FORMATS["objects"], {"answers": []}])
    assert check_questions(corpus, Data(), unanswerable=True)[1]["train"]["answers"].tolist() == [
        (),
        ("1980s",),
        (),
    ]


def test_answers_of_impossible_questions_are_ignored_and_counted(questions):
    corpus = questions(
        train=[answers(("1980s", 24)) | {"is_impossible": flag} for flag in (True, False, None)]
    )
    _, references, _problems, notes = check_questions(corpus, Data(), unanswerable=True)
    assert references["train"]["answers"].tolist() == [(), ("1980s",), ("1980s",)]
    assert notes == [
        "train: 1 row with is_impossible, whose answers were ignored",
        "train: 1 of 3 rows without an answer",
    ]


# errors


ERRORS = {
    "Q01 one too far": (
        answers(("late 1980s", 20)) | {"context": CONTEXT.replace("é", "e")},
        'answer_start 20 is off by 1: "late 1980s" starts at 19. Fix: write 19',
    ),
    "Q01 the nearer of two": (
        answers(("1980", 34)), 'answer_start 34 is off by 4: "1980" starts at 38. Fix: write 38',
    ),
    "Q01 the nearer before": (
        answers(("1980", 28)), 'answer_start 28 is off by 4: "1980" starts at 24. Fix: write 24',
    ),
    "Q02 elsewhere": (
        answers(("2001", 3)), 'the answer "2001" does not occur in the context. Fix: copy it from the context',
    ),
    "Q02 but for case": (
        answers(("Late  1980s", 19)),
        'the answer "Late 1980s" does not occur in the context (a text that differs only in case, width or white space does).'
        " Fix: copy it from the context",
    ),
    "Q02 empty": (answers(("", 3)), "an answer is empty. Fix: write an empty list if there is no answer"),
    "Q03 before": (
        answers(("2001", -1)),
        'answer_start -1 of "2001" is before the context. Fix: correct it; a question without an answer has an empty list',
    ),
    "Q03 from the end": (
        answers(("1980.", -5)), 'answer_start -5 of "1980." is before the context. Fix: write 38',
    ),
    "Q03 past": (answers(("1980", 43)), 'answer_start 43 of "1980" is past its end at 43. Fix: write 38'),
    "Q03 null": (
        answers(("1980", None)),
        'answer_start of "1980" is null, not an integer. Fix: write where the answer starts, counted from 0',
    ),
    "Q03 half": (
        {"answers": [{"text": "1980", "answer_start": 38.5}]},
        'answer_start of "1980" is "38.5", not an integer. Fix: write where the answer starts, counted from 0',
    ),
    "Q03 huge": (
        {"answers": [{"text": "1980", "answer_start": 1e300}]},
        'answer_start of "1980" is "1e+300", not an integer. Fix: write where the answer starts, counted from 0',
    ),
    "Q03 word": (
        {"answers": "1980", "answer_start": "x"},
        'answer_start of "1980" is "x", not an integer. Fix: write where the answer starts, counted from 0',
    ),
    "L02 null": (answers((None, 3)), "an answer is null, not a string. Fix: write a text there"),
    "L02 number": (answers((1980, 38)), 'an answer is "1980", not a string. Fix: write a text there'),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_a_wrong_answer_has_an_error_and_a_fix(questions, case):
    row, expected = ERRORS[case]
    assert lines(questions(train=[row])) == [f"error[{case[:3]}] train.jsonl:1: {expected}"]


def test_the_message_names_the_id_of_the_question(questions):
    corpus = questions(train=[answers(("1980", 38)) | {"id": "q0"}, answers(("1980", 37)) | {"id": "q1"}])
    assert lines(corpus) == [
        'error[Q01] train.jsonl:2: answer_start 37 is off by 1: "1980" starts at 38 (question q1). Fix: write 38'
    ]


def test_errors_are_grouped_by_code_and_limited(questions):
    wrong = [
        answers(("1980", 37)),
        answers(("x y", 3)),
        answers(("1980", 38)),
        answers(("1980", 38), ("Pelé", 1)),
    ]
    assert [error[:26] for error in lines(questions(train=wrong))] == [
        "error[Q01] train.jsonl:1: ", "error[Q01] train.jsonl:4: ", "error[Q02] train.jsonl:2: ",
    ]  # fmt: skip
    many = lines(questions(train=[answers(("1980", 37))] * 30))
    assert len(many) == 21
    assert many[20].startswith("error[Q01] train.jsonl:21: 10 more errors of this kind from here on.")


FRENCH = "Il a été élu à Orléans 🎉 en 1998, à Paris"


def shifted(encoding, unit, *texts, context=FRENCH):
    return answers(
        *((text, len(context[: context.index(text)].encode(encoding)) // unit) for text in texts)
    ) | {"context": context}


@pytest.mark.parametrize(
    ("encoding", "unit", "message", "fix"),
    [
        ("utf-8", 1, "answer_start 36 counts UTF-8 bytes; in characters it is 28 (so do 3 offsets of this file)",
         "count characters: len(context.encode()[:start].decode())"),
        ("utf-16-le", 2, "answer_start 29 counts UTF-16 units (as JavaScript and Java do); in characters it is 28 (so do 2 offsets of this file)",
         'count characters: len(context.encode("utf-16-le")[:2 * start].decode("utf-16-le"))'),
    ],
)  # fmt: skip
def test_offsets_in_other_units_are_one_error_per_file(questions, encoding, unit, message, fix):
    rows = [
        answers(("Pelé", 0)),
        shifted(encoding, unit, "1998", "Orléans"),
        shifted(encoding, unit, "Paris"),
    ]
    assert lines(questions(train=rows)) == [f"error[Q05] train.jsonl:2: {message}. Fix: {fix}"]


def test_byte_offsets_past_the_end_are_recognized(questions):
    row = shifted("utf-8", 1, "京", context="他的家在北京")
    assert lines(questions(train=[row]))[0].startswith(
        "error[Q05] train.jsonl:1: answer_start 15 counts UTF-8 bytes; in characters it is 5."
    )


def test_one_offset_that_does_not_fit_other_units_makes_all_errors_q01(questions):
    rows = [shifted("utf-8", 1, "1998"), answers(("late", 18))]
    assert [error[:26] for error in lines(questions(train=rows))] == [
        "error[Q01] train.jsonl:1: ", "error[Q01] train.jsonl:2: ",
    ]  # fmt: skip


def test_offsets_that_are_right_in_characters_rule_out_other_units(questions):
    assert lines(questions(train=[answers(("late 1980s", 20))]))[0].startswith("error[Q05] train.jsonl:1:")
    rows = [answers(("late 1980s", 20)), answers(("1980", 38))]
    assert [error[:26] for error in lines(questions(train=rows))] == ["error[Q01] train.jsonl:1: "]


def test_units_are_checked_per_file(questions):
    errors = lines(questions(train=[shifted("utf-8", 1, "1998")], test=[answers(("late", 18))]))
    assert [error[:25] for error in errors] == [
        "error[Q05] train.jsonl:1:",
        "error[Q01] test.jsonl:1: ",
    ]


def test_questions_without_an_answer_are_q04_unless_allowed(questions):
    rows = [answers(("1980", 38)), answers() | {"id": 7}, {"answers": None, "id": 8}]
    assert lines(questions(train=rows)) == [
        "error[Q04] train.jsonl:2: 2 of 3 rows without an answer (question 7), also at train.jsonl:3 (question 8)."
        " Fix: add the answers, or set task.unanswerable=true"
    ]
    assert lines(questions(train=rows), unanswerable=True) == []


def test_questions_and_contexts_must_be_texts(questions):
    rows = [answers(("1980", 37)), answers() | {"context": None}, answers(("1980", 38)) | {"question": " "}]
    assert lines(questions(train=rows), unanswerable=True) == [
        'error[L03] train.jsonl:3: 1 row with an empty or blank "question". Fix: fill in a text, or set data.empty_text=drop',
        'error[L02] train.jsonl:2: "context" is null. Fix: write a text there',
        'error[Q01] train.jsonl:1: answer_start 37 is off by 1: "1980" starts at 38. Fix: write 38',
    ]
    dropped = check_questions(
        questions(train=[*rows[2:], answers(("1980", 38))]), Data(empty_text="drop"), unanswerable=False
    )
    assert len(dropped[1]["train"]["answers"]) == 1
    assert dropped[3] == ['train: 1 row dropped (empty or blank "question")']


def test_a_missing_column_is_l01(in_folder, read):
    Path("a.jsonl").write_text(json.dumps({"question": "x", "context": "y", "answer": "y"}) + "\n")
    columns = {"question": "question", "context": "context"}
    assert lines(read(train="a.jsonl", columns=columns)) == [
        'error[L01] a.jsonl: column "answer_start" is missing (columns in the file: answer, context, question).'
        " Fix: add the offset of each answer"
    ]
    Path("a.jsonl").write_text(json.dumps({"question": "x", "context": "y", "gold": "y"}) + "\n")
    assert lines(read(train="a.jsonl", columns=columns)) == [
        'error[L01] a.jsonl: column "answers" is missing (columns in the file: context, gold, question).'
        " Fix: set data.columns.answers=NAME"
    ]


def test_rows_on_disk_are_checked_like_rows_in_memory(questions, monkeypatch):
    rows = [answers(), *[answers(("1980", 38)) for _ in range(20)], answers()]
    expected = check_questions(questions(train=rows), Data(), unanswerable=True)
    monkeypatch.setattr(table_builder, "IN_MEMORY", 100)
    result = check_questions(questions(train=rows), Data(), unanswerable=True)
    assert result[0].splits["train"].rows[:] == expected[0].splits["train"].rows[:]
    assert result[1]["train"]["answers"].tolist() == expected[1]["train"]["answers"].tolist()


# leaks and splits


def test_a_question_in_two_splits_is_l13_and_a_shared_passage_is_noted(questions):
    row = answers(("1980", 38))
    corpus = questions(train=[row, row], test=[row])
    assert lines(corpus)[0].startswith("error[L13] test.jsonl:1: the same text occurs in train and test")
    left, references, _, notes = check_questions(
        corpus, Data(duplicates="drop", **WHOLE), unanswerable=False, seed=1
    )
    assert left.splits["train"].lines.tolist() == [2]
    assert "test: 1 of 1 contexts also occur in train" in notes
    assert references["train"]["groups"].tolist() == references["test"]["groups"].tolist()
    assert check_questions(corpus, Data(), unanswerable=False)[2] == []


def test_missing_splits_are_created_by_passage(questions):
    rows = [answers(("a", 0)) | {"context": f"a passage {n % 20}"} for n in range(100)]
    left, references, _, notes = check_questions(questions(train=rows), Data(), unanswerable=False, seed=1)
    passages = [{*split.column("context")} for split in left.splits.values()]
    assert [len(contexts) for contexts in passages] == [16, 2, 2]
    assert len(set.union(*passages)) == 20
    assert {name: len(references[name]["starts"]) for name in SPLITS} == {
        "train": 80,
        "validation": 10,
        "test": 10,
    }
    assert notes == []
    assert list(check_questions(questions(train=rows), Data(), unanswerable=False)[1]) == ["train"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.text("ab é京🎉", min_size=1, max_size=9), st.text("ab é京🎉", max_size=2), st.integers(-2, 12)), min_size=1),
    st.booleans(),
)  # fmt: skip
def test_any_row_is_checked_and_valid_references_fit_their_context(questions, rows, unanswerable):
    rows = [answers((text, start)) | {"context": context} for context, text, start in rows]
    left, references, errors, _ = check_questions(questions(train=rows), Data(), unanswerable=unanswerable)
    if not errors:
        for context, texts, starts in zip(
            left.splits["train"].column("context"),
            references["train"]["answers"],
            references["train"]["starts"],
        ):
            assert all(text and context[start:].startswith(text) for text, start in zip(texts, starts))
    right = all(
        row["answers"]["text"][0]
        and start >= 0
        and row["context"][start:].startswith(row["answers"]["text"][0])
        and row["context"].strip()
        for row in rows
        for start in row["answers"]["answer_start"]
    )
    assert right is not bool(errors)


# files


def squad(rows):
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": CONTEXT, "qas": rows}]}]}


@pytest.mark.parametrize("variant", ["plain", "indented", "gz", "BOM", "CRLF"])
def test_the_fingerprint_equals_that_of_the_same_rows_in_jsonl(in_folder, read, variant):
    qas = [
        {"id": str(n), "question": f"When {n}?", "answers": [{"text": "1980", "answer_start": 38}]}
        for n in range(3)
    ]
    text = json.dumps(squad(qas), indent=1 if variant in ("indented", "CRLF") else None)
    if variant == "CRLF":
        text = text.replace("\n", "\r\n")
    content = b"\xef\xbb\xbf" * (variant == "BOM") + text.encode()
    name = "a.json.gz" if variant == "gz" else "a.json"
    Path(name).write_bytes(gzip.compress(content) if variant == "gz" else content)
    flat = [answers(("1980", 38)) | {"id": q["id"], "question": q["question"], "title": "t", "context": CONTEXT,
            "is_impossible": False} for q in qas]  # fmt: skip
    Path("a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in flat))
    corpus = read(train=name, columns=COLUMNS)
    assert corpus.fingerprint == read(train="a.jsonl", columns=COLUMNS).fingerprint
    assert lines(corpus) == []


@SHARED
@pytest.mark.parametrize(
    ("name", "sizes", "without"),
    [
        ("xquad_en", [738, 120, 332], [0, 0, 0]),
        ("xquad_zh", [738, 120, 332], [0, 0, 0]),
        ("squad_v2", [643, 164, 253], [355, 84, 123]),
        ("cmrc2018", [327, 58, 163], [0, 0, 0]),
    ],
)
def test_all_rows_of_the_sample_sets_are_valid(shared, read, name, sizes, without):
    corpus = read(columns=COLUMNS, **{split: str(shared / "qa" / name / f"{split}.json") for split in SPLITS})
    assert [len(corpus.splits[split]) for split in SPLITS] == sizes
    data = Data(empty_text="drop") if name == "cmrc2018" else Data()  # two of its questions are empty
    left, references, errors, notes = check_questions(corpus, data, unanswerable=any(without), seed=1)
    assert errors == []
    assert [sum(not texts for texts in references[split]["answers"]) for split in SPLITS] == without
    if name == "cmrc2018":
        assert 'train: 2 rows dropped (empty or blank "question")' in notes
    if name.startswith("xquad"):
        assert len({*references["train"]["groups"].tolist()}) == 145
    for split in SPLITS:
        for context, texts, starts in zip(
            left.splits[split].column("context"), *(references[split][k] for k in ("answers", "starts"))
        ):
            assert all(context[start : start + len(text)] == text for text, start in zip(texts, starts))
