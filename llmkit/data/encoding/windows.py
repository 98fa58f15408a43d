"""Examples that are longer than one input: overlapping windows, each thing labelled in exactly one of them.

    words    of a sentence: each word belongs to the window where it stands farthest from an edge, so that the loss
             counts it once, the model sees most around it, and the answers of all windows together are complete
    contexts of a question: every window holds the question and a part of the text; an answer is a target where a
             window holds it whole, else its first token stands for "not here" (Devlin et al. 2019, section 4.3)

Nothing is cut. Shapes: windows are rows of token ids; `aside` columns run along the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import RecipeError
from llmkit.data.encoding.collate import IGNORED
from llmkit.data.encoding.encode import LOST, Features, TokenCounts, count_tokens
from llmkit.text.words import joined

__all__ = ["NO_WORD", "of_contexts", "of_words"]

NO_WORD = -1  # in the column of words: this token decides about no word


@dataclass(frozen=True)
class _Owner:
    """Where a word stands best: the window, the token, and how far that is from the window's nearer edge."""

    window: int
    token: int
    margin: int


def of_words(
    tokenizer: Any,
    sentences: Sequence[Sequence[str]],
    labels: Sequence[Sequence[int]] | None,
    *,
    max_length: int,
    stride: int,
) -> Features:
    """Windows of sentences given as words; column `labels` at the first token of each word, aside its number.

    stride: tokens that two neighbouring windows share, at most half of max_length. Words that the tokenizer makes
    nothing of have no token, and windows that decide about no word are left out. Raises RecipeError C09 where
    max_length leaves no room for a word.
    """
    room = _room(max_length, tokenizer.num_special_tokens_to_add(pair=False))
    stride = min(stride, max_length // 2, room - 1)
    found = _tokenized(tokenizer, _with_blanks(tokenizer, sentences), None, max_length, stride)
    ids, rows = found["input_ids"], list(found["overflow_to_sample_mapping"])
    owners = _owners(found, rows)
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
    without = sum(map(len, sentences)) - len(owners)
    return Features(
        columns,
        count_tokens(tokenizer, columns["input_ids"], [], max_length),
        aside={"words": [words_of[number] for number in kept]},
        rows=[rows[number] for number in kept],
        notes={
            **_counted(rows, "sentences"),
            **({"words without a token, answered as O": without} if without else {}),
        },
    )


def _owners(found: Any, rows: Sequence[int]) -> dict[tuple[int, int], _Owner]:
    """(row, word) -> where it stands best; the earlier window where two are equal."""
    owners: dict[tuple[int, int], _Owner] = {}
    for window, row in enumerate(rows):
        words = found.word_ids(window)
        inside = [token for token, word in enumerate(words) if word is not None]
        for token in inside:
            word = words[token]
            if token > inside[0] and words[token - 1] == word:
                continue  # not the first token of its word; where a window begins with one, the margin is 0
            margin = min(token - inside[0], inside[-1] - token)
            best = owners.get((row, word))
            if best is None or margin > best.margin:
                owners[row, word] = _Owner(window, token, margin)
    return owners


def of_contexts(
    tokenizer: Any,
    questions: Sequence[str],
    contexts: Sequence[str],
    answers: Sequence[tuple[int, int] | None] | None,
    *,
    max_length: int,
    stride: int,
    truncation: bool,
) -> Features:
    """Windows of a question and a part of its context.

    answers: (start, end) in characters of the one to learn from, None where there is none; without them no targets.
    stride: tokens of the context that two neighbouring windows share, at most a third of max_length.
    Columns: `context` is 1 at tokens of the context; `start` and `end` hold one number a window, the token of the
    answer's begin and end. Aside: `begins` and `ends`, the characters of each context token (0 elsewhere). A question
    longer than half of max_length is cut, and an answer that no window holds whole is only counted, or both are named
    when truncation is off. Raises RecipeError C09 where max_length leaves no room for the context.
    """
    half = max_length // 2
    room = _room(max_length - half, tokenizer.num_special_tokens_to_add(pair=True))
    asked, full = _short_questions(tokenizer, questions, half)
    stride = min(stride, max_length // 3, room - 1)  # room: beside the longest question
    found = _tokenized(tokenizer, asked, list(contexts), max_length, stride)
    ids, rows = found["input_ids"], list(found["overflow_to_sample_mapping"])
    inside = [np.array([text == 1 for text in found.sequence_ids(window)]) for window in range(len(ids))]
    spans = [_spans(pairs) for pairs in found["offset_mapping"]]
    columns: dict[str, Any] = {"input_ids": ids, "context": inside}
    if "token_type_ids" in tokenizer.model_input_names:
        columns["token_type_ids"] = found["token_type_ids"]
    notes, lost = _counted(rows, "questions"), []
    if answers is not None:
        targets = _targets(answers, rows, spans, inside)
        columns |= {"start": [[first] for first, _ in targets], "end": [[last] for _, last in targets]}
        whole = {row for row, target in zip(rows, targets, strict=True) if target != (0, 0)}
        lost = [row for row, answer in enumerate(answers) if answer is not None and row not in whole]
    if lost and truncation:
        notes[LOST], lost = len(lost), []
    long = [number for number, length in enumerate(full) if length > half]
    if long:
        notes[f"questions cut to {half} tokens"] = len(long)
    return Features(
        columns,
        count_tokens(tokenizer, ids, [], max_length) + _cut(full, half),
        too_long=() if truncation else tuple(long),
        most=("questions", half),
        aside={
            "begins": [span[:, 0] * mark for span, mark in zip(spans, inside, strict=True)],
            "ends": [span[:, 1] * mark for span, mark in zip(spans, inside, strict=True)],
        },
        rows=rows,
        notes=notes,
        lost=tuple(lost),
    )


def _room(tokens: int, special: int) -> int:
    """What special tokens leave of an input (or a part of it). Raises RecipeError C09 where that is nothing."""
    if tokens > special:
        return tokens - special
    message = f"leaves no room for the text beside {special} special tokens"
    raise RecipeError("C09", "train.max_length", message, "make it larger, e.g. 128")


def _with_blanks(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """The words, with the blank before them that they have in a text where the tokenizer needs it.

    GPT-2's and RoBERTa's tell the first part of a word by that blank, and do not add it to words given one by one.
    """
    apart, together = _ids(tokenizer, ["a", "a"]), _ids(tokenizer, "a a")
    marked = apart != together and len(apart) == len(together)
    return [_blanks_before(words) if marked else list(words) for words in sentences]


def _ids(tokenizer: Any, text: str | list[str]) -> Any:
    return tokenizer(text, is_split_into_words=isinstance(text, list), add_special_tokens=False)["input_ids"]


def _blanks_before(words: Sequence[str]) -> list[str]:
    """As `joined` writes them: none before the first word, nor beside a Chinese or Japanese character."""
    text, places = joined(words)
    ends = [0, *(end for _, end in places)]
    return [text[before:end] for before, (_, end) in zip(ends, places, strict=False)]


def _tokenized(
    tokenizer: Any, first: list[Any], second: list[str] | None, max_length: int, stride: int
) -> Any:
    """The tokenizer's own windows from left to right, with where each token stands."""
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
        tokenizer.backend_tokenizer.no_truncation()  # else it would be saved with the model


def _short_questions(tokenizer: Any, questions: Sequence[str], most: int) -> tuple[list[str], list[int]]:
    """The questions cut to so many tokens, and how many they had."""
    found = tokenizer(
        list(questions),
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )
    asked = list(questions)
    for number, spans in enumerate(found["offset_mapping"]):
        if len(spans) > most:
            asked[number] = _cut_question(tokenizer, asked[number], spans[most - 1][1], most)
    return asked, [len(spans) for spans in found["offset_mapping"]]


def _cut_question(tokenizer: Any, question: str, end: int, most: int) -> str:
    """The beginning up to the character `end`, or less of it: a word cut inside may have more tokens than before."""
    while len(_ids(tokenizer, question[:end])) > most:
        end -= 1
    return question[:end]


def _cut(full: Sequence[int], most: int) -> TokenCounts:
    """What cutting questions of `full` tokens each to `most` takes away."""
    cut = [length - most for length in full if length > most]
    return TokenCounts(cut_tokens=sum(cut), cut_examples=len(cut), longest=max(full, default=0))


def _spans(pairs: Sequence[tuple[int, int]]) -> NDArray[np.int32]:
    """Begin and end of each token in characters, (L, 2)."""
    return np.fromiter(chain.from_iterable(pairs), np.int32, 2 * len(pairs)).reshape(-1, 2)


def _targets(
    answers: Sequence[tuple[int, int] | None],
    rows: Sequence[int],
    spans: Sequence[NDArray[np.int32]],
    inside: Sequence[NDArray[np.bool_]],
) -> list[tuple[int, int]]:
    """First and last token of the answer in each window that holds it whole, else (0, 0).

    It does where it has all the tokens that the answer has in any window; characters of the answer that the tokenizer
    makes nothing of (a blank at its end) are not asked for.
    """
    tokens = [_tokens_of(answers[row], spans[number], inside[number]) for number, row in enumerate(rows)]
    reach = [(int(span[at[0], 0]), int(span[at[-1], 1])) if len(at) else None
             for span, at in zip(spans, tokens, strict=True)]  # fmt: skip
    widest: dict[int, tuple[int, int]] = {}
    for row, here in zip(rows, reach, strict=True):
        if here:
            begin, end = widest.get(row, here)
            widest[row] = min(begin, here[0]), max(end, here[1])
    return [
        (int(at[0]), int(at[-1])) if here and here == widest[row] else (0, 0)
        for row, at, here in zip(rows, tokens, reach, strict=True)
    ]


def _tokens_of(
    answer: tuple[int, int] | None, spans_L2: NDArray[np.int32], inside_L: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The tokens of the context that have a character of the answer."""
    if answer is None:
        return np.empty(0, np.int64)
    return np.flatnonzero(inside_L & (spans_L2[:, 0] < answer[1]) & (spans_L2[:, 1] > answer[0]))


def _counted(rows: Sequence[int], what: str) -> dict[str, int]:
    """How many examples needed several windows."""
    counts: dict[int, int] = {}
    for row in rows:
        counts[row] = counts.get(row, 0) + 1
    several = sum(count > 1 for count in counts.values())
    return {f"{what} in several windows": several} if several else {}
