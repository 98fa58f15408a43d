"""Answer questions without any training: the baseline that a question answering model has to beat.

    predict_answer("When was it opened?", "The tower has three floors. It was opened in 1889.")     # (45, 49)

It takes the sentence that shares most with the question, and in it the words next to the shared ones. Word weights and
distances follow the sliding window of Richardson, Burges and Renshaw, which is also a baseline in the SQuAD paper; that
one picks among the constituents of a parser, this one among short runs of words. It always predicts an answer.

Source: Richardson, Burges and Renshaw (2013), MCTest; Rajpurkar et al. (2016), SQuAD, section 5.1.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence, Set
from itertools import pairwise

import numpy as np

from llmkit.text.sentences import split_sentences

__all__ = ["predict_answer"]

# Chosen on training files; the scores change little around these values.
MOST_WORDS = 8
MOST_CHARACTERS = 20  # of a Chinese answer
REACH = 20  # largest distance in words between an answer and a shared word that counts

CHARACTER = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
CHINESE = re.compile(f"[{CHARACTER}]")
# A Chinese character, a word or number ("U.S", "3.5", "7–7", "it's"), or a mark.
TOKEN = re.compile(rf"[{CHARACTER}]|[^\W_{CHARACTER}]+(?:[.,'’–-][^\W_{CHARACTER}]+)*|[^\w\s]")
STOP_WORDS = frozenset(
    word
    for line in (
        "a an the of to in on at by for from with as and or but is are was were be been being do does did has",
        "have had will would can could may might shall should it its this that these those he she they we i",
        "you his her their our my your him them who whom whose which what when where why how there here not",
        "no than then so such also into about over after before between during under all any each some most",
        "more many much very one",
        "的 了 是 在 有 和 与 及 或 也 都 就 而 但 被 把 从 对 于 为 以 之 其 他 她 它 们 这 那 个 着 过",
        "到 由 并 又 等 吗 呢 吧 啊 哪 谁 什 么 怎 何 多 少 几",
    )
    for word in line.split()
)

Gram = str | tuple[str, str]  # a token, or two neighbours
Weigh = Callable[[Gram], float]


def predict_answer(question: str, context: str) -> tuple[int, int]:
    """Predict the answer to a question.

    The result is the same on every machine: of equally good sentences the first is taken, of equally good answers the
    longest, then the first.

    Returns:
        Offsets of the answer in the context, in characters; (0, 0) if the context is blank.
    """
    spans = split_sentences(context)
    if not spans:
        return 0, 0
    words = [token.lower() for token in TOKEN.findall(question) if _is_word(token)]
    question_grams: frozenset[Gram] = frozenset([*words, *pairwise(words)])
    hits = []  # of each sentence what it shares with the question
    for span in spans:
        tokens = [token.lower() for token in TOKEN.findall(context, *span)]
        hits.append(question_grams.intersection(tokens) | question_grams.intersection(pairwise(tokens)))
    counts = Counter(gram for sentence_hits in hits for gram in sentence_hits)

    def weigh(gram: Gram) -> float:
        """Return log(1 + sentences / sentences that contain it): rare words are more informative."""
        return math.log(1 + len(hits) / counts[gram])

    def overlap(sentence: int) -> float:  # fsum gives the same result in any order
        return math.fsum(weigh(gram) for gram in hits[sentence] if gram not in STOP_WORDS)

    best = max(range(len(spans)), key=overlap)  # the first of equals
    most = MOST_CHARACTERS if CHINESE.search(question) else MOST_WORDS
    return _answer_in_sentence(context, spans[best], question_grams, weigh, most)


def _is_word(token: str) -> bool:
    return token[0].isalnum()


def _may_bound(token: str) -> bool:
    """Whether an answer may begin or end with this token."""
    return _is_word(token) and token not in STOP_WORDS


def _answer_in_sentence(
    context: str, sentence: tuple[int, int], question_grams: Set[Gram], weigh: Weigh, most: int
) -> tuple[int, int]:
    """Return the run of at most `most` tokens nearest to what the sentence shares with the question.

    It contains neither marks nor shared tokens, and no stop words at its ends. If there is none, the sentence is
    returned.
    """
    matches = list(TOKEN.finditer(context, *sentence))
    tokens = [match.group().lower() for match in matches]
    shared = _find_shared(tokens, question_grams)
    run = _best_run(tokens, [weigh(token) if hit else 0.0 for token, hit in zip(tokens, shared)], most)
    return (matches[run[0]].start(), matches[run[1]].end()) if run else sentence


def _find_shared(tokens: Sequence[str], question_grams: Set[Gram]) -> list[bool]:
    """Return which tokens occur in the question; a Chinese character needs a neighbour that is shared too."""
    shared = [token in question_grams and _may_bound(token) and not CHINESE.match(token) for token in tokens]
    for i, pair in enumerate(pairwise(tokens)):
        if pair in question_grams and CHINESE.search("".join(pair)):
            shared[i] = shared[i + 1] = True
    return shared


def _best_run(tokens: Sequence[str], weights: Sequence[float], most: int) -> tuple[int, int] | None:
    """Return the first and last token of the best run, from the weights of the shared tokens (0 for all others)."""
    before, after = _sum_by_distance(weights), _sum_by_distance(weights[::-1])[::-1]
    inside = [not weight and _is_word(token) for token, weight in zip(tokens, weights)]
    bounds = [ok and _may_bound(token) for token, ok in zip(tokens, inside)]
    best, length, run, highest = -1, 0, None, max(after, default=0)
    for i in (i for i, ok in enumerate(bounds) if ok):
        if (before[i] + highest, most - 1) <= (best, length):
            continue  # no run from here can be better
        for j in range(i, min(len(tokens), i + most)):
            if not inside[j]:
                break
            worth = before[i] + after[j]
            if bounds[j] and (worth > best or (worth == best and j - i > length)):
                best, length, run = worth, j - i, (i, j)
    return run


def _sum_by_distance(weights: Sequence[float]) -> list[int]:
    """Sum for each position the weights before it, each divided by its distance.

    In whole billionths, so that equal sums tie.
    """
    billionths, sums = 1e9 * np.asarray(weights), np.zeros(len(weights))
    for distance in range(1, min(REACH + 1, len(weights))):
        sums[distance:] += np.rint(billionths[:-distance] / distance)
    return [int(value) for value in sums]
