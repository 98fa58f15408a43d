"""Answers come in the order of the texts, the same alone or together, and as plain transformers gives them."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import llmkit
from llmkit import cli
from llmkit.base.errors import RecipeError
from llmkit.base.progress import SILENT
from llmkit.inference import predict as module
from llmkit.inference.trained_model import open_model
from tests.samples import GOOD, NEUTRAL


@pytest.fixture(scope="module")
def texts(finished: Any) -> list[str]:
    """24 texts of 2 to 60 tokens, shuffled: three are cut, one is unknown words."""
    rng = random.Random(3)
    words = ["good", "bad", "film", "story", "a", "the", "dull", "warm", "scene", "plot"]
    made = [" ".join(rng.choices(words, k=length)) for length in (1, 2, 3, 5, 8, 13, 20, 28, 29, 30, 31, 60)]
    rest = [record["text"] for record in finished.predictions[:11]]
    shuffled = [*made, *rest, "zzz qqq"]
    rng.shuffle(shuffled)
    return shuffled


def logits(records: list[dict[str, Any]]) -> torch.Tensor:
    return torch.tensor([[record["logits"][name] for name in ("negative", "positive")] for record in records])


def test_records_come_in_the_order_of_the_texts(finished: Any, texts: list[str]) -> None:
    records = list(llmkit.predict(str(finished.path), texts))
    assert [record["text"] for record in records] == texts
    for record in records:
        assert record["probability"] == max(record["probabilities"].values())
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert record["prediction"] == max(record["logits"], key=lambda name: record["logits"][name])


def test_plain_transformers_gives_the_same_logits(finished: Any, texts: list[str]) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = finished.path / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    batch = tokenizer(texts, padding=True, truncation=True, max_length=32, return_tensors="pt")
    with torch.no_grad():
        expected = model(**batch).logits
    found = logits(list(llmkit.predict(str(finished.path), texts)))
    assert (found - expected).abs().max() < 1e-5
    assert expected.std(0).min() > 0.1  # the texts are told apart


def test_alone_or_together_is_the_same(finished: Any, texts: list[str]) -> None:
    together = logits(list(llmkit.predict(str(finished.path), texts)))
    one_by_one = logits([next(llmkit.predict(str(finished.path), [text])) for text in texts])
    assert (together - one_by_one).abs().max() < 1e-6 * max(1.0, together.abs().max().item())


def test_in_8_bits_the_answers_are_near_and_one_text_has_one_answer(finished: Any, texts: list[str]) -> None:
    exact = logits(list(llmkit.predict(str(finished.path), texts)))
    rough = logits(list(llmkit.predict(str(finished.path), texts, int8=True)))
    assert 0 < (rough - exact).abs().max() < 0.1 * exact.abs().max()
    alone = logits([next(llmkit.predict(str(finished.path), [text], int8=True)) for text in texts])
    assert (rough - alone).abs().max() < 0.01 * exact.abs().max()


def test_8_bits_are_for_a_cpu(finished: Any, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    with pytest.raises(RecipeError, match=r"U01.*--int8"):
        next(llmkit.predict(str(finished.path), texts, int8=True))


def test_the_test_rows_get_the_answers_of_the_report(finished: Any) -> None:
    records = list(llmkit.predict(str(finished.path), [r["text"] for r in finished.predictions]))
    for record, reported in zip(records, finished.predictions, strict=True):
        assert record["prediction"] == reported["prediction"]
        assert record["probability"] == pytest.approx(reported["probability"], abs=1e-6)


def test_a_model_folder_answers_as_its_run(finished: Any, texts: list[str]) -> None:
    assert list(llmkit.predict(str(finished.path / "model"), texts[:4])) == list(
        llmkit.predict(str(finished.path), texts[:4])
    )


def test_blank_texts_keep_their_place(finished: Any, listener: Any) -> None:
    asked = ["", "a good film", "  \n", "\t", "a bad film"]
    records = list(llmkit.predict(str(finished.path), asked, progress=listener))
    assert [record["text"] for record in records] == asked
    assert [record["prediction"] is None for record in records] == [True, False, True, True, False]
    assert records[0] == {"text": "", "prediction": None, "probability": None}
    assert "3 blank texts have no prediction" in listener.notes


def test_nothing_asked_nothing_answered(finished: Any) -> None:
    assert list(llmkit.predict(str(finished.path), [])) == []
    assert [record["prediction"] for record in llmkit.predict(str(finished.path), [" "])] == [None]


def test_cut_texts_are_counted(finished: Any, listener: Any) -> None:
    asked = ["good " * 30, "good " * 31, "good " * 50]  # two special tokens beside at most 30 words
    records = list(llmkit.predict(str(finished.path), asked, progress=listener))
    assert "2 texts were truncated to 32 tokens" in listener.notes
    assert records[0]["logits"] == pytest.approx(records[2]["logits"], abs=1e-5)


def test_texts_are_read_as_answers_are_taken(finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless stream is answered chunk by chunk, in order over the chunks."""
    monkeypatch.setattr(module, "CHUNK", 4)
    read = []

    def endless() -> Iterator[str]:
        for number in itertools.count():
            read.append(number)
            yield f"film {number} {'very ' * (number % 7)}good"

    records = list(itertools.islice(llmkit.predict(str(finished.path), endless()), 6))
    assert [record["text"].split()[1] for record in records] == ["0", "1", "2", "3", "4", "5"]
    assert len(read) == 8


