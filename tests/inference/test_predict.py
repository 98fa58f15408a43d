"""Predictions equal those of plain transformers, in input order, whatever the batch."""

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
    """24 texts of 3 to 62 tokens, shuffled: some are truncated, one has only unknown words."""
    rng = random.Random(3)
    words = ["good", "bad", "film", "story", "a", "the", "dull", "warm", "scene", "plot"]
    synthetic = [
        " ".join(rng.choices(words, k=length)) for length in (1, 2, 3, 5, 8, 13, 20, 28, 29, 30, 31, 60)
    ]
    reviews = [record["text"] for record in finished.predictions[:11]]
    shuffled = [*synthetic, *reviews, "zzz qqq"]
    rng.shuffle(shuffled)
    return shuffled


def logits(records: list[dict[str, Any]]) -> torch.Tensor:
    return torch.tensor([[record["logits"][name] for name in ("negative", "positive")] for record in records])


def test_records_keep_the_order_of_the_texts(finished: Any, texts: list[str]) -> None:
    records = list(llmkit.predict(str(finished.path), texts))
    assert [record["text"] for record in records] == texts
    for record in records:
        assert record["probability"] == max(record["probabilities"].values())
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert record["prediction"] == max(record["logits"], key=lambda name: record["logits"][name])


def test_logits_equal_plain_transformers(finished: Any, texts: list[str]) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = finished.path / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    batch = tokenizer(texts, padding=True, truncation=True, max_length=32, return_tensors="pt")
    with torch.no_grad():
        expected = model(**batch).logits
    predicted = logits(list(llmkit.predict(str(finished.path), texts)))
    assert (predicted - expected).abs().max() < 1e-5
    assert expected.std(0).min() > 0.1  # the texts have different logits


def test_predictions_do_not_depend_on_the_batch(finished: Any, texts: list[str]) -> None:
    together = logits(list(llmkit.predict(str(finished.path), texts)))
    one_by_one = logits([next(llmkit.predict(str(finished.path), [text])) for text in texts])
    assert (together - one_by_one).abs().max() < 1e-6 * max(1.0, together.abs().max().item())


def test_int8_predictions_are_close_and_do_not_depend_on_the_batch(finished: Any, texts: list[str]) -> None:
    exact = logits(list(llmkit.predict(str(finished.path), texts)))
    quantized = logits(list(llmkit.predict(str(finished.path), texts, int8=True)))
    assert 0 < (quantized - exact).abs().max() < 0.1 * exact.abs().max()
    alone = logits([next(llmkit.predict(str(finished.path), [text], int8=True)) for text in texts])
    assert (quantized - alone).abs().max() < 0.01 * exact.abs().max()


