"""What the tasks over running text have in common: documents in blocks, and what each token costs in nats.

Shapes: W windows (blocks), L tokens; N rows, U units (documents, or rows where documents are few).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import DataError, ModelError, raise_if, shorten_list
from llmkit.data.checks.documents import Unit, check_documents
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.encode import count_tokens
from llmkit.data.encoding.features import Encoded, Features
from llmkit.data.encoding.packing import BlockLayout, Piece, pack_documents
from llmkit.metrics import intervals, paired
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Statistics, find_metric
from llmkit.recipe.schema import Data, Section
from llmkit.tasks._shared.baselines import BASE_MODEL
from llmkit.tasks.protocol import Arrays, Examples, Head, Plain, Rows, ScoreSheet, TaskSpec, same_names

__all__ = ["Columns", "Options", "OverDocuments", "by_unit", "check_packing", "features", "no_token"]

Columns = Mapping[str, NDArray[np.int64]]  # of equal length, a number for each token

ENOUGH = 30  # documents from which on they are the units of the bootstrap
SHOWN = 300  # characters of a row in its record
SHORT = 5  # tokens below which a row is not listed among the hardest


class Options(Section):
    """What all of these tasks can be told."""

    documents: Unit = "file"
    """What of a .txt file belongs together: the whole file, each paragraph, or each line. Other rows stand alone."""


@dataclass(frozen=True)
class OverDocuments(Plain):
    """Subclasses add the head, the tokens' labels and the scores."""

    options: Any
    tuned: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Any = None  # of the checkpoint, once `bind` knows it

    auto_class: ClassVar[str]
    metrics: ClassVar[Sequence[str]]

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class=self.auto_class,
            columns=same_names("text"),
            inputs=("text",),
            identity=("place",),
            metrics=self.metrics,
            lower_is_better=frozenset({"loss", "perplexity", "bits_per_byte"}),
            baselines={"untuned": BASE_MODEL},
            pretrained=True,
            tuned=self.tuned,
        )

    def measured(self, references: Arrays, predictions: Arrays) -> Statistics:
        """Statistics of the units and the metrics over them."""
        raise AssertionError("each task has its own")

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, references, problems, notes = check_documents(
            corpus, data, self.options.documents, seed if labels is None else None
        )
        raise_if(problems, DataError)
        counts = {
            split: {"documents": int(own["last"].sum()), "bytes": int(own["bytes"].sum())}
            for split, own in references.items()
        }
        return Examples(corpus, (), references, tuple(notes), label_counts=counts)

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        return Head({})

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """Sums by row (N,); of `predict`, the outputs as they are."""
        return _by_row(outputs, encoded, len(rows["text"])) if "nats" in outputs else outputs

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        return {}

    def _values(self, references: Arrays, predictions: Arrays, labels: Sequence[str]) -> dict[str, float]:
        return self.measured(references, predictions).values()

    def score(
        self,
        references: Arrays,
        predictions: Arrays,
        labels: Sequence[str],
        *,
        resampling: Resampling | None,
        metrics: Sequence[str] = (),
    ) -> ScoreSheet:
        if resampling is None:
            return ScoreSheet.of_values(self._values(references, predictions, labels), predictions)
        found = self.measured(references, predictions)
        scores = intervals.measure(found.rows, found.metrics, resampling=resampling)
        return ScoreSheet(scores, tuple(metrics) or tuple(self.metrics))

    def difference(
        self,
        references: Arrays,
        first: Arrays,
        second: Arrays,
        metric: str,
        labels: Sequence[str],
        *,
        resampling: Resampling,
    ) -> Difference:
        one, other = self.measured(references, first), self.measured(references, second)
        named = find_metric(metric, {own.name: own for own in one.metrics})
        return paired.difference(np.hstack([one.rows, other.rows]), named, resampling=resampling)

    def correct(self, references: Arrays, predictions: Arrays) -> None:
        return None

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        """Of rows that are scored, what they cost; of texts for `predict`, the most probable tokens."""
        if references is None:
            return self.completed(rows["text"], predictions)
        return _costs(rows["text"], predictions, references)

    def completed(self, texts: Sequence[str], predictions: Arrays) -> Iterator[dict[str, Any]]:
        """A record of each text with the tokens that the model puts there."""
        raise AssertionError("each task has its own")

    def choices(self, ids: NDArray[Any], probabilities: NDArray[Any]) -> list[dict[str, Any]]:
        """Tokens that may stand at one place, the most probable first, (K,) each."""
        return [
            {"token": self.tokenizer.decode([int(number)]), "probability": float(probability)}
            for number, probability in zip(ids, probabilities, strict=True)
        ]

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        columns = {
            name: np.array([record[name] for record in records])
            for name in ("document", "bytes", "nats", "tokens", "hits")
            if all(name in record for record in records)
        }
        return {"documents": columns.pop("document"), "bytes": columns.pop("bytes")}, columns

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows whose tokens are the least expected."""
        long = [record for record in records if record["tokens"] >= SHORT]
        hardest = sorted(long, key=lambda record: -record["nats"] / record["tokens"])
        return [{key: record[key] for key in ("text", "probability", "place")} for record in hardest[:20]]


def _costs(texts: Sequence[str], predictions: Arrays, references: Arrays) -> Iterator[dict[str, Any]]:
    """What each row costs; probability: the geometric mean over its tokens, None where it has none."""
    for number, text in enumerate(texts):
        nats, tokens = float(predictions["nats"][number]), int(predictions["tokens"][number])
        yield {
            "text": text[:SHOWN],
            "prediction": None,
            "probability": float(np.exp(-nats / tokens)) if tokens else None,
            "document": int(references["documents"][number]),
            "bytes": int(references["bytes"][number]),
            "nats": nats,
            "tokens": tokens,
            **({"hits": int(predictions["hits"][number])} if "hits" in predictions else {}),
        }


def _by_row(outputs: Arrays, encoded: Encoded, rows: int) -> dict[str, NDArray[Any]]:
    """Sums by row (N,) of what `decode` says of each token (W, L)."""
    lengths = encoded.lengths
    inside_WL = np.arange(outputs["nats"].shape[1]) < lengths[:, None]
    owners = encoded.decode_columns["owners"].flat + np.repeat(encoded.examples, lengths)
    return {
        name: np.bincount(owners, weights=values_WL[inside_WL], minlength=rows)
        for name, values_WL in outputs.items()
    }


def no_token(what: str, fix: str) -> ModelError:
    """S07: the tokenizer lacks a token that the task can't do without."""
    return ModelError("S07", "model.name", f"the tokenizer has no {what}", fix)


