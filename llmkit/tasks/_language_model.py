"""What the tasks over running text have in common: documents in blocks, and what each token costs in nats.

Shapes: B blocks, L tokens, V vocabulary; N rows, U units (documents, or rows where documents are few).
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llmkit.data.corpus import Corpus
from llmkit.data.documents import Unit, check_documents
from llmkit.data.encode import Encoded, Features, count_tokens
from llmkit.errors import DataError, raise_if
from llmkit.metrics import intervals, paired
from llmkit.metrics.paired import Difference
from llmkit.metrics.score import Measured, find
from llmkit.recipe.schema import Data, Evaluate, Section
from llmkit.tasks._task import Arrays, Examples, Plain, Rows, Sheet
from llmkit.tasks._texts import draws

__all__ = ["Options", "OverDocuments", "by_row", "by_unit", "features", "runs"]

ENOUGH = 30  # documents from which on they are the units of the bootstrap
SHOWN = 300  # characters of a row in the list of the hardest ones


class Options(Section):
    """What all of these tasks can be told."""

    documents: Unit = "file"
    """What of a .txt file belongs together: the whole file, each paragraph, or each line. Other rows stand alone."""
    stride: int = Field(default=0, ge=0)
    """Tokens repeated as context where a document goes on in another block; below half of train.max_length."""


@dataclass(frozen=True)
class OverDocuments(Plain):
    """Subclasses add the head, the tokens' labels and the scores."""

    options: Any
    tuned: Mapping[str, Any] = field(default_factory=dict)

    inputs: ClassVar[Sequence[str]] = ("text",)
    identity: ClassVar[Sequence[str]] = ("place",)
    special_tokens: ClassVar[Sequence[str]] = ()
    optional: ClassVar[Mapping[str, str]] = {}
    columns: ClassVar[Mapping[str, str]] = {"text": "text"}
    tunes: ClassVar[bool] = False

    @property
    def lower(self) -> Collection[str]:
        return {"loss", "perplexity", "bits_per_byte"}

    def measured(self, golds: Arrays, answers: Arrays) -> Measured:
        """Statistics of the units and the metrics over them."""
        raise AssertionError("each task has its own")

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, golds, problems, notes = check_documents(
            corpus, data, self.options.documents, seed if labels is None else None
        )
        raise_if(problems, DataError)
        noted = replace(corpus, fingerprint=f"{corpus.fingerprint[:48]}{self.options.documents}")
        return Examples(noted, (), golds, tuple(notes))

    def config(self, labels: Sequence[str]) -> dict[str, Any]:
        return {}

    def bias(self, golds: Arrays) -> None:
        return None

    def answers(self, outputs: Arrays, encoded: Encoded, rows: Rows) -> Arrays:
        """Sums by row (N,), or the records of `predict` as they are."""
        if "nats" not in outputs:
            return outputs
        return by_row(outputs, encoded, len(rows["text"]))

    def tune(self, golds: Arrays, answers: Arrays) -> Mapping[str, Any]:
        return {}

    def values(self, golds: Arrays, answers: Arrays, labels: Sequence[str]) -> dict[str, float]:
        loss = float(answers["nats"].sum() / max(1, answers["tokens"].sum()))
        return {"loss": loss, **self.measured(golds, answers).values()}

    def score(
        self, golds: Arrays, answers: Arrays, labels: Sequence[str], *, evaluate: Evaluate, seed: int
    ) -> Sheet:
        found = self.measured(golds, answers)
        scores = intervals.measure(found.rows, found.metrics, **draws(evaluate, seed))
        return Sheet(scores, tuple(evaluate.metrics) or tuple(scores))

    def baselines(self, examples: Examples, part: str, seed: int) -> dict[str, Arrays]:
        return {}

    def difference(
        self,
        golds: Arrays,
        first: Arrays,
        second: Arrays,
        metric: str,
        labels: Sequence[str],
        *,
        evaluate: Evaluate,
        seed: int,
    ) -> Difference:
        one, other = self.measured(golds, first), self.measured(golds, second)
        named = find(metric, {own.name: own for own in one.metrics})
        return paired.difference(np.hstack([one.rows, other.rows]), named, **draws(evaluate, seed))

    def right(self, golds: Arrays, answers: Arrays) -> None:
        return None

    def counts(self, golds: Arrays, labels: Sequence[str]) -> dict[str, int]:
        return {"documents": int(golds["last"].sum()), "bytes": int(golds["bytes"].sum())}

    def from_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        golds, answers = ("documents", "bytes"), ("nats", "tokens", "hits")
        columns = {
            name: np.array([record[name] for record in records])
            for name in (*golds, *answers)
            if all(name in record for record in records)
        }
        return {n: columns[n] for n in golds}, {n: columns[n] for n in answers if n in columns}

    def worst(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows whose tokens are the least expected."""
        hard = sorted(
            (record for record in records if record["tokens"] >= 5), key=lambda r: -r["nats"] / r["tokens"]
        )
        return [
            {
                "text": record["text"],
                "probability": record["probability"],
                "place": record["place"],
            }
            for record in hard[:20]
        ]

    def _scored(self, rows: Rows, answers: Arrays, golds: Arrays) -> Iterator[dict[str, Any]]:
        """A record for each row with what it costs; probability: the geometric mean over its tokens."""
        for number, text in enumerate(rows["text"]):
            nats, tokens = float(answers["nats"][number]), int(answers["tokens"][number])
            record = {"text": text[:SHOWN], "prediction": None}
            record["probability"] = float(np.exp(-nats / tokens)) if tokens else None
            record |= {"document": int(golds["documents"][number])}
            record |= {"documents": record["document"], "bytes": int(golds["bytes"][number])}
            record |= {"nats": nats, "tokens": tokens}
            if "hits" in answers:
                record["hits"] = int(answers["hits"][number])
            yield record


def by_row(outputs: Arrays, encoded: Encoded, rows: int) -> dict[str, NDArray[Any]]:
    """Sums by row (N,) of what `decode` says of each token (W, L): nats, tokens that have a label, and hits."""
    lengths = encoded.lengths
    inside = np.arange(outputs["nats"].shape[1]) < lengths[:, None]
    owners = encoded.aside["owners"].flat + np.repeat(encoded.examples, lengths)
    return {
        name: np.bincount(owners, weights=outputs[name][inside], minlength=rows)
        for name in ("nats", "tokens", "hits")
        if name in outputs
    }


def runs(documents: NDArray[np.int64]) -> Iterator[list[int]]:
    """The rows of each document among these, in order."""
    cuts = np.flatnonzero(documents[1:] != documents[:-1]) + 1
    for rows in np.split(np.arange(len(documents)), cuts):
        yield rows.tolist()


def features(
    blocks: Sequence[Mapping[str, list[int]]],
    ids: Sequence[Sequence[int]],
    tokenizer: Any,
    *,
    beside: Sequence[str],
) -> Features:
    """Blocks as windows; `owners` (the row of each token) goes by the row of the window's first token."""
    rows = [block["owners"][0] for block in blocks]
    owners = [[owner - row for owner in block["owners"]] for block, row in zip(blocks, rows, strict=True)]
    inputs = [block["input_ids"] for block in blocks]
    counts = count_tokens(tokenizer, inputs, [len(row) for row in ids], sys.maxsize)
    columns = {"input_ids": inputs, **{name: [block[name] for block in blocks] for name in beside}}
    return Features(columns, counts, aside={"owners": owners}, rows=rows)


def by_unit(golds: Arrays, answers: Arrays, *names: str) -> list[NDArray[np.float64]]:
    """The named sums and the bytes of each unit (U,): of documents, or of rows where documents are few."""
    documents = golds["documents"]
    units = documents if len(np.unique(documents)) >= ENOUGH else np.arange(len(documents))
    numbers = np.unique(units, return_inverse=True)[1]
    columns = [*(answers[name] for name in names), golds["bytes"]]
    return [np.bincount(numbers, weights=column) for column in columns]
