"""Every metric by the name that `llmkit evaluate --metric NAME` takes: what it compares, and the scores it gives.

    entry("bleu").score(["a cat sat"], [["the cat sat", "a cat was sitting"]], MetricSettings())["bleu"].value

An entry takes predictions and references in the form of its kind, example by example, and gives scores by key with
intervals. It is all that files, the `evaluate` library and the list of metrics need to know; tasks call the
metrics' own modules. Those are imported when a metric is asked for, so that the list of names costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from llmkit.base.errors import UserError, closest
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling

if TYPE_CHECKING:
    from llmkit.metrics.intervals import Sample
    from llmkit.metrics.score import Floats, Ints, Metric, Score
    from llmkit.metrics.tasks.answer_matching import Rules

__all__ = ["ENTRIES", "KINDS", "Entry", "Kind", "MetricSettings", "Setting", "find_entry"]

Kind = Literal["labels", "numbers", "texts", "answers", "tags", "log_probabilities"]
Setting = Literal["language", "tokenizer", "stemmer", "strict"]
Scored = Callable[[Sequence[Any], Sequence[Any], "MetricSettings"], "dict[str, Score]"]

# Kind -> what an example has on both sides.
KINDS: Mapping[Kind, str] = {
    "labels": "a label; compared with the right one",
    "numbers": "a number; compared with the right one",
    "texts": "a text; compared with one or more reference texts",
    "answers": "an answer; compared with the gold answers (none where the question has no answer)",
    "tags": "a sentence's tags (IOB1, IOB2, BIOES, BMES); compared with the right ones, word by word",
    "log_probabilities": "natural logarithms of the tokens' probabilities; the reference is the text of these tokens",
}


@dataclass(frozen=True)
class MetricSettings:
    """Settings of a metric that a user can choose, and how its confidence intervals are computed."""

    language: str | None = None  # ISO 639-1 of the texts; None: by their script
    tokenizer: str | None = None  # of BLEU, by sacrebleu's name; of ROUGE: words, characters or jieba
    stemmer: bool = False  # Porter's, for English ROUGE
    strict: bool = False  # entities as seqeval's strict mode reads them
    groups: Ints | None = None  # (N,), the passage of each question: questions on one are drawn together
    resampling: Resampling = DEFAULT_RESAMPLING


@dataclass(frozen=True)
class Entry:
    """One name of `--metric`.

    score gets predictions (N,) and references (N,), each of the form that `kind` says:
    labels: a text each; numbers: a float each; texts: a text, and a list of texts to compare it with;
    answers: a text, and a list of gold answers (none: the question has no answer); tags: a list of IOB2 tags each, of
    one length on both sides; log_probabilities: a list of natural logarithms, and the text that they are of.
    settings are the fields of `MetricSettings` that change its value.
    """

    name: str
    kind: Kind
    keys: tuple[str, ...]
    summary: str
    score: Scored
    settings: tuple[Setting, ...] = ()


def find_entry(name: str) -> Entry:
    """The metric of that name. UserError E01 when there is none."""
    if name not in ENTRIES:
        message = f'unknown metric "{name}"{closest(name, ENTRIES)}'
        raise UserError("E01", "--metric", message, f"choose from {', '.join(ENTRIES)}")
    return ENTRIES[name]


def _measure(
    rows: Floats | Sample, metrics: Iterable[Metric], keys: Sequence[str], settings: MetricSettings
) -> dict[str, Score]:
    """Scores of summed rows (N, K) under these keys; each method says the metric's note, also without an interval."""
    from llmkit.metrics.intervals import measure

    chosen = {metric.name: metric for metric in metrics if metric.name in keys}
    found = measure(rows, chosen.values(), resampling=settings.resampling)
    return {key: _with_note(found[key], chosen[key].note) for key in keys}


def _with_note(score: Score, note: str) -> Score:
    return score if note in score.method else replace(score, method=f"{score.method}; {note}")


def _class_ids(predictions: Sequence[str], references: Sequence[str]) -> tuple[Ints, Ints, list[str]]:
    """(golds, predictions, names): labels as numbers of the names, which are all those of both sides, sorted."""
    import numpy as np

    names, ids = np.unique(np.array([*references, *predictions], dtype=object), return_inverse=True)
    golds, predicted = np.split(ids.astype(np.int64), [len(references)])
    return golds, predicted, names.tolist()


