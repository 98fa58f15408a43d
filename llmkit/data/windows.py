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
from typing import Any

from llmkit.data.collate import IGNORED
from llmkit.data.encode import Features, count_tokens

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

    stride: tokens that two neighbouring windows share at least. Words that the tokenizer makes nothing of have no
    token, and windows that decide about no word are left out.
    """
    found = _tokenized(tokenizer, [list(words) for words in sentences], None, max_length, stride)
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
        words, offsets = found.word_ids(window), found["offset_mapping"][window]
        inside = [token for token, word in enumerate(words) if word is not None]
        for token in inside:
            word = words[token]
            if (token > inside[0] and words[token - 1] == word) or offsets[token][0] > 0:
                continue  # not the first token of its word
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
    Columns: `context` is 1 at tokens of the context; `start` and `end` hold one number a window, the token of the
    answer's begin and end. Aside: `begins` and `ends`, the characters of each context token (0 elsewhere). A question
    longer than half of max_length is cut, or only named when truncation is off.
    """
    asked, long = _short_questions(tokenizer, questions, max_length // 2)
    found = _tokenized(tokenizer, asked, list(contexts), max_length, stride)
    ids, rows = found["input_ids"], list(found["overflow_to_sample_mapping"])
    inside = [[int(text == 1) for text in found.sequence_ids(window)] for window in range(len(ids))]
    spans = found["offset_mapping"]
    columns: dict[str, Sequence[Sequence[int]]] = {"input_ids": ids, "context": inside}
    if "token_type_ids" in tokenizer.model_input_names:
        columns["token_type_ids"] = found["token_type_ids"]
    notes, lost = _counted(rows, "questions"), []
    if answers is not None:
        targets = [_target(answers[row], spans[number], inside[number]) for number, row in enumerate(rows)]
        columns |= {"start": [[first] for first, _ in targets], "end": [[last] for _, last in targets]}
        whole = {row for row, target in zip(rows, targets, strict=True) if target != (0, 0)}
        lost = [row for row, answer in enumerate(answers) if answer is not None and row not in whole]
    if long:
        notes[f"questions cut to {max_length // 2} tokens"] = len(long)
    return Features(
        columns,
        count_tokens(tokenizer, ids, [], max_length),
        too_long=() if truncation else tuple(long),
        aside={
            "begins": [[span[0] * mark for span, mark in zip(*pair)] for pair in zip(spans, inside)],
            "ends": [[span[1] * mark for span, mark in zip(*pair)] for pair in zip(spans, inside)],
        },
        rows=rows,
        notes=notes,
        lost=tuple(lost),
    )


def _tokenized(
    tokenizer: Any, first: list[Any], second: list[str] | None, max_length: int, stride: int
) -> Any:
    """The tokenizer's own windows, with where each token stands."""
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


def _short_questions(tokenizer: Any, questions: Sequence[str], most: int) -> tuple[list[str], list[int]]:
    """The questions cut to so many tokens, and the numbers of those that had more."""
    found = tokenizer(
        list(questions),
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )
    asked, long = list(questions), []
    for number, spans in enumerate(found["offset_mapping"]):
        if len(spans) > most:
            asked[number] = asked[number][: spans[most - 1][1]]
            long.append(number)
    return asked, long


def _target(
    answer: tuple[int, int] | None, spans: Sequence[tuple[int, int]], inside: Sequence[int]
) -> tuple[int, int]:
    """First and last token of the answer where the window holds it whole, else (0, 0)."""
    if answer is None:
        return 0, 0
    start, end = answer
    tokens = [t for t, (a, b) in enumerate(spans) if inside[t] and a < end and b > start]
    if not tokens or spans[tokens[0]][0] > start or spans[tokens[-1]][1] < end:
        return 0, 0
    return tokens[0], tokens[-1]


def _counted(rows: Sequence[int], what: str) -> dict[str, int]:
    """How many examples needed several windows."""
    counts: dict[int, int] = {}
    for row in rows:
        counts[row] = counts.get(row, 0) + 1
    several = sum(count > 1 for count in counts.values())
    return {f"{what} in several windows": several} if several else {}
