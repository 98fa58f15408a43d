"""Baselines that a fine-tuned model is compared with.

Each function at the top returns the baselines of one kind of task by name, in the order in which they are shown; the
methods behind them follow. Settings are fixed (sublinear TF-IDF, C = 10) and nothing is searched, so that every model
meets the same baseline, a second on a thousand short texts. Logistic regression is one-vs-rest in the dual, not one
softmax over all classes: equally accurate on eight English and Chinese data sets, in a tenth of the time, and with
memory that stays flat for 100 classes.

Shapes: N training examples, M examples to predict, D dimensions of an embedding, C classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from llmkit.data.checks.columns import object_array
from llmkit.metrics.tasks.multi_label import best_thresholds
from llmkit.tasks.protocol import Arrays, Baseline, BaselineInputs, Rows
from llmkit.text.sentences import lead_sentences
from llmkit.text.sliding_window import predict_answer

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

__all__ = [
    "BASE_MODEL",
    "LSTM",
    "Analyzer",
    "choose_analyzer",
    "classification_baselines",
    "entity_baselines",
    "fit_line",
    "lead_baseline",
    "look_up_entities",
    "measure_overlap",
    "multi_label_baselines",
    "predict_majority",
    "predict_nearest_mean",
    "predict_nearest_mean_each",
    "predict_ridge",
    "predict_tfidf",
    "predict_tfidf_each",
    "predict_tfidf_ridge",
    "question_baselines",
    "regression_baselines",
    "source_baseline",
]

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_FEATURES = 100_000
WITHOUT_SPACES = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]"
)  # Han, kana
LETTER = re.compile(r"[^\W\d_]")
TOKEN = r"\w+|[^\w\s]"  # one-letter words and signs count too: "I", "!", an emoji

BASE_MODEL = Baseline("the base model before fine-tuning", "base_model")
LSTM = Baseline("an LSTM trained from scratch", "lstm")


# The baselines of each kind of task


def classification_baselines(columns: Sequence[str]) -> dict[str, Baseline]:
    """Return the baselines of a task with one class per example.

    Args:
        columns: The text columns of an example.
    """

    def majority(inputs: BaselineInputs) -> Arrays:
        size = len(inputs.examples.corpus.splits[inputs.split])
        return _most_likely(
            predict_majority(inputs.train_references["labels"], size, classes=len(inputs.examples.labels))
        )

    def tfidf(inputs: BaselineInputs) -> Arrays:
        train, new = (_join_texts(inputs.rows(split), columns) for split in ("train", inputs.split))
        labels, classes = inputs.train_references["labels"], len(inputs.examples.labels)
        return _most_likely(predict_tfidf(train, labels, new, classes=classes, seed=inputs.seed))

    def nearest_mean(inputs: BaselineInputs) -> Arrays:
        train, new = inputs.embeddings["train"], inputs.embeddings[inputs.split]
        labels, classes = inputs.train_references["labels"], len(inputs.examples.labels)
        return _most_likely(predict_nearest_mean(train, labels, new, classes=classes))

    return {
        "majority": Baseline("always predicting the most frequent class", "examples", majority),
        "tfidf": Baseline("TF-IDF with logistic regression", "examples", tfidf),
        "untuned": Baseline(
            "the base model (nearest class mean of its embeddings)", "embeddings", nearest_mean
        ),
        "lstm": LSTM,
    }


def multi_label_baselines(columns: Sequence[str], *, with_thresholds: bool) -> dict[str, Baseline]:
    """Return the baselines of a task with any number of labels per example.

    Args:
        columns: The text columns of an example.
        with_thresholds: Whether the model's thresholds were set on the validation set. Each baseline then sets its
            own there.
    """

    def predict(inputs: BaselineInputs, new: Floats, validation: Floats) -> Arrays:
        threshold: float | Floats = 0.5
        if with_thresholds:
            threshold = best_thresholds(inputs.examples.references["validation"]["labels"], validation)
        return {"prediction": new >= threshold, "probabilities": new}

    def most_frequent(inputs: BaselineInputs) -> Arrays:
        marks, size = inputs.train_references["labels"], len(inputs.examples.corpus.splits[inputs.split])
        shares = np.tile(marks.astype(np.int64).mean(axis=0), (size, 1))
        return {"prediction": shares > 0.5, "probabilities": shares}

    def tfidf(inputs: BaselineInputs) -> Arrays:
        names = ("train", inputs.split, "validation") if with_thresholds else ("train", inputs.split)
        train, new, *others = (_join_texts(inputs.rows(name), columns) for name in names)
        marks = inputs.train_references["labels"].astype(np.int64)
        texts = [*new, *(others[0] if others else [])]
        probabilities = predict_tfidf_each(train, marks, texts, seed=inputs.seed)
        return predict(inputs, *np.split(probabilities, [len(new)]))

    def nearest_mean(inputs: BaselineInputs) -> Arrays:
        marks = inputs.train_references["labels"].astype(np.int64)
        new, validation = (
            predict_nearest_mean_each(inputs.embeddings["train"], marks, inputs.embeddings[split])
            for split in (inputs.split, "validation" if with_thresholds else inputs.split)
        )
        return predict(inputs, new, validation)

    return {
        "most_frequent": Baseline(
            "always predicting the labels that most texts have", "examples", most_frequent
        ),
        "tfidf_each": Baseline("TF-IDF with a logistic regression per label", "examples", tfidf),
        "untuned": Baseline(
            "the base model (nearest mean of its embeddings with and without each label)",
            "embeddings",
            nearest_mean,
            needs_validation=with_thresholds,
        ),
        "lstm": LSTM,
    }


def regression_baselines(columns: Sequence[str]) -> dict[str, Baseline]:
    """Return the baselines of a task with a number per example; those of a pair look at its word overlap."""

    def mean(inputs: BaselineInputs) -> Arrays:
        size = len(inputs.examples.corpus.splits[inputs.split])
        return {"prediction": np.full(size, inputs.train_references["labels"].mean(dtype=np.float64))}

    def overlap(inputs: BaselineInputs) -> Arrays:
        train, new = (
            measure_overlap(*(inputs.rows(split)[column] for column in columns))
            for split in ("train", inputs.split)
        )
        return {"prediction": fit_line(train, inputs.train_references["labels"], new)}

    def tfidf(inputs: BaselineInputs) -> Arrays:
        train, new = (_join_texts(inputs.rows(split), columns) for split in ("train", inputs.split))
        return {"prediction": predict_tfidf_ridge(train, inputs.train_references["labels"], new)}

    def ridge(inputs: BaselineInputs) -> Arrays:
        train, new = inputs.embeddings["train"], inputs.embeddings[inputs.split]
        return {"prediction": predict_ridge(train, inputs.train_references["labels"], new)}

    of_texts = (
        {"overlap": Baseline("linear regression on the share of common words", "examples", overlap)}
        if len(columns) == 2
        else {"tfidf_ridge": Baseline("TF-IDF with ridge regression", "examples", tfidf)}
    )
    return {
        "mean": Baseline("always predicting the mean of the training scores", "examples", mean),
        **of_texts,
        "untuned": Baseline("the base model (ridge regression on its embeddings)", "embeddings", ridge),
        "lstm": LSTM,
    }


def entity_baselines() -> dict[str, Baseline]:
    """Return the baseline of named-entity recognition: the training entities as a dictionary."""

    def gazetteer(inputs: BaselineInputs) -> Arrays:
        train, new = (inputs.rows(split)["tokens"] for split in ("train", inputs.split))
        return {"tags": object_array(look_up_entities(train, list(inputs.train_references["tags"]), new))}

    return {"gazetteer": Baseline("a dictionary of the entities in the training set", "examples", gazetteer)}


def question_baselines(*, unanswerable: bool) -> dict[str, Baseline]:
    """Return the baselines of extractive question answering."""

    def sliding_window(inputs: BaselineInputs) -> Arrays:
        rows = inputs.rows(inputs.split)
        texts = []
        for question, context in zip(rows["question"], rows["context"], strict=True):
            start, end = predict_answer(question, context)
            texts.append(context[start:end])
        return {"texts": object_array(texts)}

    def no_answer(inputs: BaselineInputs) -> Arrays:
        return {"texts": object_array([""] * len(inputs.examples.corpus.splits[inputs.split]))}

    title = "a sliding window over the words of the question"
    baselines = {"sliding_window": Baseline(title, "examples", sliding_window)}
    if unanswerable:
        baselines["no_answer"] = Baseline("always predicting no answer", "examples", no_answer)
    return baselines


def source_baseline(column: str) -> dict[str, Baseline]:
    """Return the baseline that copies the source text."""
    predict = partial(_rewrite, column=column, rewrite=str)
    return {"copy": Baseline("copying the source", "examples", predict)}


def lead_baseline(column: str) -> dict[str, Baseline]:
    """Return the baseline that copies the first sentences of the document."""
    predict = partial(_rewrite, column=column, rewrite=lead_sentences)
    return {"lead": Baseline("the first sentences of the document", "examples", predict)}


def _rewrite(inputs: BaselineInputs, column: str, rewrite: Callable[[str], str]) -> Arrays:
    return {"texts": object_array(rewrite(text) for text in inputs.rows(inputs.split)[column])}


def _most_likely(probabilities: Floats) -> Arrays:
    return {"prediction": probabilities.argmax(-1), "probabilities": probabilities}


def _join_texts(rows: Rows, columns: Sequence[str]) -> list[str]:
    """Join the text columns of each row to one text, for bag-of-words methods."""
    return [" ".join(texts) for texts in zip(*(rows[column] for column in columns), strict=True)]


# Methods over texts


@dataclass(frozen=True)
class Analyzer:
    """Which n-grams of which unit are features."""

    unit: Literal["word", "char"]
    ngrams: tuple[int, int]


def choose_analyzer(texts: Sequence[str]) -> Analyzer:
    """Choose characters if most letters are Chinese or Japanese (no spaces between words), otherwise words."""
    letters = sum(len(LETTER.findall(text)) for text in texts)
    spaceless = sum(len(WITHOUT_SPACES.findall(text)) for text in texts)
    return Analyzer("char", (1, 3)) if 2 * spaceless > letters else Analyzer("word", (1, 2))


def predict_majority(train_labels: Labels, size: int, *, classes: int) -> Floats:
    """Return the shares of the training labels once per example, (size, C).

    The largest share is that of the most frequent label, of several the lowest.
    """
    return np.tile(np.bincount(train_labels, minlength=classes) / len(train_labels), (size, 1))


def predict_tfidf(
    train_texts: Sequence[str], train_labels: Labels, texts: Sequence[str], *, classes: int, seed: int
) -> Floats:
    """Return class probabilities (M, C) by logistic regression on the TF-IDF of n-grams."""
    seen = np.unique(train_labels)
    if len(seen) == 1:  # nothing to separate
        return predict_majority(train_labels, len(texts), classes=classes)
    from sklearn.multiclass import OneVsRestClassifier

    train, new = _compute_tfidf(train_texts, texts)
    classifier = OneVsRestClassifier(_make_classifier(seed)).fit(train, train_labels)
    probabilities = np.zeros((len(texts), classes))
    probabilities[:, seen] = classifier.predict_proba(new)
    return probabilities


def predict_tfidf_each(
    train_texts: Sequence[str], train_marks: Labels, texts: Sequence[str], *, seed: int
) -> Floats:
    """Return label probabilities (M, C) by one logistic regression per label on the TF-IDF of n-grams.

    Args:
        train_texts: The training texts.
        train_marks: 1 where a training text has a label, otherwise 0, (N, C). A label that all or none of the texts
            have is predicted with that share.
        texts: The texts to predict.
        seed: Random seed of the solver.
    """
    train, new = _compute_tfidf(train_texts, texts)
    probabilities = np.tile(train_marks.mean(axis=0), (len(texts), 1))
    for number, marks in enumerate(train_marks.T):
        if 0 < marks.sum() < len(marks):
            probabilities[:, number] = _make_classifier(seed).fit(train, marks).predict_proba(new)[:, 1]
    return probabilities


def predict_tfidf_ridge(train_texts: Sequence[str], train_scores: Floats, texts: Sequence[str]) -> Floats:
    """Return scores (M,) by ridge regression on the TF-IDF of n-grams."""
    from sklearn.linear_model import Ridge

    train, new = _compute_tfidf(train_texts, texts)
    model = Ridge(alpha=1.0, random_state=0).fit(train, train_scores)
    return np.asarray(model.predict(new), np.float64)


def _make_classifier(seed: int) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10, solver="liblinear", dual=True, max_iter=1000, random_state=seed)


def _compute_tfidf(train_texts: Sequence[str], texts: Sequence[str]) -> tuple[Any, Any]:
    """Return sparse matrices (of scipy, which has no types) of both, weighted by the training texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    analyzer = choose_analyzer(train_texts)
    vectorizer = TfidfVectorizer(
        analyzer=analyzer.unit,
        ngram_range=analyzer.ngrams,
        token_pattern=TOKEN if analyzer.unit == "word" else None,
        max_features=MAX_FEATURES,
        sublinear_tf=True,
    )
    return vectorizer.fit_transform(train_texts), vectorizer.transform(texts)