def _classes(key: str) -> Scored:
    def score(
        predictions: Sequence[str], references: Sequence[str], settings: MetricSettings
    ) -> dict[str, Score]:
        from llmkit.metrics.tasks import classification

        golds, predicted, names = _class_ids(predictions, references)
        _check_classes(key, len(golds), len(names))
        statistics = classification.count_cells(golds, predicted, len(names))
        return _measure(statistics, [classification.get_metric(key)], [key], settings)

    return score


def _check_classes(key: str, examples: int, classes: int) -> None:
    """Statistics are a row of counts by class for each distinct pair of labels. UserError E07 beyond about 1 GB."""
    if min(examples, classes**2) * classes > MOST_COUNTS:
        message = f"{classes:,} different labels in {examples:,} examples are too many to average over"
        raise UserError("E07", f"--metric {key}", message, "use accuracy, or a metric of texts")


def _accuracy(
    predictions: Sequence[str], references: Sequence[str], settings: MetricSettings
) -> dict[str, Score]:
    """Right or wrong is all that counts, so that any number of different labels will do."""
    import numpy as np

    from llmkit.metrics.tasks import classification

    right = np.array([ours == gold for ours, gold in zip(predictions, references, strict=True)], np.int64)
    statistics = classification.count_cells(np.ones_like(right), right, 2)
    return _measure(statistics, [classification.get_metric("accuracy")], ["accuracy"], settings)


def _relations(
    predictions: Sequence[str], references: Sequence[str], settings: MetricSettings
) -> dict[str, Score]:
    from llmkit.metrics.tasks import relation

    golds, predicted, names = _class_ids(predictions, references)
    found = relation.scores(
        golds,
        predicted,
        names,
        negative="Other" if "Other" in names else None,
        resampling=settings.resampling,
    )
    return {"f1": found["f1"]}


def _numbers(key: str) -> Scored:
    def score(
        predictions: Sequence[float], references: Sequence[float], settings: MetricSettings
    ) -> dict[str, Score]:
        import numpy as np

        from llmkit.metrics.tasks import regression

        golds, predicted = np.array(references, np.float64), np.array(predictions, np.float64)
        found = regression.scores(golds, predicted, resampling=settings.resampling)
        return {key: found[key]}

    return score


def _answers(rules: Rules) -> Scored:
    def score(
        predictions: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings
    ) -> dict[str, Score]:
        from llmkit.metrics.tasks import extractive_qa

        if rules != "squad_v2" and not all(references):
            message = f"question {references.index([]) + 1:,} of the references has no gold answer"
            raise UserError("E07", f"--metric {rules}", message, "use squad_v2, which has rules for that")
        found = extractive_qa.scores(
            references,
            predictions,
            rules,
            groups=settings.groups,
            resampling=settings.resampling,
        )
        return {key: found[key] for key in ("exact_match", "f1")}

    return score


def _entities(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], settings: MetricSettings
) -> dict[str, Score]:
    from llmkit.metrics.tasks import entities

    types = sorted({tag[2:] for row in (*references, *predictions) for tag in row if tag != "O"})
    names = ["O", *(f"{prefix}-{name}" for name in types for prefix in "BI")]
    ids = {name: number for number, name in enumerate(names)}  # as `entities` takes them
    found = entities.scores(
        [[ids[tag] for tag in row] for row in references],
        [[ids[tag] for tag in row] for row in predictions],
        types,
        strict=settings.strict,
        resampling=settings.resampling,
    )
    return {key: found[key] for key in ("precision", "recall", "f1")}


def _rouge(
    predictions: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings
) -> dict[str, Score]:
    from llmkit.metrics.text.rouge import rouge

    found = rouge(
        predictions,
        references,
        language=settings.language,
        tokenizer=settings.tokenizer,
        stemmer=settings.stemmer,
    )
    return _measure(found.rows, found.metrics, ROUGE_KEYS, settings)


def _bleu(
    predictions: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings
) -> dict[str, Score]:
    from llmkit.metrics.text.ngram import bleu

    found = bleu(predictions, references, language=settings.language, tokenizer=settings.tokenizer)
    return _measure(found.rows, found.metrics, ["bleu"], settings)


