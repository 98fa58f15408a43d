"""Extractive question answering: the best span over all windows, its probability, and the loss of transformers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from llmkit.base.errors import DataError
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
from llmkit.tasks.extractive_qa import ExtractiveQA, Options, make
from tests.float64 import in_float64
from tests.samples import predict_baselines

TASK = make(Options(), {})
SQUAD2 = make(Options(unanswerable=True), {})
WORDS = ["good", "bad", "film", "story", "a", "the", "dull", "warm", "scene", "plot", "7", ".", "zzz"]
Rows = dict[str, list[str]]
Span = tuple[int, int]


class ByToken(nn.Module):
    """Logits that depend on a token, its place and (little) on the tokens before: the same however it is padded."""

    def __init__(self, seed: int = 0, spread: float = 3.0) -> None:
        super().__init__()
        made = torch.Generator().manual_seed(seed)
        self.register_buffer("tokens", torch.randn(2, 400, generator=made) * spread)
        self.register_buffer("places", torch.randn(2, 600, generator=made))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        length = input_ids.shape[1]
        before = (input_ids * attention_mask).cumsum(1) % 7 / 7
        start, end = (self.tokens[side][input_ids] + self.places[side][:length] + before for side in (0, 1))
        return SimpleNamespace(start_logits=start, end_logits=end)


@pytest.fixture(scope="module")
def tokenizer(tiny_bert: Path) -> Any:
    return load.load_tokenizer(tiny_bert)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with sessions.start(seed=1, precision="fp32") as started:
        yield started


def references_of(rows: Rows, spans: Sequence[Sequence[Span]]) -> dict[str, Any]:
    texts = [tuple(c[a:b] for a, b in each) for c, each in zip(rows["context"], spans, strict=True)]
    actual = {"answers": np.empty(len(spans), object), "starts": np.empty(len(spans), object)}
    actual["answers"][:] = texts
    for number, each in enumerate(spans):
        actual["starts"][number] = np.array([a for a, _ in each], np.int64)
    return {**actual, "groups": np.arange(len(spans))}


def encoded_of(
    task: ExtractiveQA,
    rows: Rows,
    tokenizer: Any,
    references: Mapping[str, Any] | None = None,
    length: int = 24,
) -> Encoded:
    features = task.encode(rows, references or {}, tokenizer, max_length=length, truncation=True)
    return Encoded.from_batches([(0, features)])


def outputs_of(
    session: Session, task: ExtractiveQA, model: nn.Module, encoded: Encoded, tokenizer: Any, budget: int
) -> dict[str, Any]:
    train = Train(micro_batch_tokens=budget)
    return dict(predict(session, model, make_batches(session, encoded, {}, tokenizer, train), task.decode))


def rows_of(contexts: Sequence[str], question: str = "is it good") -> Rows:
    return {"question": [question] * len(contexts), "context": list(contexts)}


class Everything:
    """Enumerate all spans of all windows of one question."""

    def __init__(self, model: nn.Module, encoded: Encoded, these: Sequence[int], longest: int) -> None:
        self.spans: dict[Span, float] = {}
        self.scores: list[float] = []
        nulls = []
        for window in these:
            ids = torch.tensor(encoded.ragged["input_ids"][window][None].astype(np.int64))
            said = model(ids, torch.ones_like(ids))
            start, end = said.start_logits[0].tolist(), said.end_logits[0].tolist()
            nulls.append(start[0] + end[0])
            inside = np.flatnonzero(encoded.ragged["context"][window]).tolist()
            for first in inside:
                for last in inside:
                    if first <= last < first + longest:
                        self._add(encoded, window, first, last, start[first] + end[last])
        self.null = min(nulls)

    def _add(self, encoded: Encoded, window: int, first: int, last: int, score: float) -> None:
        span = (
            int(encoded.decode_columns["begins"][window][first]),
            int(encoded.decode_columns["ends"][window][last]),
        )
        self.spans[span] = max(score, self.spans.get(span, -math.inf))
        self.scores.append(score)

    @property
    def ranked(self) -> list[tuple[Span, float]]:
        return sorted(self.spans.items(), key=lambda item: -item[1])

    def probability(self, score: float, *, once: bool) -> float:
        """once: spans that two windows hold count once."""
        others = self.spans.values() if once else self.scores
        return 1 / sum(math.exp(other - score) for other in [*others, self.null])

    def fits(self, probability: float, score: float) -> bool:
        """Between those where all spans of an overlap count once and twice: only the best are known one by one."""
        low, high = (self.probability(score, once=once) for once in (False, True))
        return 0.999 * low <= probability <= 1.001 * high


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(" ".join)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(texts, min_size=1, max_size=4),
    st.integers(1, 8),
    st.integers(0, 8),
    st.sampled_from([1, 40, 100, 5000]),
    st.integers(0, 100),
)
def test_predictions_equal_a_search_over_all_spans(
    tokenizer: Any, session: Session, contexts: list[str], longest: int, stride: int, budget: int, seed: int
) -> None:
    """The best spans, their probabilities and the null score do not depend on micro-batches."""
    task = make(Options(max_answer_length=longest, stride=stride), {})
    rows, model = rows_of(contexts), ByToken(seed)
    encoded = encoded_of(task, rows, tokenizer)
    predictions = task.predictions(
        outputs_of(session, task, model, encoded, tokenizer, budget), encoded, rows
    )
    for number, context in enumerate(contexts):
        expected = Everything(model, encoded, np.flatnonzero(encoded.examples == number).tolist(), longest)
        best = predictions["spans"][number]
        assert len(best) == min(20, len(expected.spans))
        for span, ((start, end), score) in zip(best, expected.ranked, strict=False):
            assert expected.spans[span.start, span.end] == pytest.approx(score, abs=1e-4)  # they may tie
            assert expected.fits(span.probability, score)
            assert 0 <= start < end <= len(context)
        assert len({(span.start, span.end) for span in best}) == len(best)
        assert predictions["texts"][number] == context[best[0].start : best[0].end]
        assert predictions["null_difference"][number] == pytest.approx(
            expected.null - expected.ranked[0][1], abs=1e-4
        )
        absent = predictions["null_probability"][number]
        assert expected.fits(absent, expected.null)
        if len(expected.scores) <= 20:
            assert absent == pytest.approx(expected.probability(expected.null, once=True), rel=1e-3)
        assert absent + sum(span.probability for span in best) <= 1 + 1e-6


@pytest.mark.parametrize("longest", [1, 3])
def test_short_windows_beside_long_ones_have_no_invented_spans(
    tokenizer: Any, session: Session, longest: int
) -> None:
    """Windows with fewer spans than are kept must not be filled up with others."""
    task = make(Options(max_answer_length=longest), {})
    rows, model = rows_of(["film", "bad plot", "the film was good and warm " * 3]), ByToken(1, spread=0.1)
    for side in ("tokens", "places"):
        getattr(model, side).sub_(20)  # all true spans score less than 0
    encoded = encoded_of(task, rows, tokenizer, length=40)
    predictions = task.predictions(outputs_of(session, task, model, encoded, tokenizer, 1), encoded, rows)
    assert [[(s.start, s.end) for s in spans] for spans in predictions["spans"][:1]] == [[(0, 4)]]
    assert {(s.start, s.end) for s in predictions["spans"][1]} <= {(0, 3), (4, 8), (0, 8)}
    assert predictions["texts"][0] == "film"


def decode_of(task: ExtractiveQA, batch: dict[str, Tensor], start: Tensor, end: Tensor) -> dict[str, Any]:
    class FixedLogits(nn.Module):
        def forward(self, **_: Tensor) -> Any:
            return SimpleNamespace(start_logits=start, end_logits=end)

    return {name: value.numpy() for name, value in task.decode(FixedLogits(), batch).items()}


def batch_of(encoded: Encoded, tokenizer: Any) -> dict[str, Tensor]:
    indices = np.arange(len(encoded))
    return collate(encoded, indices, pad_token_id=tokenizer.pad_token_id, scalars={})


def test_padding_and_the_question_are_never_predicted(tokenizer: Any) -> None:
    rows = rows_of(["the film", "the film was good and the plot was bad"])
    encoded = encoded_of(TASK, rows, tokenizer)
    batch = batch_of(encoded, tokenizer)
    outside = ~batch["context"].bool()
    start = torch.where(outside, 1000.0, torch.arange(outside.shape[1]) / 10)
    predictions = TASK.predictions(decode_of(TASK, batch, start, start.clone()), encoded, rows)
    assert predictions["texts"].tolist() == ["film", "bad"]
    assert predictions["null_probability"].tolist() == [1, 1]  # its null score is 2000


def test_windows_without_the_answer_do_not_lower_its_probability(tokenizer: Any) -> None:
    """The other windows predict "no answer", rightly: the answer is as probable as in its own window."""

    def asked(count: int) -> tuple[str, float, float]:
        rows = rows_of([" ".join(["the"] * count + ["good"] + ["the"] * count)])
        encoded = encoded_of(SQUAD2, rows, tokenizer)
        batch = batch_of(encoded, tokenizer)
        here = (batch["input_ids"] == tokenizer.convert_tokens_to_ids("good")) & batch["context"].bool()
        logits = torch.where(here, 8.0, -20.0)
        logits[:, 0] = torch.where(here.any(1), 0.0, 4.0)  # "not here" in the others
        predictions = SQUAD2.predictions(decode_of(SQUAD2, batch, logits, logits), encoded, rows)
        return (
            predictions["texts"][0],
            predictions["spans"][0][0].probability,
            predictions["null_probability"][0],
        )

    for count in (2, 30, 31, 35, 40, 200):  # with some strides the answer is in two windows
        text, probability, absent = asked(count)
        assert text == "good"
        assert (probability, absent) == pytest.approx((1, math.exp(-16)), rel=1e-5)


def test_a_predicted_answer_is_at_least_as_probable_as_none(tokenizer: Any, session: Session) -> None:
    """Without a tuned threshold, the prediction is the more probable of the two."""
    rng = np.random.default_rng(0)
    rows = rows_of([" ".join(rng.choice(WORDS, 50)) for _ in range(30)])
    encoded = encoded_of(SQUAD2, rows, tokenizer)
    model = ByToken(3)
    model.places[:, 0] += 9  # type: ignore[index]
    predictions = SQUAD2.predictions(
        outputs_of(session, SQUAD2, model, encoded, tokenizer, 200), encoded, rows
    )
    predict_texts = np.array([text != "" for text in predictions["texts"]])
    best = np.array([spans[0].probability for spans in predictions["spans"]])
    assert (predict_texts == (best >= predictions["null_probability"])).all()
    assert 0 < predict_texts.sum() < 30


def test_predictions_have_no_white_space_around_them(session: Session) -> None:
    """GPT type tokens include the blank before a word, and some are nothing but white space."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_ = Tokenizer(models.BPE({character: n for n, character in enumerate(alphabet)}, []))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_, pad_token="!")
    rows = rows_of([" \n the 好  film\t\n ", "\n\n  a", "   "], question="?")
    for seed in range(20):
        encoded = encoded_of(TASK, rows, tokenizer, length=40)
        predictions = TASK.predictions(
            outputs_of(session, TASK, ByToken(seed), encoded, tokenizer, 50), encoded, rows
        )
        assert all(text == text.strip() != "" for text in predictions["texts"][:2])
        for context, spans in zip(rows["context"][:2], predictions["spans"], strict=False):
            assert all(context[s.start : s.end].strip() == context[s.start : s.end] != "" for s in spans)
        assert predictions["texts"][2] == ""
        json.dumps(list(TASK.records(rows, predictions, ())), allow_nan=False)