def pair(rng: random.Random) -> list[str]:
    """Two words that are told apart, and from all others, by what they are."""
    return [rng.choice("01234"), rng.choice("56789")]


def question_rows(count: int) -> list[dict[str, Any]]:
    """The answer is the only pair of digits; most texts need several windows."""
    rng = random.Random(1)
    rows = []
    for number in range(count):
        answer = " ".join(pair(rng))
        before, behind = (" ".join(rng.choices(NEUTRAL, k=rng.randint(1, 30))) for _ in range(2))
        answers = {"text": [answer], "answer_start": [len(before) + 1]}
        context = f"{before} {answer} {behind}"
        rows.append({"id": number, "question": "what was it", "context": context, "answers": answers})
    return rows


def tagged_rows(count: int) -> list[dict[str, Any]]:
    """Pairs of digits and good words are entities."""
    rng = random.Random(2)
    rows = []
    for _ in range(count):
        pieces = [[word] for word in rng.choices(NEUTRAL, k=rng.randint(1, 30))]
        pieces += [pair(rng), [rng.choice(GOOD)], [rng.choice(GOOD)]]
        rng.shuffle(pieces)
        kinds = {1: ["B-GOOD"], 2: ["B-NUM", "I-NUM"]}
        marks = [kinds[len(piece)] if piece[0] not in NEUTRAL else ["O"] for piece in pieces]
        tokens, tags = (list(itertools.chain.from_iterable(each)) for each in (pieces, marks))
        rows.append({"tokens": tokens, "tags": tags})
    return rows


