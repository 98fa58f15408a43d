"""Token classification: each word is predicted once, with the loss of transformers and offsets in the text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from llmkit.base.errors import DataError, ModelError
from llmkit.base.progress import SILENT
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.collate import collate
from llmkit.data.encoding.features import Encoded
from llmkit.engine import session as sessions
from llmkit.engine.predict import predict
from llmkit.engine.session import Session
from llmkit.inference.batches import make_batches
from llmkit.metrics.resampling import Resampling
from llmkit.models import load
from llmkit.recipe.schema import Data, Train
from llmkit.tasks.token_classification import Options, TokenClassification, _renumber, make
from llmkit.training.prepare import read_rows
from tests.float64 import in_float64
from tests.samples import predict_baselines

LABELS = ("O", "B-BAD", "I-BAD", "B-GOOD", "I-GOOD")
TASK = make(Options(), {})
GOOD, BAD = ["good", "great", "fine", "warm"], ["bad", "awful", "dull", "cold"]
NEUTRAL = ["the", "a", "film", "story", "plot", "actor", "scene", "music", "it", "was"]
Arrays = dict[str, Any]


def sentence(rng: np.random.Generator, length: int) -> tuple[list[str], list[str]]:
    """Make a sentence in which runs of good and bad words are entities."""
    tokens = [str(word) for word in rng.choice([*GOOD, *BAD, *NEUTRAL, *NEUTRAL], length)]
    kinds = ["GOOD" if word in GOOD else "BAD" if word in BAD else "" for word in tokens]
    tags = [
        f"{'I' if n and kinds[n - 1] == kind else 'B'}-{kind}" if kind else "O"
        for n, kind in enumerate(kinds)
    ]
    return tokens, tags


def table(count: int, seed: int = 0, longest: int = 50) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)
    actual = [sentence(rng, int(rng.integers(1, longest))) for _ in range(count)]
    return {"tokens": [tokens for tokens, _ in actual], "tags": [tags for _, tags in actual]}


def rows_of(sentences: Sequence[Sequence[str]]) -> dict[str, list[Any]]:
    """Make rows as `check` returns them."""
    from llmkit.text.words import join_words

    actual = [join_words(tokens) for tokens in sentences]
    return {
        "tokens": [list(tokens) for tokens in sentences],
        "text": [text for text, _ in actual],
        "offsets": [places for _, places in actual],
    }


def objects(rows: Sequence[Any]) -> Any:
    actual = np.empty(len(rows), object)
    for number, row in enumerate(rows):
        actual[number] = np.asarray(row, np.int64)
    return actual


def ids_of(tags: Sequence[Sequence[str]], labels: Sequence[str] = LABELS) -> Arrays:
    return {"tags": objects([[labels.index(tag) for tag in row] for row in tags])}


class ByToken(nn.Module):
    """A model whose logits depend on the token alone."""

    def __init__(self, classes: int = len(LABELS), seed: int = 0) -> None:
        super().__init__()
        table_rows = torch.Generator().manual_seed(seed)
        self.register_buffer("tokens", torch.randn(400, classes, generator=table_rows) * 3)

    def forward(self, input_ids: Tensor, **_: Tensor) -> Any:
        return SimpleNamespace(logits=self.tokens[input_ids])


@pytest.fixture(scope="module")
def tokenizer(tiny_bert: Path) -> Any:
    return load.load_tokenizer(tiny_bert)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with sessions.start(seed=1, precision="fp32") as started:
        yield started


@pytest.fixture(scope="module")
def bert(tiny_bert: Path, tokenizer: Any) -> Any:
    model = load.load_pretrained(
        tiny_bert, TASK.spec.auto_class, TASK.head(LABELS).config, new_head=False, seed=1, tokenizer=tokenizer
    )
    return in_float64(model).eval()


def encoded_of(
    rows: Mapping[str, Any], references: Mapping[str, Any], tokenizer: Any, length: int = 16, **options: Any
) -> Encoded:
    task = make(Options(**{"stride": 4, **options}), {})
    features = task.encode(rows, references, tokenizer, max_length=length, truncation=False)
    return Encoded.from_batches([(0, features)])


def predictions_of(
    session: Session,
    model: nn.Module,
    rows: Mapping[str, Any],
    references: Mapping[str, Any],
    tokenizer: Any,
    length: int = 16,
    budget: int = 60,
) -> Arrays:
    encoded = encoded_of(rows, references, tokenizer, length)
    train = Train(micro_batch_tokens=budget)
    outputs = predict(
        session, model, make_batches(session, encoded, references, tokenizer, train), TASK.decode
    )
    return dict(TASK.predictions(outputs, encoded, rows))


@pytest.fixture
def evaluated(session: Session, tokenizer: Any) -> tuple[dict[str, Any], Arrays, Arrays]:
    """Make 60 sentences, their tags, and the predictions of a model that is mostly right."""
    table_rows = table(60, longest=30)
    rows, references = rows_of(table_rows["tokens"]), ids_of(table_rows["tags"])
    model = ByToken(seed=4)
    for number, words in (1, BAD), (3, GOOD), (0, NEUTRAL):
        model.tokens[tokenizer.convert_tokens_to_ids(words), number] += 7  # type: ignore[index]
    return rows, references, predictions_of(session, model, rows, references, tokenizer)


def test_check_makes_splits_labels_and_references(corpus_of: Callable[..., Corpus]) -> None:
    table_rows = table(60)
    rows = [{"tokens": a, "tags": b} for a, b in zip(table_rows["tokens"], table_rows["tags"], strict=True)]
    examples = TASK.check(corpus_of(TASK, train=rows), Data(train="x", duplicates="allow"), 1)
    assert examples.labels == LABELS
    assert examples.corpus.splits.keys() == {"train", "validation", "test"}
    for split, of_part in examples.corpus.splits.items():
        named = [[LABELS[number] for number in ids] for ids in examples.references[split]["tags"]]
        assert named == of_part.column("tags")
        for text, offsets, tokens in zip(
            *(of_part.column(n) for n in ("text", "offsets", "tokens")), strict=True
        ):
            assert [text[a:b] for a, b in offsets] == tokens
    assert any(note.startswith("tags: IOB2") for note in examples.notes)


def test_invalid_rows_are_errors(corpus_of: Callable[..., Corpus]) -> None:
    rows = [{"tokens": ["a", "b"], "tags": ["B-X"]}, {"tokens": ["a"], "tags": ["B-X"]}]
    with pytest.raises(DataError, match="N01"):
        TASK.check(corpus_of(TASK, train=rows), Data(train="x"), 1)


def test_rows_with_character_spans_are_read(corpus_of: Callable[..., Corpus]) -> None:
    task = make(Options(spans=True), {})
    rows = [
        {"text": f"Li Na won in {year}.", "entities": [{"start": 0, "end": 5, "label": "PER"}]}
        for year in range(1990, 2020)
    ]
    examples = task.check(corpus_of(task, train=rows), Data(train="x"), 1)
    assert examples.labels == ("O", "B-PER", "I-PER")
    assert examples.references["test"]["tags"][0].tolist() == [1, 2, 0, 0, 0, 0]
    predictions = {"tags": examples.references["test"]["tags"], "probabilities": objects([[1] * 6] * 3)}
    record = next(task.records(examples.corpus.splits["test"].columns, predictions, examples.labels))
    assert [(e["start"], e["end"], e["label"], e["text"]) for e in record["prediction"]] == [
        (0, 5, "PER", "Li Na")
    ]


def test_other_tag_names_have_another_fingerprint(corpus_of: Callable[..., Corpus]) -> None:
    """With other data.labels the same file has other tags, so the encoding cache needs another key."""
    rows = [{"tokens": [f"w{n}", "x"], "tags": [1, 3]} for n in range(30)]

    def check(*labels: str) -> Any:
        task = TASK
        return task.check(corpus_of(task, train=rows), Data(train="x", labels=list(labels)), 1)

    one, other = check("O", "B-A", "I-A", "B-B", "I-B"), check("O", "B-B", "I-B", "B-A", "I-A")
    assert one.labels == other.labels
    assert one.references["test"]["tags"][0].tolist() != other.references["test"]["tags"][0].tolist()
    assert one.corpus.fingerprint != other.corpus.fingerprint


def batch_of(encoded: Encoded, tokenizer: Any) -> dict[str, Tensor]:
    return collate(encoded, np.arange(len(encoded)), pad_token_id=tokenizer.pad_token_id, scalars={})


def test_the_loss_equals_that_of_transformers(tokenizer: Any, bert: Any) -> None:
    """transformers averages over the labelled tokens of a batch, llmkit sums over windows of several lengths."""
    table_rows = table(8)
    rows, references = rows_of(table_rows["tokens"]), ids_of(table_rows["tags"])
    batch = batch_of(encoded_of(rows, references, tokenizer), tokenizer)
    assert (batch["attention_mask"] == 0).any()
    with torch.no_grad():
        summed, count = TASK.loss(references, len(LABELS))(bert, batch)
        theirs = bert(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]
        ).loss
        decoded = TASK.decode(bert, batch)
    assert count.item() == sum(map(len, table_rows["tokens"]))  # every word counts once
    assert (summed / count).item() == pytest.approx(theirs.item(), rel=1e-12)
    assert decoded["loss"].sum().item() == pytest.approx(summed.item(), rel=1e-12)


def test_probabilities_are_those_of_the_most_likely_labels(tokenizer: Any, bert: Any) -> None:
    table_rows = table(5)
    batch = batch_of(encoded_of(rows_of(table_rows["tokens"]), {}, tokenizer), tokenizer)
    with torch.no_grad():
        decoded = TASK.decode(bert, batch)
        logits = bert(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert torch.equal(decoded["labels"], logits.argmax(-1).int())
    assert torch.allclose(decoded["probabilities"], logits.softmax(-1).amax(-1))
    assert "loss" not in decoded


@pytest.mark.parametrize("budget", [1, 50, 5000])
@pytest.mark.parametrize("length", [8, 16, 500])
def test_predictions_do_not_depend_on_windows_and_batches(
    session: Session, tokenizer: Any, budget: int, length: int
) -> None:
    table_rows = table(20)
    rows, references = rows_of(table_rows["tokens"]), ids_of(table_rows["tags"])
    model = ByToken()
    predictions = predictions_of(session, model, rows, references, tokenizer, length, budget)
    for number, tokens in enumerate(table_rows["tokens"]):
        logits = model.tokens[tokenizer.convert_tokens_to_ids(tokens)]  # type: ignore[index]
        assert predictions["tags"][number].tolist() == logits.argmax(-1).tolist()
        assert predictions["probabilities"][number] == pytest.approx(
            logits.softmax(-1).amax(-1).numpy(), rel=1e-5
        )
        expected = torch.nn.functional.cross_entropy(
            logits, torch.tensor(references["tags"][number]), reduction="sum"
        )
        assert predictions["loss"][number] == pytest.approx(expected.item(), rel=1e-4)
    assert predictions["words"].tolist() == [len(tokens) for tokens in table_rows["tokens"]]


def test_a_word_without_a_token_is_o_and_has_no_loss(session: Session, tokenizer: Any) -> None:
    rows = rows_of([["good", "\u200b", "film"], ["\u200b"]])
    references = ids_of([["B-GOOD", "B-GOOD", "O"], ["O"]])
    predictions = predictions_of(session, ByToken(), rows, references, tokenizer)
    assert predictions["tags"][0][1] == 0 and predictions["tags"][1].tolist() == [0]
    assert predictions["words"].tolist() == [2, 0]
    known = predictions_of(
        session, ByToken(), rows_of([["good", "film"]]), ids_of([["B-GOOD", "O"]]), tokenizer
    )
    assert TASK.score(references, predictions, LABELS, resampling=None).values["loss"] == pytest.approx(
        TASK.score(ids_of([["B-GOOD", "O"]]), known, LABELS, resampling=None).values["loss"]
    )


def test_values_are_the_scores(
    evaluated: tuple[dict[str, Any], Arrays, Arrays], resampling: Resampling
) -> None:
    _, references, predictions = evaluated
    values = TASK.score(references, predictions, LABELS, resampling=None).values
    sheet = TASK.score(references, predictions, LABELS, resampling=resampling)
    assert set(values) == set(sheet.scores) == {"loss", *TASK.spec.metrics}
    assert len(set(values.values())) == len(values)
    for name, value in values.items():
        score = sheet.scores[name]
        assert score.value == pytest.approx(value, abs=1e-12)
        assert score.low is not None and score.high is not None and score.low < value < score.high
        assert score.n == 60
    assert sheet.headline == ("f1", "precision", "recall")
    support = {name: row["support"] for name, row in sheet.details["per_class"].items()}
    names = (LABELS[number] for ids in references["tags"] for number in ids)
    assert support == Counter(name[2:] for name in names if name.startswith("B-"))
    json.dumps(sheet.details, allow_nan=False)


@pytest.mark.parametrize("strict", [False, True])
def test_f1_equals_that_of_seqeval(evaluated: tuple[dict[str, Any], Arrays, Arrays], strict: bool) -> None:
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    _, references, predictions = evaluated
    named = [[[LABELS[n] for n in ids] for ids in each["tags"]] for each in (references, predictions)]
    expected = f1_score(*named, **({"mode": "strict", "scheme": IOB2} if strict else {}))
    values = make(Options(strict=strict), {}).score(references, predictions, LABELS, resampling=None).values
    assert values["f1"] == pytest.approx(expected)
    assert 0.3 < expected < 0.95


def test_another_order_of_labels_has_the_same_scores(
    evaluated: tuple[dict[str, Any], Arrays, Arrays], resampling: Resampling
) -> None:
    rows, references, predictions = evaluated
    other = ("I-GOOD", "B-BAD", "O", "B-GOOD", "I-BAD")

    def moved(actual: Arrays) -> Arrays:
        return {**actual, "tags": objects([[other.index(LABELS[n]) for n in ids] for ids in actual["tags"]])}

    assert (
        TASK.score(moved(references), moved(predictions), other, resampling=None).values
        == TASK.score(references, predictions, LABELS, resampling=None).values
    )
    one = TASK.score(moved(references), moved(predictions), other, resampling=resampling)
    assert one == TASK.score(references, predictions, LABELS, resampling=resampling)
    records = [list(TASK.records(rows, a, n, g)) for a, g, n in
               ((predictions, references, LABELS), (moved(predictions), moved(references), other))]  # fmt: skip
    assert records[0] == records[1]
    null = {**predictions, "tags": objects([[0] * len(ids) for ids in references["tags"]])}
    assert TASK.difference(
        moved(references), moved(predictions), moved(null), "f1", other, resampling=resampling
    ) == (TASK.difference(references, predictions, null, "f1", LABELS, resampling=resampling))


def test_a_model_of_another_scheme_is_scored_by_its_entities() -> None:
    labels = ("O", "B-A", "I-A", "E-A", "S-A")
    references = {"tags": objects([[1, 2, 0, 1], [1, 2, 2, 0]])}  # IOB2 among the model's labels
    predictions = {"tags": objects([[1, 3, 0, 4], [1, 2, 0, 4]])}
    [true, actual] = _renumber(labels, references["tags"], predictions["tags"])
    assert [row.tolist() for row in true] == [[1, 2, 0, 1], [1, 2, 2, 0]]
    assert [row.tolist() for row in actual] == [[1, 2, 0, 1], [1, 2, 0, 1]]
    values = TASK.score(
        references,
        {**predictions, "loss": np.zeros(2), "words": np.ones(2)},
        labels,
        resampling=None,
    ).values
    assert (values["precision"], values["recall"]) == (0.5, pytest.approx(2 / 3))


def test_labels_that_mark_no_entities_are_an_error(
    evaluated: tuple[dict[str, Any], Arrays, Arrays],
) -> None:
    rows, references, predictions = evaluated
    for labels in ("NOUN", "VERB", "O", "X", "ADJ"), tuple(f"LABEL_{number}" for number in range(5)):
        with pytest.raises(ModelError, match="M11"):
            list(TASK.records(rows, predictions, labels))
        with pytest.raises(ModelError, match="M11"):
            TASK.score(references, predictions, labels, resampling=None)


def test_records_hold_offsets_in_the_text(evaluated: tuple[dict[str, Any], Arrays, Arrays]) -> None:
    rows, references, predictions = evaluated
    records = list(TASK.records(rows, predictions, LABELS, references))
    assert len(records) == 60
    for number, record in enumerate(records):
        assert record["text"] == rows["text"][number]
        for entity in [*record["prediction"], *record["entities"]]:
            assert record["text"][entity["start"] : entity["end"]] == entity["text"]
            assert entity["label"] in ("GOOD", "BAD")
        assert record["tags"] == [LABELS[n] for n in references["tags"][number]]
        assert record["predicted_tags"] == [LABELS[n] for n in predictions["tags"][number]]
        begun = sum(tag[0] == "B" for tag in record["tags"])
        assert len(record["entities"]) == begun
        least = min((entity["probability"] for entity in record["prediction"]), default=None)
        assert record["probability"] == least
    assert any(record["probability"] is None for record in records)
    json.dumps(records, allow_nan=False)


def test_an_entity_is_as_probable_as_its_least_probable_word() -> None:
    rows = rows_of([["Li", "Na", "won", "gold"]])
    predictions = {"tags": objects([[3, 4, 0, 1]]), "probabilities": np.empty(1, object)}
    predictions["probabilities"][0] = np.array([0.75, 0.5, 0.25, 0.875])
    [record] = TASK.records(rows, predictions, LABELS)
    assert record["prediction"] == [
        {"start": 0, "end": 5, "label": "GOOD", "text": "Li Na", "probability": 0.5},
        {"start": 10, "end": 14, "label": "BAD", "text": "gold", "probability": 0.875},
    ]
    assert record["probability"] == 0.5
    assert "tags" not in record


def test_texts_to_predict_are_split_into_words_by_rule(session: Session, tokenizer: Any) -> None:
    """Rows of `predict` have no tokens. Offsets are those in the text itself."""
    texts = ["A good,  great\tfilm!", "好good好 🙂bad", "e\u0301a dull"]
    rows: dict[str, Any] = {"text": texts}
    model = ByToken()
    model.tokens.zero_()  # type: ignore[operator]
    model.tokens[:, 0] = 1  # type: ignore[index]
    for number, words in (3, GOOD), (1, BAD):
        model.tokens[tokenizer.convert_tokens_to_ids(words), number] = 9  # type: ignore[index]
    predictions = predictions_of(session, model, rows, {}, tokenizer, 8)
    records = list(TASK.records(rows, predictions, LABELS))
    actual = [[(e["start"], e["end"], e["label"]) for e in record["prediction"]] for record in records]
    assert actual == [
        [(2, 6, "GOOD"), (9, 14, "GOOD")],
        [(1, 5, "GOOD"), (8, 11, "BAD")],
        [(4, 8, "BAD")],
    ]
    for text, record in zip(texts, records, strict=True):
        assert record["text"] == text
        assert all(text[e["start"] : e["end"]] == e["text"] for e in record["prediction"])


def test_a_text_without_any_word_has_no_entity(session: Session, tokenizer: Any) -> None:
    rows: dict[str, Any] = {"text": ["\u200b", "\u200b\u200b"]}
    predictions = predictions_of(session, ByToken(), rows, {}, tokenizer)
    assert [record["prediction"] for record in TASK.records(rows, predictions, LABELS)] == [[], []]


def test_parse_records_gives_the_same_difference(
    evaluated: tuple[dict[str, Any], Arrays, Arrays], resampling: Resampling
) -> None:
    rows, references, predictions = evaluated
    other = {**predictions, "tags": objects([np.where(ids == 3, 0, ids) for ids in predictions["tags"]])}
    pairs = []
    for each in predictions, other:
        records = [json.loads(json.dumps(record)) for record in TASK.records(rows, each, LABELS, references)]
        pairs.append(TASK.parse_records(records, LABELS))
    (again, ours), (_, theirs) = pairs
    for metric in TASK.spec.metrics:
        expected = TASK.difference(references, predictions, other, metric, LABELS, resampling=resampling)
        assert TASK.difference(again, ours, theirs, metric, LABELS, resampling=resampling) == expected
        values = [
            TASK.score(references, each, LABELS, resampling=None).values[metric]
            for each in (predictions, other)
        ]
        assert expected.value == pytest.approx(values[0] - values[1])
        assert expected.value != 0
    right = TASK.correct(again, ours)
    assert right is not None and right.tolist() == [
        list(a) == list(b) for a, b in zip(references["tags"], predictions["tags"], strict=True)
    ]
    assert 0 < right.sum() < 60


def test_the_worst_errors_have_the_most_wrong_words(evaluated: tuple[dict[str, Any], Arrays, Arrays]) -> None:
    rows, references, predictions = evaluated
    records = [
        {"place": f"a:{n}", **r} for n, r in enumerate(TASK.records(rows, predictions, LABELS, references))
    ]
    worst = TASK.worst_errors(records)
    wrong = sorted(
        (
            int((true != actual).sum())
            for true, actual in zip(references["tags"], predictions["tags"], strict=True)
        ),
        reverse=True,
    )
    places = [int(each["place"][2:]) for each in worst]
    assert [int((references["tags"][n] != predictions["tags"][n]).sum()) for n in places] == wrong[:20]
    assert set(worst[0]) == {"text", "label", "prediction", "place"}
    assert (
        TASK.worst_errors(
            [
                {"place": "a:1", **r}
                for r in TASK.records(rows, {**predictions, **references}, LABELS, references)
            ]
        )
        == []
    )


def test_the_gazetteer_on_a_worked_example(corpus_of: Callable[..., Corpus], resampling: Resampling) -> None:
    """`New York` is looked up as a whole; `May` is more often a month than a name, so it is ignored."""

    def row(text: str) -> dict[str, list[str]]:
        pairs = [word.split("/") for word in text.split()]
        return {"tokens": [pair[0] for pair in pairs], "tags": [pair[1] for pair in pairs]}

    train = [
        "Mr./O May/B-PER left/O",
        "in/O May/O",
        "since/O May/O",
        "New/B-LOC York/I-LOC is/O big/O",
        "York/B-PER",
    ]
    test = ["May/B-PER saw/O New/B-LOC York/I-LOC", "York/B-PER is/O here/O"]
    splits = {"train": list(map(row, train)), "test": list(map(row, test))}
    examples = TASK.check(corpus_of(TASK, **splits), Data(train="x", validation_share=0), 1)
    actual = predict_baselines(TASK, examples)
    assert actual.keys() == {"gazetteer"}
    named = [[examples.labels[n] for n in ids] for ids in actual["gazetteer"]["tags"]]
    assert named == [["O", "O", "B-LOC", "I-LOC"], ["B-PER", "O", "O"]]
    sheet = TASK.score(
        examples.references["test"], actual["gazetteer"], examples.labels, resampling=resampling
    )
    assert sheet.scores["recall"].value == pytest.approx(2 / 3)
    assert "loss" not in sheet.scores


def test_windows_overlap_by_the_stride(tokenizer: Any) -> None:
    rows = rows_of([["film"] * 45])
    counts = [len(encoded_of(rows, {}, tokenizer, 20, stride=stride)) for stride in (0, 6, 1000)]
    assert counts == [3, 4, 5]


def test_config_names_the_labels() -> None:
    assert TASK.head(LABELS).config["id2label"] == dict(enumerate(LABELS))
    assert TASK.head(LABELS).config["num_labels"] == 5
    assert isinstance(TASK, TokenClassification)


# forms of the rows


@pytest.mark.parametrize(
    "options, columns",
    [({}, {}), ({}, {"entities": "label"}), ({"spans": True}, {"entities": "label"})],
)
def test_texts_with_spans_are_read_with_and_without_the_key(
    tmp_path: Path, options: dict[str, Any], columns: dict[str, str]
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"text": "Anna slept", "label": [[0, 4, "PER"]]}) + "\n", encoding="utf-8")
    task = make(Options(**options), {})
    data = Data(train=str(path), columns=columns, validation_share=0.0, test_share=0.0)
    examples = task.check(read_rows(data, task, SILENT), data, 1)
    assert examples.labels == ("O", "B-PER", "I-PER")
    assert examples.references["train"]["tags"][0].tolist() == [1, 0]


def test_the_key_spans_false_keeps_tokens_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"text": "Anna slept", "label": [[0, 4, "PER"]]}) + "\n", encoding="utf-8")
    task = make(Options(spans=False), {})
    with pytest.raises(DataError, match="tokens"):
        read_rows(Data(train=str(path)), task, SILENT)