@pytest.fixture(scope="module")
def bert(tiny_bert: Path, tokenizer: Any) -> Any:
    model = load.load_pretrained(
        tiny_bert,
        TASK.spec.auto_class,
        TASK.head(()).config,
        new_head=False,
        seed=1,
        tokenizer=tokenizer,
    )
    return in_float64(model).eval()


def test_the_loss_is_that_of_transformers(tokenizer: Any, bert: Any) -> None:
    """transformers computes it for each window alone, llmkit for all windows padded into one batch."""
    contexts = ["the film was good", "a dull story and a warm scene of the plot it was", "bad " * 40]
    rows = rows_of(contexts)
    references = references_of(rows, [[(13, 17)], [(18, 28)], [(80, 83)]])
    encoded = encoded_of(TASK, rows, tokenizer, references)
    batch = batch_of(encoded, tokenizer)
    assert (batch["attention_mask"] == 0).any() and len(encoded) > 3
    assert {(a, b) for a, b in zip(batch["start"][:, 0].tolist(), batch["end"][:, 0].tolist())} > {(0, 0)}
    with torch.no_grad():
        summed, count = TASK.loss({}, 0)(bert, batch)
        decoded = TASK.decode(bert, batch)
        alone = [
            bert(
                input_ids=torch.tensor(encoded.ragged["input_ids"][window][None].astype(np.int64)),
                start_positions=batch["start"][window],
                end_positions=batch["end"][window],
            ).loss.item()
            for window in range(len(encoded))
        ]
    assert count.item() == len(encoded)
    assert summed.item() == pytest.approx(sum(alone), rel=1e-12)
    assert decoded["loss"].tolist() == pytest.approx(alone, rel=1e-12)
    same = encoded_of(
        TASK, rows_of(contexts[:1] * 3), tokenizer, references_of(rows_of(contexts[:1] * 3), [[(13, 17)]] * 3)
    )
    unpadded = batch_of(same, tokenizer)
    with torch.no_grad():
        summed, count = TASK.loss({}, 0)(bert, unpadded)
        theirs = bert(
            input_ids=unpadded["input_ids"],
            start_positions=unpadded["start"][:, 0],
            end_positions=unpadded["end"][:, 0],
        ).loss
    assert (summed / count).item() == pytest.approx(theirs.item(), rel=1e-12)