def check_packing(config: Mapping[str, Any], direction: Literal["causal", "bidirectional"]) -> None:
    """Raises ModelError S09 for a model type of which it is not known that packed documents stay apart."""
    from llmkit.models import packed

    kind, known = config.get("model_type"), packed.SUPPORTED_TYPES[direction]
    if kind not in known:
        message = f'model type "{kind}" is none of those that keep packed documents apart ({shorten_list(known, 20)})'
        raise ModelError("S09", "task.packing", message, "set task.packing=false")


def by_unit(references: Arrays, *columns: NDArray[Any]) -> list[NDArray[np.float64]]:
    """Sums of columns (N,) over each unit, (U,): documents, or rows where documents are few."""
    documents = references["documents"]
    known = np.unique(documents, return_inverse=True)[1]
    units = known if known.max(initial=-1) + 1 >= ENOUGH else np.arange(len(documents))
    return [np.bincount(units, weights=column).astype(np.float64) for column in columns]


def features(
    documents: Sequence[Columns],
    layout: BlockLayout,
    tokenizer: Any,
    names: Sequence[str],
    columns_of: Callable[[Columns, Piece], Columns],
) -> Features:
    """Documents in blocks, each a window of the row that its first token is of.

    Documents have `input_ids` and `owners`, the row of each token, both (T,); columns_of makes the columns of a piece,
    of which `names` go to the model and the loss.
    """
    blocks = [
        _joined([columns_of(documents[piece.document], piece) for piece in pieces])
        for pieces in pack_documents([len(document["input_ids"]) for document in documents], layout)
    ]
    rows = [int(block["owners"][0]) for block in blocks]
    columns = {name: [block[name].tolist() for block in blocks] for name in ("input_ids", "segments", *names)}
    full = [len(document["input_ids"]) for document in documents]
    counts = count_tokens(tokenizer, columns["input_ids"], full, sys.maxsize)  # nothing is cut
    owners = [(block["owners"] - row).tolist() for block, row in zip(blocks, rows, strict=True)]
    return Features(columns, counts, decode_columns={"owners": owners}, rows=rows)


def _joined(pieces: Sequence[Columns]) -> Columns:
    """The columns of a block, and `segments` from 1."""
    sizes = [len(piece["input_ids"]) for piece in pieces]
    joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    return {**joined, "segments": np.repeat(np.arange(1, len(pieces) + 1), sizes)}