@pytest.fixture(scope="module")
def make_run(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run of a task on these rows, in some seconds."""

    def make(task: str, rows: list[dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
        folder = tmp_path_factory.mktemp(task)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (folder / "tiny.yaml").write_text(
            f"""task: {{name: {task}, stride: 8}}
model: {{name: {tiny_bert}}}
data: {{train: {folder / "rows.jsonl"}}}
train: {{epochs: 5, batch_size: 8, learning_rate: 3e-3, max_length: 32}}
evaluate: {{resamples: 200}}
""",
            encoding="utf-8",
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LLMKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
            content = llmkit.finetune(str(folder / "tiny.yaml"), out=folder / "run")
        return folder / "run", content

    return make


@pytest.fixture(scope="module")
def answering(make_run: Any) -> tuple[Path, dict[str, Any]]:
    made: tuple[Path, dict[str, Any]] = make_run("extractive_qa", question_rows(240))
    return made


@pytest.fixture(scope="module")
def tagging(make_run: Any) -> tuple[Path, dict[str, Any]]:
    made: tuple[Path, dict[str, Any]] = make_run("token_classification", tagged_rows(200))
    return made


def reported(run: Path) -> list[dict[str, Any]]:
    lines = (run / "predictions" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_model_that_answers_learns_in_seconds(answering: tuple[Path, dict[str, Any]]) -> None:
    run, content = answering
    assert content["scores"]["f1"]["value"] > 0.97
    assert any(note.startswith("test: ") and "in several windows" in note for note in content["notes"])
    rows = {row["id"]: row for row in question_rows(240)}
    for record in reported(run):
        row = rows[record["id"]]
        assert record["answers"] == row["answers"]["text"]
        assert row["context"][record["start"] : record["end"]] == record["prediction"]


def test_a_model_that_tags_learns_in_seconds(tagging: tuple[Path, dict[str, Any]]) -> None:
    _, content = tagging
    assert content["scores"]["f1"]["value"] > 0.97
    assert any(note.startswith("test: ") and "in several windows" in note for note in content["notes"])


def test_questions_get_the_answers_of_the_report(answering: tuple[Path, dict[str, Any]]) -> None:
    run, _ = answering
    rows = {row["id"]: row for row in question_rows(240)}
    before = reported(run)
    for record, other in zip(llmkit.predict(str(run), [rows[r["id"]] for r in before]), before, strict=True):
        for name in ("question", "prediction", "start", "end", "sentence"):
            assert record[name] == other[name]
        assert record["probability"] == pytest.approx(other["probability"], abs=1e-4)


def test_texts_get_the_entities_of_the_report(tagging: tuple[Path, dict[str, Any]]) -> None:
    """`predict` splits the text by rule, the run was given words: here they are the same."""
    run, _ = tagging
    before = reported(run)
    for record, other in zip(llmkit.predict(str(run), [r["text"] for r in before]), before, strict=True):
        assert len(record["prediction"]) == len(other["prediction"])
        for entity, same in zip(record["prediction"], other["prediction"], strict=True):
            assert [entity[name] for name in ("start", "end", "label", "text")] == [
                same[name] for name in ("start", "end", "label", "text")
            ]
            assert entity["probability"] == pytest.approx(same["probability"], abs=1e-4)


def test_raw_texts_are_tagged_in_characters(tagging: tuple[Path, dict[str, Any]]) -> None:
    run, _ = tagging
    text = "The story was superb,\n  a film of " + "the plot " * 30 + "and it was 3 7 - very fine!"
    [record] = llmkit.predict(str(run), [text])
    assert record["text"] == text
    found = [(text[e["start"] : e["end"]], e["label"]) for e in record["prediction"]]
    assert found == [("superb", "GOOD"), ("3 7", "NUM"), ("fine", "GOOD")]
    assert record["probability"] == min(e["probability"] for e in record["prediction"])


def test_a_text_of_signs_that_nobody_sees_has_no_entity(tagging: tuple[Path, dict[str, Any]]) -> None:
    run, _ = tagging
    assert [r["prediction"] for r in llmkit.predict(str(run), ["\u200b", "\u200b\u200b"])] == [[], []]


def test_questions_come_in_order_with_blank_ones_between(answering: tuple[Path, dict[str, Any]]) -> None:
    run, _ = answering
    asked = [
        {"question": "is it a", "context": "the film was 4 7 and a plot"},
        {"question": " ", "context": "the film"},
        {"question": "is it the", "context": "\n"},
        {"question": "is it was", "context": f"{'the plot was of a film ' * 20}it was 0 9"},
    ]
    records = list(llmkit.predict(str(run), asked))
    assert [record["prediction"] for record in records] == ["4 7", None, None, "0 9"]
    assert [record["question"] for record in records] == [each["question"] for each in asked]
    for each, record in zip(asked, records, strict=True):
        if record["prediction"]:
            assert each["context"][record["start"] : record["end"]] == record["prediction"]
            assert record["prediction"] in record["sentence"]


def test_a_long_question_is_cut_and_said(answering: tuple[Path, dict[str, Any]], listener: Any) -> None:
    run, _ = answering
    asked = [{"question": "is it " * 30, "context": "the film was 4 7 and a plot"}] * 3
    list(llmkit.predict(str(run), asked, progress=listener))
    assert "3 questions truncated to 16 tokens" in listener.notes
    assert not any("texts were cut" in note for note in listener.notes)


def test_a_chunk_has_so_many_characters_at_most(
    answering: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A book for each question: the questions are not read all at once."""
    run, _ = answering
    monkeypatch.setattr(module, "MAX_CHARACTERS", 3000)
    read = []

    def endless() -> Iterator[dict[str, str]]:
        for number in itertools.count():
            read.append(number)
            context = f"{'the plot was of a film ' * 50} it was {number % 5} 5"
            yield {"question": "is it a", "context": context}

    records = list(itertools.islice(llmkit.predict(str(run), endless()), 4))
    assert [record["prediction"] for record in records] == ["0 5", "1 5", "2 5", "3 5"]
    assert len(read) == 6


@pytest.fixture(scope="module")
def book(shared: Path) -> str:
    """About 60,000 characters: 20 pages."""
    content = json.loads((shared / "qa" / "xquad_en" / "train.json").read_text(encoding="utf-8"))
    paragraphs = [p["context"] for document in content["data"] for p in document["paragraphs"]]
    return "\n".join(paragraphs)[:60_000]


@pytest.mark.shared
def test_twenty_pages_take_little_more_memory_than_three(
    answering: tuple[Path, dict[str, Any]], book: str
) -> None:
    opened = open_model(str(answering[0]), SILENT)

    def ask(context: str) -> tuple[dict[str, Any], int]:
        tracemalloc.start()
        [record] = module.predict_examples(opened, [{"question": "is it a", "context": context}])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return record, peak

    ask(book[:9000])
    _, three = ask(book[:9000])
    record, twenty = ask(book)
    assert book[record["start"] : record["end"]] == record["prediction"] != ""
    assert record["prediction"] in record["sentence"] and record["sentence"] in book
    assert twenty - three < 30e6  # bytes, for some 30,000 tokens in 1,200 windows of this tiny model


@pytest.mark.shared
def test_the_command_answers_about_a_file(
    answering: tuple[Path, dict[str, Any]], book: str, tmp_path: Path
) -> None:
    run, _ = answering
    (tmp_path / "book.txt").write_text(book[:20_000], encoding="utf-8")
    command = ["predict", str(run), "is it a", "--context", str(tmp_path / "book.txt"), "--json"]
    result = CliRunner().invoke(cli.app, command)
    assert result.exit_code == 0, result.output
    [record] = json.loads(result.stdout)["predictions"]
    assert book[record["start"] : record["end"]] == record["prediction"] != ""
    assert record["prediction"] in record["sentence"]


def test_calibrated_probabilities_are_those_of_the_temperature(
    other: Any, texts: list[str], tmp_path: Path
) -> None:
    """Only when asked; logits and answers stay."""
    kept = json.loads((other.path / "model" / "llmkit.json").read_text(encoding="utf-8"))
    temperature = kept["tuned"]["temperature"]
    assert temperature == other.content["tuned"]["temperature"] != 1
    plain, found = (list(llmkit.predict(str(other.path), texts, calibrated=asked)) for asked in (False, True))
    expected = (logits(found) / temperature).softmax(-1)
    for before, after, row in zip(plain, found, expected, strict=True):
        assert (after["logits"], after["prediction"]) == (before["logits"], before["prediction"])
        assert after["probability"] == pytest.approx(float(row.max()), abs=1e-6)
        assert before["probability"] == max(before["probabilities"].values())
        assert abs(before["probability"] - after["probability"]) > 1e-6


def test_a_model_without_a_temperature_can_not_be_calibrated(finished: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(finished.path / "model", folder)
    card = json.loads((folder / "llmkit.json").read_text(encoding="utf-8"))
    (folder / "llmkit.json").write_text(json.dumps({**card, "tuned": {}}), encoding="utf-8")
    with pytest.raises(RecipeError, match="has no fitted temperature"):
        list(llmkit.predict(str(folder), ["good film"], calibrated=True))