def measure_overlap(first: Sequence[str], second: Sequence[str]) -> Floats:
    """Return the share of words that two texts have in common, (N,) in [0, 1]; characters without spaces."""
    unit = re.compile(TOKEN) if choose_analyzer(first).unit == "word" else re.compile(r"\w")
    sets = [[set(unit.findall(text.lower())) for text in texts] for texts in (first, second)]
    return np.array([len(a & b) / max(1, len(a | b)) for a, b in zip(*sets, strict=True)])


def fit_line(train: Floats, train_scores: Floats, new: Floats) -> Floats:
    """Return the scores (M,) on the least-squares line through the training points."""
    if np.ptp(train) == 0:
        return np.full(len(new), train_scores.mean(dtype=np.float64))
    slope, offset = np.polyfit(train, train_scores, 1)
    return np.asarray(slope * new + offset)


# Methods over embeddings


def predict_nearest_mean(train: Floats, train_labels: Labels, new: Floats, *, classes: int) -> Floats:
    """Return class probabilities (M, C) by the distance to the class means (Rocchio classification).

    They are those of equally frequent Gaussians of one variance, so the most likely class is that of the nearest mean.
    A class without training examples gets 0.

    Args:
        train: Embeddings of the training examples, (N, D).
        train_labels: Their classes, (N,).
        new: Embeddings of the examples to predict, (M, D).
        classes: Number of classes.
    """
    seen, places = np.unique(train_labels, return_inverse=True)
    means = np.stack([train[places == place].mean(axis=0) for place in range(len(seen))])
    variance = max(float(np.square(train - means[places]).mean()), 1e-12)  # of one dimension
    scores = (new @ means.T - np.square(means).sum(axis=1) / 2) / variance
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = np.zeros((len(new), classes))
    probabilities[:, seen] = shares / shares.sum(axis=1, keepdims=True)
    return probabilities