def _chrf(word_order: int) -> Scored:
    def score(
        predictions: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings
    ) -> dict[str, Score]:
        from llmkit.metrics.text.ngram import chrf

        found = chrf(predictions, references, word_order=word_order)
        return _measure(found.rows, found.metrics, ["chrf++" if word_order else "chrf"], settings)

    return score


def _ter(
    predictions: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings
) -> dict[str, Score]:
    from llmkit.metrics.text.ngram import ter

    found = ter(predictions, references)
    return _measure(found.rows, found.metrics, ["ter"], settings)


def _edits(key: Literal["wer", "cer"]) -> Scored:
    def score(
        predictions: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings
    ) -> dict[str, Score]:
        from llmkit.metrics.text import edits

        found = (edits.wer if key == "wer" else edits.cer)(predictions, references)
        return _measure(found.rows, found.metrics, [key], settings)

    return score


def _language_model(key: str) -> Scored:
    def score(
        predictions: Sequence[Sequence[float]], references: Sequence[str], settings: MetricSettings
    ) -> dict[str, Score]:
        from llmkit.metrics.tasks.language_model import from_log_probabilities

        found = from_log_probabilities(predictions, references)
        return _measure(found.rows, found.metrics, [key], settings)

    return score


MOST_COUNTS = 10_000_000  # three of them, 8 bytes each, several times over while draws are scored
ROUGE_KEYS = ("rouge1", "rouge2", "rougeL", "rougeLsum")

ENTRIES: dict[str, Entry] = {
    each.name: each
    for each in (
        Entry("accuracy", "labels", ("accuracy",), "share of right labels", _accuracy),
        Entry("f1", "labels", ("f1",), "F1, macro average over the classes", _classes("f1")),
        Entry("precision", "labels", ("precision",), "precision, macro average", _classes("precision")),
        Entry("recall", "labels", ("recall",), "recall, macro average", _classes("recall")),
        Entry("mcc", "labels", ("mcc",), "Matthews' correlation, any number of classes", _classes("mcc")),
        Entry("semeval2010", "labels", ("f1",), "macro F1 of SemEval-2010 task 8, (9+1)-way", _relations),
        Entry("pearson", "numbers", ("pearson",), "Pearson's correlation", _numbers("pearson")),
        Entry("spearman", "numbers", ("spearman",), "Spearman's rank correlation", _numbers("spearman")),
        Entry("mse", "numbers", ("mse",), "mean squared error, less is better", _numbers("mse")),
        Entry("bleu", "texts", ("bleu",), "BLEU as sacrebleu, 0-100", _bleu, ("language", "tokenizer")),
        Entry("chrf", "texts", ("chrf",), "chrF2 as sacrebleu, 0-100", _chrf(0)),
        Entry("chrf++", "texts", ("chrf++",), "chrF2++ as sacrebleu, 0-100", _chrf(2)),
        Entry("ter", "texts", ("ter",), "TER as sacrebleu, 0-100, less is better", _ter),
        Entry(
            "rouge",
            "texts",
            ROUGE_KEYS,
            "ROUGE F1 as rouge_score, 0-100",
            _rouge,
            ("language", "tokenizer", "stemmer"),
        ),
        Entry("wer", "texts", ("wer",), "word error rate, less is better", _edits("wer")),
        Entry("cer", "texts", ("cer",), "character error rate, less is better", _edits("cer")),
        Entry("squad", "answers", ("exact_match", "f1"), "SQuAD v1.1's rules", _answers("squad")),
        Entry("squad_v2", "answers", ("exact_match", "f1"), "SQuAD v2.0's rules", _answers("squad_v2")),
        Entry("cmrc", "answers", ("exact_match", "f1"), "CMRC 2018's rules", _answers("cmrc")),
        Entry(
            "entities",
            "tags",
            ("precision", "recall", "f1"),
            "exact spans and types, as conlleval; strict as seqeval",
            _entities,
            ("strict",),
        ),
        Entry(
            "perplexity",
            "log_probabilities",
            ("perplexity",),
            "exp of the mean loss a token, less is better",
            _language_model("perplexity"),
        ),
        Entry(
            "bits_per_byte",
            "log_probabilities",
            ("bits_per_byte",),
            "bits a byte of UTF-8 text, less is better",
            _language_model("bits_per_byte"),
        ),
    )
}
