"""Encode examples that are longer than one model input as overlapping windows. Nothing is truncated.

- Words of a sentence: each word belongs to the window where it is farthest from an edge. So the loss counts it once,
  the model sees the most context around it, and the predictions of all windows together cover every word once.
- Contexts of a question: every window holds the question and a piece of the context. An answer is the target of each
  window that holds it whole; elsewhere the first token stands for "not here" (Devlin et al. 2019, section 4.3).

Shapes: L tokens of a window. Columns for decoding have one number per token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import RecipeError
from llmkit.data.encoding.collate import IGNORED
from llmkit.data.encoding.encode import LOST_ANSWERS, count_tokens
from llmkit.data.encoding.features import Features, Limit, TokenCounts
from llmkit.text.words import join_words

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedTokenizerBase

__all__ = ["NO_WORD", "encode_contexts", "encode_words"]

NO_WORD = -1  # in the column of word numbers: no word is decided at this token


@dataclass(frozen=True)
class _Owner:
    """The window and token that decide about a word, and the token's distance from the window's nearer edge."""

    window: int
    token: int
    margin: int


def encode_words(
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequence[Sequence[str]],
    labels: Sequence[Sequence[int]] | None,
    *,
    max_length: int,
    stride: int,
) -> Features:
    """Encode sentences given as words.

    Words without a token (the tokenizer drops all their characters) are counted in the notes. Windows that decide
    about no word are left out.

    Args:
        tokenizer: A fast tokenizer.
        sentences: The words of each sentence.
        labels: The label of each word; None for prediction.
        max_length: The largest number of tokens of a window.
        stride: Tokens that two neighbouring windows share, at most half of max_length.

    Returns:
        Features with `labels` at the first token of each word, and `words`, the number of the word decided at each
        token, for decoding.

    Raises:
        RecipeError: C09 when max_length leaves no tokens for a word.
    """
    space = _count_space(max_length, tokenizer.num_special_tokens_to_add(pair=False))
    stride = min(stride, max_length // 2, space - 1)
    batch = _tokenize(tokenizer, _add_blanks(tokenizer, sentences), None, max_length, stride)
    ids, rows = batch["input_ids"], list(batch["overflow_to_sample_mapping"])
    owners = _choose_owners(batch, rows)
    words_of = [[NO_WORD] * len(window) for window in ids]
    for (_, word), owner in owners.items():
        words_of[owner.window][owner.token] = word
    kept = [number for number, words in enumerate(words_of) if any(word != NO_WORD for word in words)]
    columns: dict[str, Sequence[Sequence[int]]] = {"input_ids": [ids[number] for number in kept]}
    if labels is not None:
        columns["labels"] = [
            [IGNORED if word == NO_WORD else int(labels[rows[number]][word]) for word in words_of[number]]
            for number in kept
        ]
    notes = {
        "sentences in several windows": _count_divided(rows),
        "words without a token, predicted as O": sum(map(len, sentences)) - len(owners),
    }
    return Features(
        columns,
        count_tokens(tokenizer, columns["input_ids"], [], max_length),
        decode_columns={"words": [words_of[number] for number in kept]},
        rows=[rows[number] for number in kept],
        notes={note: count for note, count in notes.items() if count},
    )


def _choose_owners(batch: BatchEncoding, rows: Sequence[int]) -> dict[tuple[int, int], _Owner]:
    """Map (row, word) to the token with the largest margin; of two equal ones, to that of the earlier window."""
    owners: dict[tuple[int, int], _Owner] = {}
    for window, row in enumerate(rows):
        words = batch.word_ids(window)
        inside = [(token, word) for token, word in enumerate(words) if word is not None]
        for token, word in inside:
            first, last = inside[0][0], inside[-1][0]
            if token > first and words[token - 1] == word:
                continue  # not the first token of its word; at the start of a window the margin is 0 anyway
            margin = min(token - first, last - token)
            best = owners.get((row, word))
            if best is None or margin > best.margin:
                owners[row, word] = _Owner(window, token, margin)
    return owners


def encode_contexts(
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[str],
    contexts: Sequence[str],
    answers: Sequence[tuple[int, int] | None] | None,
    *,
    max_length: int,
    stride: int,
    truncation: bool,
) -> Features:
    """Encode questions, each with its context in overlapping windows.

    Args:
        tokenizer: A fast tokenizer.
        questions: The questions.
        contexts: The context of each question.
        answers: The (start, end) of the answer to learn in characters of the context, None where there is none. Without
            answers, there are no targets.
        max_length: The largest number of tokens of a window.
        stride: Tokens of the context that two neighbouring windows share, at most a third of max_length.
        truncation: Truncate questions longer than half of max_length, and only count answers that no window holds
            whole. Otherwise list both in `too_long` and `lost_answers`.

    Returns:
        Features with `context`, 1 at tokens of the context, and, with answers, `start` and `end`, one number per
        window: the first and the last token of the answer. For decoding, `begins` and `ends` hold the character
        offsets of each token of the context, and 0 elsewhere.

    Raises:
        RecipeError: C09 when max_length leaves no tokens for the context.
    """
    half = max_length // 2
    space = _count_space(max_length - half, tokenizer.num_special_tokens_to_add(pair=True))
    short_questions, lengths = _truncate_questions(tokenizer, questions, half)
    stride = min(stride, max_length // 3, space - 1)  # space: beside the longest question
    batch = _tokenize(tokenizer, short_questions, list(contexts), max_length, stride)
    ids, rows = batch["input_ids"], list(batch["overflow_to_sample_mapping"])
    inside = [np.array([text == 1 for text in batch.sequence_ids(window)]) for window in range(len(ids))]
    spans = [  # (L, 2): start and end of each token, in characters
        np.fromiter(chain.from_iterable(pairs), np.int32, 2 * len(pairs)).reshape(-1, 2)
        for pairs in batch["offset_mapping"]
    ]
    columns: dict[str, Any] = {"input_ids": ids, "context": inside}
    if "token_type_ids" in tokenizer.model_input_names:
        columns["token_type_ids"] = batch["token_type_ids"]
    lost: list[int] = []
    if answers is not None:
        targets = _find_targets(answers, rows, spans, inside)
        columns |= {"start": [[first] for first, _ in targets], "end": [[last] for _, last in targets]}
        whole = {row for row, target in zip(rows, targets, strict=True) if target != (0, 0)}
        lost = [row for row, answer in enumerate(answers) if answer is not None and row not in whole]
    too_long = [number for number, length in enumerate(lengths) if length > half]
    notes = {
        "questions in several windows": _count_divided(rows),
        LOST_ANSWERS: len(lost) if truncation else 0,
        f"questions truncated to {half} tokens": len(too_long),
    }
    excess = [length - half for length in lengths if length > half]
    truncated = TokenCounts(cut_tokens=sum(excess), cut_examples=len(excess), longest=max(lengths, default=0))
    return Features(
        columns,
        count_tokens(tokenizer, ids, [], max_length) + truncated,
        too_long=() if truncation else tuple(too_long),
        limit=Limit("questions", half),
        decode_columns={
            "begins": [span[:, 0] * mark for span, mark in zip(spans, inside, strict=True)],
            "ends": [span[:, 1] * mark for span, mark in zip(spans, inside, strict=True)],
        },
        rows=rows,
        notes={note: count for note, count in notes.items() if count},
        lost_answers=() if truncation else tuple(lost),
    )


def _count_space(tokens: int, special: int) -> int:
    """Return the tokens that special tokens leave for text.

    Raises:
        RecipeError: C09 when there are none.
    """
    if tokens > special:
        return tokens - special
    message = f"leaves no tokens for the text beside {special} special tokens"
    raise RecipeError("C09", "train.max_length", message, "raise it, e.g. to 128")


def _add_blanks(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """Put the blank before each word that it has in running text, where the tokenizer needs it.

    The tokenizers of GPT-2 and RoBERTa recognize the first token of a word by this blank, and do not add it to words
    given one by one. As in `join_words`, the first word and words beside a Chinese or Japanese character have none.
    """
    apart, together = _get_ids(tokenizer, ["a", "a"]), _get_ids(tokenizer, "a a")
    if apart == together or len(apart) != len(together):
        return [list(words) for words in sentences]
    with_blanks = []
    for words in sentences:
        text, places = join_words(words)
        ends = [0, *(end for _, end in places)]
        with_blanks.append([text[before:end] for before, (_, end) in zip(ends, places, strict=False)])
    return with_blanks


def _get_ids(tokenizer: PreTrainedTokenizerBase, text: str | list[str]) -> list[int]:
    ids: list[int] = tokenizer(text, is_split_into_words=isinstance(text, list), add_special_tokens=False)[
        "input_ids"
    ]
    return ids


def _tokenize(
    tokenizer: PreTrainedTokenizerBase,
    first: list[Any],
    second: list[str] | None,
    max_length: int,
    stride: int,
) -> Any:
    """Let the tokenizer divide inputs into windows from left to right, with the offsets of each token."""
    side, tokenizer.truncation_side = tokenizer.truncation_side, "right"
    try:
        return tokenizer(
            first,
            second,
            is_split_into_words=second is None,
            truncation="longest_first" if second is None else "only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_token_type_ids=second is not None and "token_type_ids" in tokenizer.model_input_names,
            return_attention_mask=False,
            verbose=False,
        )
    finally:
        tokenizer.truncation_side = side
        tokenizer.backend_tokenizer.no_truncation()  # else the setting would be saved with the model


def _truncate_questions(
    tokenizer: PreTrainedTokenizerBase, questions: Sequence[str], max_length: int
) -> tuple[list[str], list[int]]:
    """Truncate questions to max_length tokens; also return their lengths before."""
    spans_of = tokenizer(
        list(questions),
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )["offset_mapping"]
    truncated = list(questions)
    for number, spans in enumerate(spans_of):
        if len(spans) > max_length:
            question, end = questions[number], spans[max_length - 1][1]
            # A word that is cut inside may have more tokens than before.
            while len(_get_ids(tokenizer, question[:end])) > max_length:
                end -= 1
            truncated[number] = question[:end]
    return truncated, [len(spans) for spans in spans_of]


def _find_targets(
    answers: Sequence[tuple[int, int] | None],
    rows: Sequence[int],
    spans: Sequence[NDArray[np.int32]],
    inside: Sequence[NDArray[np.bool_]],
) -> list[tuple[int, int]]:
    """Return the first and last token of the answer in each window that holds it whole, else (0, 0).

    A window holds an answer whole if it has all the tokens that the answer has in any window. Characters of the answer
    that have no token, such as a blank at its end, do not count.
    """
    tokens = [_find_tokens(answers[row], spans[number], inside[number]) for number, row in enumerate(rows)]
    reach = [
        (int(span[at[0], 0]), int(span[at[-1], 1])) if len(at) else None
        for span, at in zip(spans, tokens, strict=True)
    ]
    widest: dict[int, tuple[int, int]] = {}
    for row, here in zip(rows, reach, strict=True):
        if here:
            start, end = widest.get(row, here)
            widest[row] = min(start, here[0]), max(end, here[1])
    return [
        (int(at[0]), int(at[-1])) if here and here == widest[row] else (0, 0)
        for row, at, here in zip(rows, tokens, reach, strict=True)
    ]


def _find_tokens(
    answer: tuple[int, int] | None, spans_L2: NDArray[np.int32], inside_L: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the tokens of the context that contain a character of the answer."""
    if answer is None:
        return np.empty(0, np.int64)
    return np.flatnonzero(inside_L & (spans_L2[:, 0] < answer[1]) & (spans_L2[:, 1] > answer[0]))


def _count_divided(rows: Sequence[int]) -> int:
    """Count the examples with more than one window."""
    return sum(count > 1 for count in Counter(rows).values())
