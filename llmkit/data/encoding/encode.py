"""Tokenize rows in batches. Texts are truncated only when the recipe says so, and every truncation is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from llmkit.base.errors import DataError, shorten_list
from llmkit.base.progress import Progress
from llmkit.data.encoding.features import Collect, Encoded, Features, Limit, TokenCounts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["LOST_ANSWERS", "count_tokens", "encode", "encode_texts"]

BATCH = 1000  # rows per tokenizer call
LOST_ANSWERS = "answers that no window holds whole"


class Rows(Protocol):
    """Rows that can be read in slices, such as those of a split of the corpus or of a datasets.Dataset."""

    def __len__(self) -> int: ...

    def __getitem__(self, span: slice, /) -> Mapping[str, list[Any]]: ...


def encode(
    rows: Rows,
    to_features: Callable[[Mapping[str, list[Any]], slice], Features],
    *,
    place: Callable[[int], str],
    max_length: int,
    progress: Progress,
    split: str,
    collect: Collect = Encoded.from_batches,
) -> Encoded:
    """Tokenize rows batch by batch.

    Args:
        rows: The rows of a split.
        to_features: Encodes the columns of a batch; it also gets the slice of `rows` that the batch covers.
        place: Returns the `file:line` of a row, for error messages.
        max_length: The largest number of tokens of one model input.
        progress: Shows the number of rows done.
        split: The name of the split, such as "train".
        collect: Concatenates the batches, in memory or in files.

    Raises:
        DataError: L12 when rows are longer than max_length and train.truncation is false; Q06 when no window holds
            the whole answer to a training question.
    """
    too_long: list[int] = []
    lost: list[int] = []
    limit: Limit | None = None

    def batches() -> Iterator[tuple[int, Features]]:
        nonlocal limit
        for first in range(0, len(rows), BATCH):
            span = slice(first, min(first + BATCH, len(rows)))
            features = to_features(rows[span], span)
            too_long.extend(first + row for row in features.too_long)
            lost.extend(first + row for row in features.lost_answers)
            if features.too_long and limit is None:
                limit = features.limit or Limit("texts", max_length)
            yield first, features
            progress.advance(f"tokenizing {split}", span.stop, len(rows), "rows")

    encoded = collect(batches())
    if limit:
        share_lost = encoded.counts.cut_tokens / max(1, encoded.counts.tokens)
        message = (
            f"{len(too_long)} of {len(rows)} {limit.what} ({len(too_long) / len(rows):.1%}) are longer than "
            f"{limit.tokens} tokens (longest: {encoded.counts.longest}); truncation would lose {share_lost:.1%} of all "
            "tokens"
        )
        fix = f"raise {limit.key}, or set train.truncation=true to truncate them"
        raise DataError("L12", place(too_long[0]), message, fix)
    if lost and split == "train":
        also = f", also at {shorten_list(place(row) for row in lost[1:])}" if len(lost) > 1 else ""
        message = f"no window holds this whole answer, so the model cannot learn from it{also}"
        fix = (
            "raise train.max_length (or task.stride, up to a third of it), or set train.truncation=true to train "
            "without such answers"
        )
        raise DataError("Q06", place(lost[0]), message, fix)
    return replace(encoded, notes={**encoded.notes, LOST_ANSWERS: len(lost)}) if lost else encoded


def encode_texts(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    max_length: int,
    truncation: bool,
) -> Features:
    """Encode texts, or pairs of texts as one input, with special tokens.

    Args:
        tokenizer: The tokenizer of the model.
        texts: The texts, or the first text of each pair.
        pairs: The second text of each pair.
        max_length: The largest number of tokens of one input, including special tokens.
        truncation: Truncate longer inputs (of a pair, the longer text first); otherwise only list them in `too_long`.
    """
    texts = list(texts)
    options = {"return_attention_mask": False, "verbose": False}
    names = ["input_ids"]
    if pairs is not None:
        # GPT-type tokenizers put no separator between two texts, so the second starts on a new line.
        special = tokenizer.num_special_tokens_to_add(pair=True)
        has_separator = special > tokenizer.num_special_tokens_to_add(pair=False)
        pairs = list(pairs) if has_separator else ["\n" + text for text in pairs]
        # The token types of a single text are all 0, which models assume when there are none.
        names += ["token_type_ids"] if "token_type_ids" in tokenizer.model_input_names else []
    batch: Any = tokenizer(texts, pairs, **options)
    columns = {name: batch[name] for name in names}
    lengths = [len(row) for row in columns["input_ids"]]
    long = [row for row, length in enumerate(lengths) if length > max_length]
    if long and truncation:
        long_pairs = pairs and [pairs[row] for row in long]
        truncated: Any = tokenizer(
            [texts[row] for row in long],
            long_pairs,
            truncation="longest_first",
            max_length=max_length,
            **options,
        )
        for name, column in columns.items():
            for row, ids in zip(long, truncated[name], strict=True):
                column[row] = ids
    counts = count_tokens(tokenizer, columns["input_ids"], lengths, max_length)
    return Features(columns, counts, () if truncation else tuple(long))


def count_tokens(
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[Sequence[int]],
    lengths: Sequence[int],
    max_length: int,
) -> TokenCounts:
    """Count the tokens that were kept and truncated.

    Args:
        tokenizer: Knows the id of the unknown token.
        ids: The token ids that were kept.
        lengths: The number of tokens of each text before truncation.
        max_length: The limit that texts were truncated to.
    """
    unknown = tokenizer.unk_token_id
    return TokenCounts(
        tokens=sum(map(len, ids)),
        cut_tokens=sum(max(0, length - max_length) for length in lengths),
        cut_examples=sum(length > max_length for length in lengths),
        unknown_tokens=0 if unknown is None else sum(list(row).count(unknown) for row in ids),
        longest=max(lengths, default=0),
    )