def predict_nearest_mean_each(train: Floats, train_marks: Labels, new: Floats) -> Floats:
    """Return label probabilities (M, C): for each label, whether the mean with or without it is nearer.

    Args:
        train: Embeddings of the training examples, (N, D).
        train_marks: 1 where an example has a label, otherwise 0, (N, C). A label that all or none of the examples
            have is predicted with that share.
        new: Embeddings of the examples to predict, (M, D).
    """
    probabilities = np.tile(train_marks.mean(axis=0), (len(new), 1))
    for number, marks in enumerate(train_marks.T):
        if 0 < marks.sum() < len(marks):
            probabilities[:, number] = predict_nearest_mean(train, marks, new, classes=2)[:, 1]
    return probabilities


def predict_ridge(train: Floats, train_scores: Floats, new: Floats) -> Floats:
    """Return scores (M,) by ridge regression, with the penalty of the lowest leave-one-out training error."""
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(alphas=np.logspace(-3, 3, 7)).fit(train, train_scores)
    return np.asarray(model.predict(new), np.float64)


# Entities


def look_up_entities(
    train_tokens: Sequence[Sequence[str]], train_tags: Sequence[Labels], tokens: Sequence[Sequence[str]]
) -> list[Labels]:
    """Find the entities of the training sentences in other sentences, the longest first, from left to right.

    A word sequence that is an entity in fewer than half of its occurrences is ignored. One with several types gets
    the most frequent.

    Args:
        train_tokens: Words of the training sentences.
        train_tags: Their IOB2 label ids: 0 is O, odd ids begin an entity, the next even id continues it.
        tokens: Words of the sentences to predict.
    """
    types: dict[tuple[str, ...], Counter[int]] = {}
    for words, tags in zip(train_tokens, train_tags, strict=True):
        for start, end, label in _find_id_spans(tags):
            types.setdefault(tuple(words[start:end]), Counter())[label] += 1
    longest = max(map(len, types), default=0)
    occurrences = Counter(
        tuple(words[start : start + size])
        for words in train_tokens
        for start in range(len(words))
        for size in range(1, min(longest, len(words) - start) + 1)
        if tuple(words[start : start + size]) in types
    )
    entities = {
        words: counts.most_common(1)[0][0]
        for words, counts in types.items()
        if 2 * counts.total() >= occurrences[words]
    }
    return [_look_up(words, entities, longest) for words in tokens]


def _find_id_spans(tags: Labels) -> list[tuple[int, int, int]]:
    """Return (first word, word after the last, id of B-) of each entity."""
    spans: list[tuple[int, int, int]] = []
    for position, tag in enumerate(map(int, tags)):
        if tag % 2:
            spans.append((position, position + 1, tag))
        elif tag and spans and spans[-1][1:] == (position, tag - 1):
            spans[-1] = (spans[-1][0], position + 1, tag - 1)
    return spans


def _look_up(words: Sequence[str], entities: Mapping[tuple[str, ...], int], longest: int) -> Labels:
    tags = np.zeros(len(words), np.int64)
    start = 0
    while start < len(words):
        sizes = range(min(longest, len(words) - start), 0, -1)
        size = next((n for n in sizes if tuple(words[start : start + n]) in entities), 0)
        if size:
            label = entities[tuple(words[start : start + size])]
            tags[start : start + size] = label + 1
            tags[start] = label
        start += max(1, size)
    return tags