def test_half_precision_logits_have_a_loss(tokenizer: Any) -> None:
    rows = rows_of(["the film", "the film was good and the plot was bad"])
    encoded = encoded_of(TASK, rows, tokenizer, references_of(rows, [[(0, 3)], [(0, 3)]]))
    batch = batch_of(encoded, tokenizer)

    class Half(nn.Module):
        def forward(self, input_ids: Tensor, **_: Tensor) -> Any:
            return SimpleNamespace(start_logits=input_ids.half() / 9, end_logits=input_ids.half() / 9)

    summed, _ = TASK.loss({}, 0)(Half(), batch)
    assert summed.dtype == torch.float32 and torch.isfinite(summed)


def test_a_base_model_with_three_classes_gets_a_head_with_two_outputs(
    tiny_bert: Path, tokenizer: Any, tmp_path: Path
) -> None:
    three = load.load_pretrained(
        tiny_bert,
        "AutoModelForSequenceClassification",
        {"num_labels": 3, "id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}},
        new_head=False,
        seed=1,
        tokenizer=tokenizer,
    )
    three.save_pretrained(tmp_path / "three")
    tokenizer.save_pretrained(tmp_path / "three")

    def opened(folder: Path) -> Any:
        return load.load_pretrained(
            folder, TASK.spec.auto_class, TASK.head(()).config, new_head=False, seed=1, tokenizer=tokenizer
        )

    model = opened(tmp_path / "three")
    said = model(input_ids=torch.tensor([[2, 5, 3]]))
    assert said.start_logits.shape == said.end_logits.shape == (1, 3)
    model.save_pretrained(tmp_path / "answers")
    tokenizer.save_pretrained(tmp_path / "answers")
    again = opened(tmp_path / "answers")  # an existing head is kept
    assert torch.equal(again.qa_outputs.weight, model.qa_outputs.weight)


CONTEXTS = ["Li Na won in 2011. She was 29.", "Nothing is said here.", "北京大学成立于1898年。"]
QUESTIONS = ["When did she win?", "Who won?", "北京大学何时成立？"]


@pytest.fixture
def read(corpus_of: Callable[..., Corpus]) -> Callable[..., Corpus]:
    def call(task: ExtractiveQA = TASK, **splits: list[tuple[str, str, list[str]]]) -> Corpus:
        def row(question: str, context: str, predictions: list[str]) -> dict[str, Any]:
            starts = [context.index(text) for text in predictions]
            return {
                "id": f"q {question} {context[:9]}",
                "question": question,
                "context": context,
                "answers": {"text": predictions, "answer_start": starts},
            }

        return corpus_of(task, **{split: [row(*each) for each in rows] for split, rows in splits.items()})

    return call


def many(count: int) -> list[tuple[str, str, list[str]]]:
    return [(f"What is number {n}?", f"Number {n} is {n * n}, or so.", [f"{n * n}"]) for n in range(count)]


def test_check_makes_splits_and_references(read: Callable[..., Corpus]) -> None:
    examples = TASK.check(read(train=many(60)), Data(train="x", test_share=0.2), 1)
    assert {split: len(rows) for split, rows in examples.corpus.splits.items()}.keys() == {
        "train",
        "validation",
        "test",
    }
    for split, rows in examples.corpus.splits.items():
        references = examples.references[split]
        for context, texts_, starts in zip(
            rows.column("context"), references["answers"], references["starts"], strict=True
        ):
            assert [context[s : s + len(t)] for t, s in zip(texts_, starts, strict=True)] == list(texts_)
    assert examples.label_counts["test"] == {"answerable": 12}
    with pytest.raises(DataError, match="Q04"):
        TASK.check(read(train=[*many(9), (QUESTIONS[1], CONTEXTS[1], [])]), Data(train="x"), 1)
    actual = SQUAD2.check(
        read(test=[*many(9), (QUESTIONS[1], CONTEXTS[1], [])]), Data(test="x"), 1, labels=()
    )
    assert actual.label_counts["test"] == {"answerable": 9, "without an answer": 1}


def test_the_first_reference_answer_is_learned(tokenizer: Any) -> None:
    rows = rows_of(["the film was good"])
    encoded = encoded_of(TASK, rows, tokenizer, references_of(rows, [[(13, 17), (4, 8)]]))
    assert tokenizer.decode(encoded.ragged["input_ids"][0][encoded.ragged["start"][0]]) == "good"


@pytest.fixture
def evaluated(tokenizer: Any, session: Session) -> Iterator[tuple[Rows, dict[str, Any], dict[str, Any]]]:
    """Make 80 questions, of which every fourth has no answer, and the predictions of a model."""
    rng = np.random.default_rng(5)
    rows = rows_of([" ".join(rng.choice(WORDS, rng.integers(4, 50))) for _ in range(80)])
    rows["id"] = [f"q{number}" for number in range(80)]
    rows["question"] = [f"is it {number}" for number in range(80)]
    spans: list[list[Span]] = []
    for number, context in enumerate(rows["context"]):
        words = [(match, match + len(word)) for word in context.split() for match in [context.index(word)]]
        first = words[int(rng.integers(len(words)))]
        spans.append([] if number % 4 == 0 else [first, words[0]])
    references = references_of(rows, spans)
    references["groups"] = np.arange(80) // 2
    encoded = encoded_of(SQUAD2, rows, tokenizer, references)
    model = ByToken(3)
    model.places[:, 0] += 9  # type: ignore[index]
    train = Train(micro_batch_tokens=100)
    outputs = predict(
        session, model, make_batches(session, encoded, references, tokenizer, train), SQUAD2.decode
    )
    yield rows, references, dict(SQUAD2.predictions(outputs, encoded, rows))


def f1(task: ExtractiveQA, references: Mapping[str, Any], predictions: Mapping[str, Any]) -> float:
    return task.score(references, predictions, (), resampling=None).values["f1"]


def test_the_tuned_threshold_has_the_best_f1(
    evaluated: tuple[Rows, dict[str, Any], dict[str, Any]], tokenizer: Any, session: Session
) -> None:
    _, references, predictions = evaluated
    tuned = SQUAD2.tune(references, predictions)
    json.dumps(tuned, allow_nan=False)

    def under(threshold: float) -> float:
        texts_ = np.array(
            [
                "" if gap > threshold else best
                for gap, best in zip(predictions["null_difference"], predictions["best"])
            ],
            object,
        )
        return f1(SQUAD2, references, {**predictions, "texts": texts_})

    every = [under(gap + change) for gap in predictions["null_difference"] for change in (-1e-3, 1e-3)]
    assert under(tuned["null_threshold"]) == pytest.approx(max(every))
    assert max(every) > under(0.0) + 0.01  # otherwise there was nothing to tune


def test_predictions_follow_the_tuned_threshold(tokenizer: Any, session: Session) -> None:
    rows = rows_of(["the film was good and warm"] * 2)
    encoded = encoded_of(SQUAD2, rows, tokenizer, length=40)
    outputs = outputs_of(session, SQUAD2, ByToken(2), encoded, tokenizer, 1000)
    gap = float(SQUAD2.predictions(outputs, encoded, rows)["null_difference"][0])
    for change, predict_texts in (0.01, True), (-0.01, False):
        tuned = make(Options(unanswerable=True), {"null_threshold": gap + change})
        predictions = tuned.predictions(outputs, encoded, rows)
        assert [text != "" for text in predictions["texts"]] == [predict_texts] * 2
        record = next(tuned.records(rows, predictions, ()))
        assert (record["start"] is not None, record["sentence"] is not None) == (predict_texts, predict_texts)
        span, absent = predictions["spans"][0][0].probability, predictions["null_probability"][0]
        assert record["probability"] == (span if predict_texts else absent)
    never = make(Options(), {"null_threshold": -1e9})  # a task where every question has an answer
    assert never.predictions(outputs, encoded, rows)["texts"][0] != ""


def test_values_are_the_scores_and_the_loss_is_a_mean_over_windows(
    evaluated: tuple[Rows, dict[str, Any], dict[str, Any]], resampling: Resampling
) -> None:
    _, references, predictions = evaluated
    values = SQUAD2.score(references, predictions, (), resampling=None).values
    sheet = SQUAD2.score(references, predictions, (), resampling=resampling)
    assert set(values) == set(sheet.scores) == {"loss", *SQUAD2.spec.metrics}
    for name, value in values.items():
        score = sheet.scores[name]
        assert score.value == pytest.approx(value, abs=1e-12)
        assert score.low is not None and score.high is not None and score.low <= value <= score.high
    assert values["loss"] == pytest.approx(predictions["loss"].sum() / predictions["windows"].sum())
    assert predictions["windows"].sum() > 80
    assert sheet.headline == ("exact_match", "f1")
    assert sheet.scores["has_answer_f1"].n == 60 and sheet.scores["no_answer_accuracy"].n == 20


def test_without_unanswerable_questions_there_are_two_metrics(
    evaluated: tuple[Rows, dict[str, Any], dict[str, Any]], resampling: Resampling
) -> None:
    _, references, predictions = evaluated
    some = np.array([bool(texts_) for texts_ in references["answers"]])
    references, predictions = (
        {name: array[some] for name, array in each.items()} for each in (references, predictions)
    )
    assert (
        set(TASK.score(references, predictions, (), resampling=None).values)
        == {"loss", *TASK.spec.metrics}
        == {"loss", "exact_match", "f1"}
    )
    assert set(TASK.score(references, predictions, (), resampling=resampling).scores) == {
        "loss",
        *TASK.spec.metrics,
    }


def test_rules_follow_the_language_of_the_answers() -> None:
    def exact(task: ExtractiveQA, true: str, said: str) -> float:
        references = {"answers": np.empty(1, object), "groups": np.zeros(1)}
        references["answers"][0] = (true,)
        predictions = {"texts": np.array([said], object), "loss": np.zeros(1), "windows": np.ones(1)}
        return task.score(references, predictions, (), resampling=None).values["exact_match"]

    assert exact(TASK, "the tower", "tower") == 1  # SQuAD ignores articles
    assert exact(TASK, "1898年，夏", "1898年夏") == 1  # CMRC ignores Chinese punctuation
    assert exact(make(Options(rules="squad"), {}), "1898年，夏", "1898年夏") == 0
    with pytest.raises(ValueError, match="use squad_v2"):
        Options(unanswerable=True, rules="cmrc")


def test_records_hold_offsets_in_the_context(evaluated: tuple[Rows, dict[str, Any], dict[str, Any]]) -> None:
    rows, references, predictions = evaluated
    records = list(SQUAD2.records(rows, predictions, (), references))
    assert len(records) == 80
    for number, record in enumerate(records):
        context = rows["context"][number]
        assert (record["id"], record["question"]) == (f"q{number}", f"is it {number}")
        assert record["answers"] == list(references["answers"][number])
        assert len(record["best"]) <= 5
        for best in record["best"]:
            assert context[best["start"] : best["end"]] == best["text"]
        if record["prediction"]:
            assert context[record["start"] : record["end"]] == record["prediction"]
            assert record["prediction"] in record["sentence"]
            assert record["sentence"] in context
            assert record["probability"] == record["best"][0]["probability"]
        else:
            assert record["start"] is record["end"] is record["sentence"] is None
    assert {bool(record["prediction"]) for record in records} == {True, False}
    json.dumps(records, allow_nan=False)


def test_a_record_has_the_sentence_around_the_answer(tokenizer: Any) -> None:
    rows = rows_of(["It was bad. The film was good! Was it?"])
    encoded = encoded_of(TASK, rows, tokenizer, length=40)
    batch = batch_of(encoded, tokenizer)
    logits = torch.where(batch["input_ids"] == tokenizer.convert_tokens_to_ids("good"), 9.0, 0.0)
    predictions = TASK.predictions(decode_of(TASK, batch, logits, logits), encoded, rows)
    record = next(TASK.records(rows, predictions, ()))
    assert record["prediction"] == "good"
    assert (record["start"], record["end"]) == (25, 29)
    assert record["sentence"] == "The film was good!"
    assert "answers" not in record and "id" not in record


def test_parse_records_gives_the_same_difference(
    evaluated: tuple[Rows, dict[str, Any], dict[str, Any]], resampling: Resampling
) -> None:
    rows, references, predictions = evaluated
    other = {**predictions, "texts": predictions["best"]}
    records = [json.loads(json.dumps(r)) for r in SQUAD2.records(rows, predictions, (), references)]
    again, ours = SQUAD2.parse_records(records, ())
    for metric in SQUAD2.spec.metrics:
        expected = SQUAD2.difference(references, predictions, other, metric, (), resampling=resampling)
        actual = SQUAD2.difference(again, ours, other, metric, (), resampling=resampling)
        assert actual == expected
    change = f1(SQUAD2, references, predictions) - f1(SQUAD2, references, other)
    assert change != 0
    actual = SQUAD2.difference(references, predictions, other, "f1", (), resampling=resampling)
    assert actual.value == pytest.approx(change)
    assert SQUAD2.correct(again, ours).tolist() == SQUAD2.correct(references, predictions).tolist()
    assert SQUAD2.correct(references, predictions).mean() == pytest.approx(
        SQUAD2.score(references, predictions, (), resampling=None).values["exact_match"]
    )


def test_the_worst_errors_share_no_word_with_a_reference(
    evaluated: tuple[Rows, dict[str, Any], dict[str, Any]],
) -> None:
    rows, references, predictions = evaluated
    records = [{"place": "a:1", **record} for record in SQUAD2.records(rows, predictions, (), references)]
    worst = SQUAD2.worst_errors(records)
    assert worst and len(worst) <= 20
    sure = [each["probability"] for each in worst]
    assert sure == sorted(sure, reverse=True)
    for each in worst:
        accepted = {word for true in each["label"].split(" / ") for word in true.split()} - {"a", "the"}
        assert not accepted & set(each["prediction"].split())
    wrong = SQUAD2.correct(references, predictions) == 0
    assert len(worst) == min(20, sum(wrong)) == 20


def test_baselines_predict_spans_of_the_context(read: Callable[..., Corpus], resampling: Resampling) -> None:
    rows = [*many(20), ("Who won in 2011?", CONTEXTS[0], ["Li Na"]), (QUESTIONS[1], CONTEXTS[1], [])]
    examples = SQUAD2.check(
        read(SQUAD2, train=many(40)[20:], test=rows), Data(train="x", validation_share=0), 1
    )
    actual = predict_baselines(SQUAD2, examples)
    assert actual.keys() == {"sliding_window", "no_answer"}
    contexts = examples.corpus.splits["test"].column("context")
    assert all(t and t in c for t, c in zip(actual["sliding_window"]["texts"], contexts, strict=True))
    sheet = SQUAD2.score(examples.references["test"], actual["no_answer"], (), resampling=resampling)
    assert sheet.scores["exact_match"].value == pytest.approx(1 / 22)
    assert predict_baselines(TASK, examples).keys() == {"sliding_window"}


def test_the_best_span_and_the_lowest_null_score_over_windows_count(tokenizer: Any) -> None:
    """Two windows with a null score and a best span each, worked out by hand."""
    rows = rows_of(["the " * 22 + "good"])
    encoded = encoded_of(SQUAD2, rows, tokenizer)
    batch = batch_of(encoded, tokenizer)
    assert len(encoded) == 2
    start = torch.full(batch["input_ids"].shape, -30.0)
    start[0, 0], start[1, 0] = 2.0, 1.0
    inside = [int(row.nonzero()[0, 0]) for row in batch["context"]]
    start[0, inside[0]], start[1, inside[1]] = 1.5, 1.25
    end = start.clone()
    predictions = SQUAD2.predictions(decode_of(SQUAD2, batch, start, end), encoded, rows)
    assert predictions["null_difference"].tolist() == [2.0 - 3.0]
    assert (predictions["spans"][0][0].start, predictions["spans"][0][0].end) == (0, 3)
    total = sum(math.exp(x) for x in (3.0, 2.5, 2.0))
    assert predictions["spans"][0][0].probability == pytest.approx(math.exp(3.0) / total, rel=1e-6)
    assert predictions["null_probability"][0] == pytest.approx(math.exp(2.0) / total, rel=1e-6)