def test_int8_on_a_gpu_is_an_error(finished: Any, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    with pytest.raises(RecipeError, match=r"U01.*--int8"):
        next(llmkit.predict(str(finished.path), texts, int8=True))


def test_predictions_equal_those_of_the_run(finished: Any) -> None:
    records = list(llmkit.predict(str(finished.path), [r["text"] for r in finished.predictions]))
    for record, reported in zip(records, finished.predictions, strict=True):
        assert record["prediction"] == reported["prediction"]
        assert record["probability"] == pytest.approx(reported["probability"], abs=1e-6)


def test_model_folder_predicts_as_its_run(finished: Any, texts: list[str]) -> None:
    assert list(llmkit.predict(str(finished.path / "model"), texts[:4])) == list(
        llmkit.predict(str(finished.path), texts[:4])
    )


def test_blank_texts_keep_their_place(finished: Any, listener: Any) -> None:
    examples = ["", "a good film", "  \n", "\t", "a bad film"]
    records = list(llmkit.predict(str(finished.path), examples, progress=listener))
    assert [record["text"] for record in records] == examples
    assert [record["prediction"] is None for record in records] == [True, False, True, True, False]
    assert records[0] == {"text": "", "prediction": None, "probability": None}
    assert "3 blank texts have no prediction" in listener.notes


def test_no_texts_give_no_records(finished: Any) -> None:
    assert list(llmkit.predict(str(finished.path), [])) == []
    assert [record["prediction"] for record in llmkit.predict(str(finished.path), [" "])] == [None]


def test_truncated_texts_are_counted(finished: Any, listener: Any) -> None:
    examples = ["good " * 30, "good " * 31, "good " * 50]  # with two special tokens, 30 words are the maximum
    records = list(llmkit.predict(str(finished.path), examples, progress=listener))
    assert "2 texts were truncated to 32 tokens" in listener.notes
    assert records[0]["logits"] == pytest.approx(records[2]["logits"], abs=1e-5)


def test_texts_are_read_lazily(finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless stream is predicted chunk by chunk, in order."""
    monkeypatch.setattr(module, "CHUNK", 4)
    read = []

    def endless() -> Iterator[str]:
        for number in itertools.count():
            read.append(number)
            yield f"film {number} {'very ' * (number % 7)}good"

    records = list(itertools.islice(llmkit.predict(str(finished.path), endless()), 6))
    assert [record["text"].split()[1] for record in records] == ["0", "1", "2", "3", "4", "5"]
    assert len(read) == 8


def digit_pair(rng: random.Random) -> list[str]:
    """A pair of digits, which occur nowhere else in the texts."""
    return [rng.choice("01234"), rng.choice("56789")]


def question_rows(count: int) -> list[dict[str, Any]]:
    """The answer is the only pair of digits; most texts need several windows."""
    rng = random.Random(1)
    rows = []
    for number in range(count):
        answer = " ".join(digit_pair(rng))
        before, after = (" ".join(rng.choices(NEUTRAL, k=rng.randint(1, 30))) for _ in range(2))
        answers = {"text": [answer], "answer_start": [len(before) + 1]}
        context = f"{before} {answer} {after}"
        rows.append({"id": number, "question": "what was it", "context": context, "answers": answers})
    return rows


def tagged_rows(count: int) -> list[dict[str, Any]]:
    """Pairs of digits and good words are entities."""
    rng = random.Random(2)
    rows = []
    for _ in range(count):
        pieces = [[word] for word in rng.choices(NEUTRAL, k=rng.randint(1, 30))]
        pieces += [digit_pair(rng), [rng.choice(GOOD)], [rng.choice(GOOD)]]
        rng.shuffle(pieces)
        kinds = {1: ["B-GOOD"], 2: ["B-NUM", "I-NUM"]}
        piece_tags = [kinds[len(piece)] if piece[0] not in NEUTRAL else ["O"] for piece in pieces]
        tokens, tags = (list(itertools.chain.from_iterable(group)) for group in (pieces, piece_tags))
        rows.append({"tokens": tokens, "tags": tags})
    return rows


@pytest.fixture(scope="module")
def make_run(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Train a task on some rows, which takes a few seconds."""

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
def qa_run(make_run: Any) -> tuple[Path, dict[str, Any]]:
    run: tuple[Path, dict[str, Any]] = make_run("extractive_qa", question_rows(240))
    return run


@pytest.fixture(scope="module")
def tagging_run(make_run: Any) -> tuple[Path, dict[str, Any]]:
    run: tuple[Path, dict[str, Any]] = make_run("token_classification", tagged_rows(200))
    return run


def reported(run: Path) -> list[dict[str, Any]]:
    lines = (run / "predictions" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_tiny_qa_model_learns_its_task(qa_run: tuple[Path, dict[str, Any]]) -> None:
    run, content = qa_run
    assert content["scores"]["f1"]["value"] > 0.97
    assert any(note.startswith("test: ") and "in several windows" in note for note in content["notes"])
    rows = {row["id"]: row for row in question_rows(240)}
    for record in reported(run):
        row = rows[record["id"]]
        assert record["answers"] == row["answers"]["text"]
        assert row["context"][record["start"] : record["end"]] == record["prediction"]


def test_tiny_tagging_model_learns_its_task(tagging_run: tuple[Path, dict[str, Any]]) -> None:
    _, content = tagging_run
    assert content["scores"]["f1"]["value"] > 0.97
    assert any(note.startswith("test: ") and "in several windows" in note for note in content["notes"])


def test_answers_equal_those_of_the_run(qa_run: tuple[Path, dict[str, Any]]) -> None:
    run, _ = qa_run
    rows = {row["id"]: row for row in question_rows(240)}
    before = reported(run)
    for record, other in zip(llmkit.predict(str(run), [rows[r["id"]] for r in before]), before, strict=True):
        for name in ("question", "prediction", "start", "end", "sentence"):
            assert record[name] == other[name]
        assert record["probability"] == pytest.approx(other["probability"], abs=1e-4)


def test_entities_equal_those_of_the_run(tagging_run: tuple[Path, dict[str, Any]]) -> None:
    """`predict` splits the text into words itself; here they equal the words of the data."""
    run, _ = tagging_run
    before = reported(run)
    for record, other in zip(llmkit.predict(str(run), [r["text"] for r in before]), before, strict=True):
        assert len(record["prediction"]) == len(other["prediction"])
        for entity, same in zip(record["prediction"], other["prediction"], strict=True):
            assert [entity[name] for name in ("start", "end", "label", "text")] == [
                same[name] for name in ("start", "end", "label", "text")
            ]
            assert entity["probability"] == pytest.approx(same["probability"], abs=1e-4)


def test_entities_of_raw_text_have_character_positions(tagging_run: tuple[Path, dict[str, Any]]) -> None:
    run, _ = tagging_run
    text = "The story was superb,\n  a film of " + "the plot " * 30 + "and it was 3 7 - very fine!"
    [record] = llmkit.predict(str(run), [text])
    assert record["text"] == text
    entities = [(text[e["start"] : e["end"]], e["label"]) for e in record["prediction"]]
    assert entities == [("superb", "GOOD"), ("3 7", "NUM"), ("fine", "GOOD")]
    assert record["probability"] == min(e["probability"] for e in record["prediction"])


def test_text_of_invisible_characters_has_no_entity(tagging_run: tuple[Path, dict[str, Any]]) -> None:
    run, _ = tagging_run
    assert [r["prediction"] for r in llmkit.predict(str(run), ["\u200b", "\u200b\u200b"])] == [[], []]


def test_questions_keep_their_order_around_blank_ones(qa_run: tuple[Path, dict[str, Any]]) -> None:
    run, _ = qa_run
    examples = [
        {"question": "is it a", "context": "the film was 4 7 and a plot"},
        {"question": " ", "context": "the film"},
        {"question": "is it the", "context": "\n"},
        {"question": "is it was", "context": f"{'the plot was of a film ' * 20}it was 0 9"},
    ]
    records = list(llmkit.predict(str(run), examples))
    assert [record["prediction"] for record in records] == ["4 7", None, None, "0 9"]
    assert [record["question"] for record in records] == [example["question"] for example in examples]
    for example, record in zip(examples, records, strict=True):
        if record["prediction"]:
            assert example["context"][record["start"] : record["end"]] == record["prediction"]
            assert record["prediction"] in record["sentence"]


def test_truncated_questions_are_counted(qa_run: tuple[Path, dict[str, Any]], listener: Any) -> None:
    run, _ = qa_run
    examples = [{"question": "is it " * 30, "context": "the film was 4 7 and a plot"}] * 3
    list(llmkit.predict(str(run), examples, progress=listener))
    assert "3 questions truncated to 16 tokens" in listener.notes
    assert not any("texts were truncated" in note for note in listener.notes)


def test_chunks_are_limited_in_characters(
    qa_run: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples with long contexts are read in small chunks."""
    run, _ = qa_run
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
def test_memory_hardly_grows_with_the_length_of_the_context(
    qa_run: tuple[Path, dict[str, Any]], book: str
) -> None:
    opened = open_model(str(qa_run[0]), SILENT)

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
def test_command_answers_a_question_about_a_file(
    qa_run: tuple[Path, dict[str, Any]], book: str, tmp_path: Path
) -> None:
    run, _ = qa_run
    (tmp_path / "book.txt").write_text(book[:20_000], encoding="utf-8")
    command = ["predict", str(run), "is it a", "--context", str(tmp_path / "book.txt"), "--json"]
    result = CliRunner().invoke(cli.app, command)
    assert result.exit_code == 0, result.output
    [record] = json.loads(result.stdout)["predictions"]
    assert book[record["start"] : record["end"]] == record["prediction"] != ""
    assert record["prediction"] in record["sentence"]


def test_calibrated_probabilities_use_the_fitted_temperature(
    other: Any, texts: list[str], tmp_path: Path
) -> None:
    """Calibration changes the probabilities only."""
    metadata = json.loads((other.path / "model" / "llmkit.json").read_text(encoding="utf-8"))
    temperature = metadata["tuned"]["temperature"]
    assert temperature == other.content["tuned"]["temperature"] != 1
    plain, calibrated = (
        list(llmkit.predict(str(other.path), texts, calibrated=option)) for option in (False, True)
    )
    expected = (logits(calibrated) / temperature).softmax(-1)
    for before, after, row in zip(plain, calibrated, expected, strict=True):
        assert (after["logits"], after["prediction"]) == (before["logits"], before["prediction"])
        assert after["probability"] == pytest.approx(float(row.max()), abs=1e-6)
        assert before["probability"] == max(before["probabilities"].values())
        assert abs(before["probability"] - after["probability"]) > 1e-6


def test_calibration_without_a_temperature_is_an_error(finished: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(finished.path / "model", folder)
    metadata = json.loads((folder / "llmkit.json").read_text(encoding="utf-8"))
    (folder / "llmkit.json").write_text(json.dumps({**metadata, "tuned": {}}), encoding="utf-8")
    with pytest.raises(RecipeError, match="has no fitted temperature"):
        list(llmkit.predict(str(folder), ["good film"], calibrated=True))
