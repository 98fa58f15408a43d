"""`llmkit evaluate --predictions --references`: scores equal those of reference packages; bad files are errors."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Files = dict[str, str | bytes]

P, R = "--predictions", "--references"
HEAVY = {"torch", "transformers", "datasets", "accelerate", "evaluate", "sklearn", "matplotlib"}
SQUAD = json.dumps(
    {
        "version": "1.1",
        "data": [
            {
                "title": "Normans",
                "paragraphs": [
                    {
                        "context": "In France, in the 10th century.",
                        "qas": [
                            {
                                "id": "q1",
                                "question": "Where?",
                                "answers": [{"text": "France", "answer_start": 3}],
                            },
                            {
                                "id": "q2",
                                "question": "When?",
                                "answers": [{"text": "the 10th century", "answer_start": 14}],
                            },
                        ],
                    }
                ],
            }
        ],
    }
)


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def lines(values: list[Any]) -> str:
    return "".join(f"{value}\n" for value in values)


def metric_options(names: list[str]) -> list[str]:
    return [word for name in names for word in ("--metric", name)]


def jsonl(rows: list[dict[str, Any]]) -> str:
    return lines([json.dumps(row, ensure_ascii=False) for row in rows])


TWO: Files = {"r.txt": "a\nb\n"}
TWO_ROWS: Files = {"r.jsonl": jsonl([{"id": 1, "label": "a"}, {"id": 2, "label": "b"}])}
QUESTIONS: Files = {"r.json": SQUAD}
TEXTS: Files = {"r.txt": "a cat sat\nthe dog ran\n"}
SENTENCES: Files = {"r.conll": "EU B-ORG\nsays O\n\nPeter B-PER\n"}

# files, predictions, references, metric, error code, a part of the message
MALFORMED: dict[str, tuple[Files, str, str, str, str, str]] = {
    "fewer predictions": (
        {**TWO, "p.txt": "a\n"},
        "p.txt",
        "r.txt",
        "accuracy",
        "E04",
        "1 example, but r.txt has 2",
    ),
    "more predictions": ({**TEXTS, "p.txt": "a\nb\nc\n"}, "p.txt", "r.txt", "bleu", "E04", "3 examples"),
    "an extra blank line": ({**TEXTS, "p.txt": "a\nb\n\n"}, "p.txt", "r.txt", "chrf", "E04", "3 examples"),
    "empty predictions": ({**TWO, "p.txt": ""}, "p.txt", "r.txt", "accuracy", "F03", "p.txt"),
    "empty references": ({"p.txt": "a\n", "r.txt": ""}, "p.txt", "r.txt", "bleu", "F03", "r.txt"),
    "csv with a header alone": (
        {**TWO, "p.csv": "prediction\n"},
        "p.csv",
        "r.txt",
        "accuracy",
        "F03",
        "no rows",
    ),
    "blank label": ({**TWO, "p.txt": "a\n \n"}, "p.txt", "r.txt", "accuracy", "E07", "p.txt:2"),
    "UTF-16": (
        {**TWO, "p.txt": "a\nb\n".encode("utf-16")},
        "p.txt",
        "r.txt",
        "accuracy",
        "F06",
        "iconv -f UTF-16",
    ),
    "UTF-16 without a mark": (
        {**TEXTS, "p.txt": "a cat\nb\n".encode("utf-16-le")},
        "p.txt",
        "r.txt",
        "bleu",
        "F06",
        "UTF-16",
    ),
    "UTF-16 jsonl": (
        {**TWO, "p.jsonl": '{"prediction": "a"}\n'.encode("utf-16")},
        "p.jsonl",
        "r.txt",
        "f1",
        "F06",
        "UTF-16",
    ),
    "UTF-32": ({**TWO, "p.txt": "a\nb\n".encode("utf-32")}, "p.txt", "r.txt", "mcc", "F06", "UTF-32"),
    "cp1252": (
        {**TEXTS, "p.txt": "café\nthe\n".encode("cp1252")},
        "p.txt",
        "r.txt",
        "bleu",
        "F07",
        "p.txt:1:4",
    ),
    "binary": ({**TWO, "p.txt": b"a\n\x00\x01b\n"}, "p.txt", "r.txt", "accuracy", "F08", "p.txt:2"),
    "truncated gzip": (
        {**TEXTS, "p.txt.gz": gzip.compress(os.urandom(9000).hex().encode())[:2000]},
        "p.txt.gz",
        "r.txt",
        "bleu",
        "F10",
        "p.txt.gz",
    ),
    "gzip by name alone": (
        {**TWO, "p.txt.gz": "a\nb\n"},
        "p.txt.gz",
        "r.txt",
        "accuracy",
        "F04",
        "not a gzip archive",
    ),
    "gzip without the name": (
        {**TWO, "p.txt": gzip.compress(b"a\nb\n")},
        "p.txt",
        "r.txt",
        "accuracy",
        "F04",
        "add .gz",
    ),
    "zip archive": ({**TWO, "p.csv": b"PK\x03\x04...."}, "p.csv", "r.txt", "accuracy", "F04", "zip"),
    "damaged parquet": (
        {**TWO, "p.parquet": b"PAR1...."},
        "p.parquet",
        "r.txt",
        "accuracy",
        "F10",
        "p.parquet",
    ),
    "no such file": (
        {**TWO, "pred.txt": "a\nb\n"},
        "prd.txt",
        "r.txt",
        "accuracy",
        "F01",
        'did you mean "pred.txt"?',
    ),
    "no such references": ({"p.txt": "a\n"}, "p.txt", "gone/r.txt", "accuracy", "F01", "gone/r.txt"),
    "a folder": ({"r.txt": "a\n"}, ".", "r.txt", "accuracy", "F02", "folder"),
    "broken JSON": (
        {**TWO_ROWS, "p.jsonl": '{"id": 1, "prediction": "a"}\n{"id": 2, "prediction": }\n'},
        "p.jsonl",
        "r.jsonl",
        "accuracy",
        "J01",
        "p.jsonl:2:25",
    ),
    "a trailing comma": (
        {**QUESTIONS, "p.json": '{"q1": "a",\n}'},
        "p.json",
        "r.json",
        "squad",
        "J02",
        "p.json:1:11",
    ),
    "a list of texts": (
        {**TWO, "p.json": '["a", "b"]'},
        "p.json",
        "r.txt",
        "accuracy",
        "J03",
        "expected an object, got a string (and 1 more)",
    ),
    "NaN in JSON": (
        {"r.txt": "1\n2\n", "p.jsonl": '{"prediction": 1}\n{"prediction": NaN}\n'},
        "p.jsonl",
        "r.txt",
        "pearson",
        "J05",
        "p.jsonl:2",
    ),
    "nan in text": ({"r.txt": "1\n2\n", "p.txt": "1.5\nnan\n"}, "p.txt", "r.txt", "mse", "E07", "p.txt:2"),
    "infinite": ({"r.txt": "1\n-inf\n", "p.txt": "1.5\n2\n"}, "p.txt", "r.txt", "spearman", "E07", "r.txt:2"),
    "words instead of numbers": (
        {"r.txt": "1\n2\n3\n", "p.txt": "1\ntwo\nthree\n"},
        "p.txt",
        "r.txt",
        "mse",
        "E07",
        'p.txt:2: "text" is "two", not a number (and 1 more row like it)',
    ),
    "numbers instead of texts": (
        {**TEXTS, "p.jsonl": jsonl([{"prediction": "a"}, {"prediction": 3}])},
        "p.jsonl",
        "r.txt",
        "bleu",
        "E07",
        "p.jsonl:2",
    ),
    "null": (
        {**TEXTS, "p.jsonl": jsonl([{"prediction": "a"}, {"prediction": None}])},
        "p.jsonl",
        "r.txt",
        "bleu",
        "E07",
        "p.jsonl:2",
    ),
    "a list instead of a label": (
        {**TWO, "p.jsonl": jsonl([{"prediction": ["a"]}, {"prediction": ["b"]}])},
        "p.jsonl",
        "r.txt",
        "f1",
        "E07",
        "p.jsonl:1",
    ),
    "no references in a row": (
        {"p.txt": "a\nb\n", "r.jsonl": jsonl([{"references": ["a"]}, {"references": []}])},
        "p.txt",
        "r.jsonl",
        "chrf",
        "E07",
        "r.jsonl:2",
    ),
    "csv without the column": (
        {**TWO, "p.csv": "id,guess\n1,a\n2,b\n"},
        "p.csv",
        "r.txt",
        "accuracy",
        "E07",
        'the file has "id", "guess"',
    ),
    "csv with a row too short": (
        {**TWO, "p.csv": "id,prediction\n1,a\n2\n"},
        "p.csv",
        "r.txt",
        "accuracy",
        "J07",
        "p.csv:3",
    ),
    "csv with an open quote": (
        {**TWO, "p.csv": 'prediction\n"a\nb\n'},
        "p.csv",
        "r.txt",
        "accuracy",
        "J08",
        "p.csv:2",
    ),
    "other ids": (
        {**TWO_ROWS, "p.jsonl": jsonl([{"id": 1, "prediction": "a"}, {"id": 3, "prediction": "b"}])},
        "p.jsonl",
        "r.jsonl",
        "accuracy",
        "E05",
        'id "3" is only in this file; id "2" is only in r.jsonl',
    ),
    "a missing answer": (
        {**QUESTIONS, "p.json": '{"q1": "France"}'},
        "p.json",
        "r.json",
        "squad",
        "E05",
        '"q2"',
    ),
    "an id twice": (
        {**TWO_ROWS, "p.jsonl": jsonl([{"id": 1, "prediction": "a"}, {"id": 1, "prediction": "b"}])},
        "p.jsonl",
        "r.jsonl",
        "accuracy",
        "E06",
        "p.jsonl:2",
    ),
    "an id twice in an object": (
        {**QUESTIONS, "p.json": '{"q1": "a",\n"q1": "b",\n"q2": ""}'},
        "p.json",
        "r.json",
        "squad",
        "E06",
        "p.json:2",
    ),
    "a row without its id": (
        {**TWO_ROWS, "p.jsonl": jsonl([{"id": 1, "prediction": "a"}, {"prediction": "b"}])},
        "p.jsonl",
        "r.jsonl",
        "accuracy",
        "E07",
        "p.jsonl:2",
    ),
    "a question without an answer": (
        {"p.txt": "a\nb\n", "r.jsonl": jsonl([{"answers": ["a"]}, {"answers": []}])},
        "p.txt",
        "r.jsonl",
        "squad",
        "E07",
        "squad_v2",
    ),
    "an answer that is a list": (
        {**QUESTIONS, "p.json": '{"q1": ["France"], "q2": ""}'},
        "p.json",
        "r.json",
        "squad",
        "E07",
        "p.json:1",
    ),
    "tags of another length": (
        {**SENTENCES, "p.conll": "EU B-ORG\n\nPeter B-PER\n"},
        "p.conll",
        "r.conll",
        "entities",
        "E07",
        "1 tag, but the one in r.conll:1 has 2",
    ),
    "other words": (
        {**SENTENCES, "p.conll": "EU B-ORG\nsays O\n\nPaul B-PER\n"},
        "p.conll",
        "r.conll",
        "entities",
        "E07",
        'p.conll:4: the word is "Paul", but "Peter" in r.conll:4',
    ),
    "invalid tags": (
        {**SENTENCES, "p.conll": "EU ORG\nsays O\n\nPeter B-PER\n"},
        "p.conll",
        "r.conll",
        "entities",
        "E07",
        '"ORG" is not a tag',
    ),
    "columns that differ": (
        {**SENTENCES, "p.conll": "EU B-ORG\nsays\n\nPeter B-PER\n"},
        "p.conll",
        "r.conll",
        "entities",
        "N04",
        "p.conll:2",
    ),
    "a probability above 1": (
        {"p.txt": "-1.5 -0.1\n0.7 -1\n", "r.txt": "a b\nc d\n"},
        "p.txt",
        "r.txt",
        "perplexity",
        "E07",
        "p.txt:2",
    ),
    "a web page": (
        {**TEXTS, "p.txt": "<!DOCTYPE html><html>\n"},
        "p.txt",
        "r.txt",
        "bleu",
        "F04",
        "web page",
    ),
    "one JSON list in jsonl": (
        {**TWO, "p.jsonl": '[{"prediction": "a"}]'},
        "p.jsonl",
        "r.txt",
        "accuracy",
        "F04",
        ".json",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_file_is_a_one_line_error(case: str, command: Callable[..., Any], tmp_path: Path) -> None:
    files, predictions, references, metric, code, message = MALFORMED[case]
    write(tmp_path, files)
    outcome = command("evaluate", P, predictions, R, references, "--metric", metric, "--json")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
    assert outcome.err.startswith(f"error[{code}] ")
    assert message in outcome.err


USAGE_ERRORS = {
    "no metric": ([P, "p.txt", R, "r.txt"], "U01", "--metric"),
    "no references": ([P, "p.txt", "--metric", "f1"], "U01", "also needs --references"),
    "no predictions": ([R, "r.txt", "--metric", "f1"], "U01", "also needs --predictions"),
    "a model too": (
        ["run", P, "p.txt", R, "r.txt", "--metric", "f1"],
        "U01",
        "cannot be combined with RUN_OR_MODEL",
    ),
    "data too": (
        ["--data", "d.csv", P, "p.txt", R, "r.txt", "--metric", "f1"],
        "U01",
        "cannot be combined with --data",
    ),
    "a setting for files with a model": (["run", "--stemmer"], "U01", "cannot be combined with RUN_OR_MODEL"),
    "nothing": (["--metric", "f1"], "U01", "no model and no predictions to evaluate"),
    "a setting that no metric uses": (
        [P, "p.txt", R, "r.txt", "--metric", "f1", "--stemmer"],
        "U01",
        "it applies to rouge",
    ),
    "two references for a label": (
        [P, "p.txt", R, "r.txt", R, "p.txt", "--metric", "f1"],
        "U01",
        "one reference",
    ),
    "an unknown side": (
        [P, "p.txt", R, "r.txt", "--metric", "f1", "--column", "reference=x"],
        "U01",
        '"references"?',
    ),
    "an unknown column": (
        [P, "p.txt", R, "r.txt", "--metric", "f1", "--column", "predictions=txt"],
        "E07",
        'no column "txt"; did you mean "text"?',
    ),
    "an unknown metric": ([P, "p.txt", R, "r.txt", "--metric", "acuracy"], "E01", 'did you mean "accuracy"?'),
    "two scores of the same name": (
        [P, "p.txt", R, "r.txt", "--metric", "f1", "--metric", "squad"],
        "E08",
        '"f1"',
    ),
}


@pytest.mark.parametrize("case", USAGE_ERRORS)
def test_usage_error_is_one_line(case: str, command: Callable[..., Any], tmp_path: Path) -> None:
    arguments, code, message = USAGE_ERRORS[case]
    write(tmp_path, {"p.txt": "a\nb\n", "r.txt": "a\nb\n"})
    outcome = command("evaluate", *arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
    assert outcome.err.startswith(f"error[{code}] ")
    assert message in outcome.err


def scores(outcome: Any) -> dict[str, float]:
    assert outcome.code == 0, outcome.err
    return {key: score["value"] for key, score in outcome.json["scores"].items()}


def test_label_metrics_equal_scikit_learn(command: Callable[..., Any], tmp_path: Path) -> None:
    from sklearn import metrics

    rng = random.Random(3)
    expected = rng.choices(["up", "down", "左"], [6, 3, 1], k=300)
    ours = [label if rng.random() < 0.7 else rng.choice(["up", "down", "other"]) for label in expected]
    write(tmp_path, {"p.txt": lines(ours), "r.csv": "label\n" + lines(expected)})
    names = ["accuracy", "f1", "precision", "recall", "mcc"]
    outcome = command("evaluate", P, "p.txt", R, "r.csv", *metric_options(names), "--json")
    macro: Any = {"average": "macro", "zero_division": 0}
    assert scores(outcome) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(expected, ours),
            "f1": metrics.f1_score(expected, ours, **macro),
            "precision": metrics.precision_score(expected, ours, **macro),
            "recall": metrics.recall_score(expected, ours, **macro),
            "mcc": metrics.matthews_corrcoef(expected, ours),
        },
        abs=1e-12,
    )
    assert "macro average" in outcome.json["scores"]["f1"]["method"]
    assert outcome.json["n"] == 300


def test_number_metrics_equal_scipy(command: Callable[..., Any], tmp_path: Path) -> None:
    from scipy import stats

    rng = random.Random(4)
    expected = [round(rng.gauss(0, 1), 1) for _ in range(80)]
    ours = [x + rng.gauss(0, 1) for x in expected]
    rows = [{"id": n, "prediction": x} for n, x in enumerate(ours)]
    rng.shuffle(rows)
    write(
        tmp_path,
        {
            "p.jsonl": jsonl(rows),
            "r.tsv": "id\tscore\n" + lines([f"{n}\t{x}" for n, x in enumerate(expected)]),
        },
    )
    three = ["--metric", "pearson", "--metric", "spearman", "--metric", "mse"]
    outcome = command("evaluate", P, "p.jsonl", R, "r.tsv", *three, "--json")
    assert scores(outcome) == pytest.approx(
        {
            "pearson": stats.pearsonr(expected, ours).statistic,
            "spearman": stats.spearmanr(expected, ours).statistic,
            "mse": sum((a - b) ** 2 for a, b in zip(expected, ours)) / 80,
        },
        abs=1e-9,
    )


@pytest.mark.shared
def test_translation_metrics_equal_sacrebleu(
    command: Callable[..., Any], tmp_path: Path, shared: Path
) -> None:
    import sacrebleu

    with (shared / "translation/multi30k_en_de/test.jsonl").open(encoding="utf-8") as file:
        expected = [json.loads(line)["target"] for line in file][:200]
    rng = random.Random(5)
    ours = [" ".join(word for word in text.split() if rng.random() < 0.8) for text in expected]
    others = [text.replace("Ein", "Der") for text in expected]
    write(
        tmp_path,
        {"hyp.de": lines(ours), "a.de": lines(expected), "b.txt.gz": gzip.compress(lines(others).encode())},
    )
    four = ["--metric", "bleu", "--metric", "chrf", "--metric", "chrf++", "--metric", "ter"]
    outcome = command("evaluate", P, "hyp.de", R, "a.de", R, "b.txt.gz", *four, "--json")
    assert scores(outcome) == pytest.approx(
        {
            "bleu": sacrebleu.corpus_bleu(ours, [expected, others]).score,
            "chrf": sacrebleu.corpus_chrf(ours, [expected, others]).score,
            "chrf++": sacrebleu.corpus_chrf(ours, [expected, others], word_order=2).score,
            "ter": sacrebleu.corpus_ter(ours, [expected, others]).score,
        },
        abs=1e-9,
    )
    assert "tok:13a" in outcome.json["scores"]["bleu"]["method"]


@pytest.mark.shared
def test_answer_metrics_agree_with_squad(command: Callable[..., Any], tmp_path: Path, shared: Path) -> None:
    source = shared / "qa/squad_v2/test.json"
    document = json.loads(source.read_text(encoding="utf-8"))
    questions = [q for a in document["data"] for p in a["paragraphs"] for q in p["qas"]]
    answers = {q["id"]: q["answers"][0]["text"] if q["answers"] else "" for q in questions}
    write(tmp_path, {"p.json": json.dumps(answers), "empty.json": json.dumps(dict.fromkeys(answers, ""))})
    assert scores(command("evaluate", P, "p.json", R, source, "--metric", "squad_v2", "--json")) == {
        "exact_match": 1.0,
        "f1": 1.0,
    }
    outcome = command("evaluate", P, "empty.json", R, source, "--metric", "squad_v2", "--json")
    without = sum(not q["answers"] for q in questions) / len(questions)
    assert scores(outcome) == pytest.approx({"exact_match": without, "f1": without})
    assert "clustered by" in outcome.json["scores"]["f1"]["method"]


def test_entity_metrics_equal_seqeval(command: Callable[..., Any], tmp_path: Path) -> None:
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    expected = [["B-PER", "I-PER", "O"], ["O", "B-LOC"], ["B-LOC", "O"]]
    ours = [["B-PER", "I-PER", "O"], ["O", "I-LOC"], ["O", "B-LOC"]]
    write(tmp_path, {"p.txt": lines([" ".join(row) for row in ours])})
    write(tmp_path, {"r.conll": "\n".join(lines([f"w {tag}" for tag in row]) for row in expected)})
    command_line = ["evaluate", P, "p.txt", R, "r.conll", "--metric", "entities", "--json"]
    assert scores(command(*command_line))["f1"] == pytest.approx(f1_score(expected, ours))
    strict = command(*command_line, "--strict")
    assert scores(strict)["f1"] == pytest.approx(f1_score(expected, ours, mode="strict", scheme=IOB2))
    assert "strict" in strict.json["scores"]["f1"]["method"]


def test_perplexity_uses_natural_logarithms(command: Callable[..., Any], tmp_path: Path) -> None:
    import math

    rows = [{"log_probabilities": [-1.0, -2.0]}, {"log_probabilities": [-3.0]}]
    write(tmp_path, {"p.jsonl": jsonl(rows), "r.txt": "ab cd\n好\n"})
    both = ["--metric", "perplexity", "--metric", "bits_per_byte"]
    values = scores(command("evaluate", P, "p.jsonl", R, "r.txt", *both, "--json"))
    assert values == pytest.approx({"perplexity": math.exp(2), "bits_per_byte": 6 / math.log(2) / 8})


def test_byte_order_marks_blank_lines_and_crlf_keep_the_alignment(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    write(tmp_path, {"p.txt": "a cat\r\n\r\nthe dog\r\n".encode("utf-8-sig"), "r.txt": "a cat\n\nthe dog"})
    outcome = command("evaluate", P, "p.txt", R, "r.txt", "--metric", "chrf", "--json")
    assert scores(outcome) == {"chrf": 100.0}
    assert outcome.json["n"] == 3
    assert outcome.err == "p.txt: skipped a UTF-8 byte order mark at the beginning\n"


def test_disjoint_labels_give_a_warning(command: Callable[..., Any], tmp_path: Path) -> None:
    write(tmp_path, {"p.txt": "Up\nDown\n", "r.txt": "up\ndown\n"})
    outcome = command("evaluate", P, "p.txt", R, "r.txt", "--metric", "accuracy", "--json")
    assert scores(outcome) == {"accuracy": 0.0}
    assert outcome.err.startswith("Warning: no predicted label occurs in the references: ")


def test_prediction_file_of_a_run_is_also_its_reference_file(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    rows = [{"text": "x", "label": "a", "prediction": "a"}, {"text": "y", "label": "b", "prediction": "a"}]
    write(tmp_path, {"test.jsonl": jsonl(rows)})
    outcome = command("evaluate", P, "test.jsonl", R, "test.jsonl", "--metric", "accuracy", "--json")
    assert scores(outcome) == {"accuracy": 0.5}


def test_language_applies_to_any_metric(command: Callable[..., Any], tmp_path: Path) -> None:
    write(tmp_path, {"p.txt": "今天天气很好\n", "r.txt": "今天天气很好\n"})
    two = ["--metric", "bleu", "--metric", "cer"]
    outcome = command("evaluate", P, "p.txt", R, "r.txt", *two, "--language", "zh", "--json")
    assert scores(outcome) == pytest.approx({"bleu": 100, "cer": 0})
    assert "tok:zh" in outcome.json["scores"]["bleu"]["method"]


def test_columns_can_be_named(command: Callable[..., Any], tmp_path: Path) -> None:
    write(tmp_path, {"both.csv": "key,system,truth\n1,a,a\n2,b,a\n"})
    columns = [x for pair in ("predictions=system", "references=truth", "id=key") for x in ("--column", pair)]
    outcome = command("evaluate", P, "both.csv", R, "both.csv", "--metric", "accuracy", *columns, "--json")
    assert scores(outcome) == {"accuracy": 0.5}


def test_table_has_one_row_per_score(command: Callable[..., Any], tmp_path: Path) -> None:
    write(tmp_path, {"p.txt": "a\nb\n", "r.txt": "a\nb\n"})
    title, header, *rows = command(
        "evaluate", P, "p.txt", R, "r.txt", "--metric", "accuracy"
    ).out.splitlines()
    assert title.strip() == "p.txt against r.txt: 2 examples"
    assert header.split() == ["score", "value", "[95%]", "method"]
    assert [row.split()[0] for row in rows] == ["accuracy"]


def test_scoring_files_loads_no_heavy_library(tmp_path: Path) -> None:
    write(tmp_path, {"p.txt": "a cat\nb\n", "r.txt": "a cat\nc\n"})
    names = ["accuracy", "bleu", "chrf", "wer"]
    code = f"""
import sys
from llmkit import cli
code = cli._run({["evaluate", P, "p.txt", R, "r.txt", "--json", *metric_options(names)]!r})
print(code, *sorted({HEAVY!r} & set(sys.modules)))
"""
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    scored, last = outcome.stdout.splitlines()
    assert json.loads(scored)["scores"]["accuracy"]["value"] == 0.5
    assert last == "0"
