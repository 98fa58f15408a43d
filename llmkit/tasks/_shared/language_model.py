"""What language modelling tasks share: documents in blocks, and the negative log-likelihood of each token in nats.

Shapes: W windows (blocks), L tokens; T tokens of a document, N rows, U units (documents, or rows if there are few
documents), K choices.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import DataError, ModelError, raise_if, shorten_list
from llmkit.data.checks.documents import Unit, check_documents
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.encode import count_tokens
from llmkit.data.encoding.features import Encoded, Features
from llmkit.data.encoding.packing import BlockLayout, Piece, pack_documents
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Statistics
from llmkit.recipe.schema import Data, Section
from llmkit.report.wording import Wording
from llmkit.tasks._shared.baselines import BASE_MODEL
from llmkit.tasks._shared.statistics import subtract
from llmkit.tasks.protocol import (
    MAX_ERRORS,
    Arrays,
    Examples,
    Head,
    Record,
    Rows,
    ScoreSheet,
    TaskSpec,
    same_names,
)

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "WORDING",
    "Columns",
    "LanguageModelling",
    "Options",
    "check_packing",
    "encode_documents",
    "get_start_token",
    "sum_by_unit",
]

Columns = Mapping[str, NDArray[np.int64]]  # one number per token each, (T,)

MIN_DOCUMENTS = 30  # from which on documents, rather than rows, are the units of the bootstrap
MAX_CHARACTERS = 300  # of a row in its record
MIN_TOKENS = 5  # of a row among the hardest
WORDING = Wording(
    counts=("Documents and bytes", "Unit"),
    errors=("Hardest texts", "Texts with the least probable tokens, hardest first"),
    reads_windows=True,
)


class Options(Section):
    """Options of both language modelling tasks."""

    documents: Unit = "file"
    """What is one document in a .txt file: the whole file, each paragraph or each line. Other rows are documents of
    their own."""


@dataclass(frozen=True)
class LanguageModelling:
    """Tokens of documents. Subclasses add the model's class, the tokens to predict, and the metrics."""

    options: Options
    tuned: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Any = None
    """The model's tokenizer, after `bind`."""

    auto_class: ClassVar[str]
    metrics: ClassVar[Sequence[str]]
    wording: ClassVar[Wording]
    writes_samples: ClassVar[bool] = False

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class=self.auto_class,
            columns=same_names("text"),
            inputs=("text",),
            identity=("place",),
            metrics=self.metrics,
            wording=self.wording,
            lower_is_better=frozenset({"loss", "perplexity", "bits_per_byte"}),
            baselines={"untuned": BASE_MODEL},
            pretrained=True,
            writes_samples=self.writes_samples,
            tuned=self.tuned,
        )

    def measure(self, references: Arrays, predictions: Arrays) -> Statistics:
        """Return statistics of the units, and the metrics over them."""
        raise NotImplementedError

    def complete(self, texts: Sequence[str], predictions: Arrays) -> Iterator[Record]:
        """Yield a record per text with the tokens that the model puts there."""
        raise NotImplementedError

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, references, errors, notes = check_documents(
            corpus, data, self.options.documents, seed if labels is None else None
        )
        raise_if(errors, DataError)
        counts = {
            split: {"documents": int(of_split["last"].sum()), "bytes": int(of_split["bytes"].sum())}
            for split, of_split in references.items()
        }
        return Examples(corpus, (), references, tuple(notes), label_counts=counts)

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        return Head({})

    def augment(self, batch: dict[str, Tensor], seeds: NDArray[np.int64]) -> dict[str, Tensor]:
        return batch

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """Sum the outputs of each row's tokens, (N,); without references return them as they are."""
        if "nats" not in outputs:
            return outputs
        lengths = encoded.lengths
        inside_WL = np.arange(outputs["nats"].shape[1]) < lengths[:, None]
        owners = encoded.decode_columns["owners"].flat + np.repeat(encoded.examples, lengths)
        return {
            name: np.bincount(owners, weights=values_WL[inside_WL], minlength=len(rows["text"]))
            for name, values_WL in outputs.items()
        }

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        return {}

    def score(
        self,
        references: Arrays,
        predictions: Arrays,
        labels: Sequence[str],
        *,
        resampling: Resampling | None,
        metrics: Sequence[str] = (),
    ) -> ScoreSheet:
        statistics = self.measure(references, predictions)
        if resampling is None:
            return ScoreSheet.from_values(statistics.values(), predictions)
        scores = intervals.measure(statistics.rows, statistics.metrics, resampling=resampling)
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
        measured = (self.measure(references, first), self.measure(references, second))
        return subtract(*measured, metric, resampling)

    def correct(self, references: Arrays, predictions: Arrays) -> None:
        return None

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        """Yield a row's negative log-likelihood; without references the most probable tokens of a text.

        `probability` is the geometric mean over the row's tokens, None if it has none.
        """
        if references is None:
            yield from self.complete(rows["text"], predictions)
            return
        for number, text in enumerate(rows["text"]):
            nats, tokens = float(predictions["nats"][number]), int(predictions["tokens"][number])
            record: Record = {
                "text": text[:MAX_CHARACTERS],
                "prediction": None,
                "probability": float(np.exp(-nats / tokens)) if tokens else None,
                "document": int(references["documents"][number]),
                "bytes": int(references["bytes"][number]),
                "nats": nats,
                "tokens": tokens,
            }
            if "hits" in predictions:
                record["hits"] = int(predictions["hits"][number])
            yield record

    def list_choices(self, ids_K: NDArray[Any], probabilities_K: NDArray[Any]) -> list[Record]:
        """Return the tokens that may stand in one position, as given, with their probabilities."""
        return [
            {"token": self.tokenizer.decode([int(number)]), "probability": float(probability)}
            for number, probability in zip(ids_K, probabilities_K, strict=True)
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

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the rows whose tokens are the least likely."""
        long = [record for record in records if record["tokens"] >= MIN_TOKENS]
        hardest = sorted(long, key=lambda record: -record["nats"] / record["tokens"])
        names = ("text", "probability", "place")
        return [{name: record[name] for name in names} for record in hardest[:MAX_ERRORS]]


def get_start_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token before each document: the start token, or the end token if there is none, as in GPT-2."""
    token = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return int(token)


def check_packing(config: Mapping[str, Any], direction: Literal["causal", "bidirectional"]) -> None:
    """Check that packed documents do not see each other in models of this type.

    Raises:
        ModelError: S09, if that is not known.
    """
    from llmkit.models import packed

    model_type, supported = config.get("model_type"), packed.SUPPORTED_TYPES[direction]
    if model_type not in supported:
        message = f'is not supported for model type "{model_type}", only for {shorten_list(supported, 20)}'
        raise ModelError("S09", "task.packing", message, "set task.packing=false")


def sum_by_unit(references: Arrays, *columns: NDArray[Any]) -> list[NDArray[np.float64]]:
    """Sum columns (N,) over each unit, (U,): documents, or rows if there are few documents."""
    documents = references["documents"]
    numbers = np.unique(documents, return_inverse=True)[1]
    units = numbers if numbers.max(initial=-1) + 1 >= MIN_DOCUMENTS else np.arange(len(documents))
    return [np.bincount(units, weights=column).astype(np.float64) for column in columns]


def encode_documents(
    documents: Sequence[Columns],
    layout: BlockLayout,
    tokenizer: PreTrainedTokenizerBase,
    names: Sequence[str],
    cut: Callable[[Columns, Piece], Columns],
) -> Features:
    """Encode documents in blocks, each a window of the row that its first token belongs to.

    Args:
        documents: Columns of each document, with `input_ids` and `owners`, the row of each token.
        layout: How documents are put into blocks.
        tokenizer: The tokenizer, to count unknown tokens.
        names: Columns that the model or the loss needs, beside `input_ids` and `segments`.
        cut: Returns the columns of one piece of a document.
    """
    blocks = []
    for pieces in pack_documents([len(document["input_ids"]) for document in documents], layout):
        parts = [cut(documents[piece.document], piece) for piece in pieces]
        block = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        sizes = [len(part["input_ids"]) for part in parts]
        block["segments"] = np.repeat(np.arange(1, len(parts) + 1), sizes)
        blocks.append(block)
    rows = [int(block["owners"][0]) for block in blocks]
    columns = {name: [block[name].tolist() for block in blocks] for name in ("input_ids", "segments", *names)}
    lengths = [len(document["input_ids"]) for document in documents]
    counts = count_tokens(tokenizer, columns["input_ids"], lengths, sys.maxsize)  # nothing is truncated
    owners = [(block["owners"] - row).tolist() for block, row in zip(blocks, rows, strict=True)]
    return Features(columns, counts, decode_columns={"owners": owners}, rows=rows)
