"""An answer without any training: the baseline that a question answering model has to beat.

    answer("When was it opened?", "The tower has three floors. It was opened in 1889.")     # (45, 49)

The sentence that shares most with the question, and in it the words next to those that it shares. After the
sliding window of Richardson, Burges and Renshaw (MCTest, 2013) with its word weights and its distances, which
SQuAD's paper (Rajpurkar et al. 2016, section 5.1) has as baseline too; that one picks among the constituents
of a parser, this one among short runs of words. It always answers.
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

# Chosen on training files; the scores change little around them.
MOST_WORDS = 8
MOST_CHARACTERS = 20  # of a Chinese answer
REACH = 20  # words between an answer and a shared word that still counts

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
    """Offsets in characters of the answer in the context; (0, 0) where that is blank.

    The same on every machine: of equal sentences the first, of equal answers the longest, then the first.
    """
    spans = split_sentences(context)
    if not spans:
        return 0, 0
    words = [token for token in _tokens(question, 0, len(question)) if _is_word(token)]
    asked: frozenset[Gram] = frozenset([*words, *pairwise(words)])
    hits = [_hits(_tokens(context, *span), asked) for span in spans]
    weigh = _weights(hits)
    best = max(range(len(spans)), key=lambda i: _overlap(hits[i], weigh))  # the first of equals
    most = MOST_CHARACTERS if CHINESE.search(question) else MOST_WORDS
    return _in_sentence(context, spans[best], asked, weigh, most)


def _tokens(text: str, start: int, end: int) -> list[str]:
    return [token.lower() for token in TOKEN.findall(text, start, end)]


def _is_word(token: str) -> bool:
    return token[0].isalnum()


def _may_bound(token: str) -> bool:
    """Whether an answer may begin or end with it."""
    return _is_word(token) and token not in STOP_WORDS


def _hits(tokens: Sequence[str], asked: frozenset[Gram]) -> Set[Gram]:
    """What of the question is in this sentence."""
    return asked.intersection(tokens) | asked.intersection(pairwise(tokens))


def _weights(hits: Sequence[Set[Gram]]) -> Weigh:
    """log(1 + sentences / sentences with it): what is rare in this context tells more."""
    counts = Counter(gram for each in hits for gram in each)
    return lambda gram: math.log(1 + len(hits) / counts[gram])


def _overlap(hits: Set[Gram], weigh: Weigh) -> float:
    return math.fsum(weigh(gram) for gram in hits if gram not in STOP_WORDS)  # fsum: the same in any order


def _in_sentence(
    context: str, sentence: tuple[int, int], asked: Set[Gram], weigh: Weigh, most: int
) -> tuple[int, int]:
    """The run of at most so many tokens that is nearest to what the sentence shares with the question.

    It has neither marks nor shared tokens in it, and no stop words at its ends. Without one, the sentence.
    """
    found = list(TOKEN.finditer(context, *sentence))
    tokens = [token.group().lower() for token in found]
    shared = [weigh(token) if hit else 0.0 for token, hit in zip(tokens, _shared(tokens, asked))]
    run = _best_run(tokens, shared, most)
    return (found[run[0]].start(), found[run[1]].end()) if run else sentence


def _shared(tokens: Sequence[str], asked: Set[Gram]) -> list[bool]:
    """Which tokens are the question's. A Chinese character alone says little: its neighbour must be shared."""
    shared = [token in asked and _may_bound(token) and not CHINESE.match(token) for token in tokens]
    for i, pair in enumerate(pairwise(tokens)):
        if pair in asked and CHINESE.search("".join(pair)):
            shared[i] = shared[i + 1] = True
    return shared


def _best_run(tokens: Sequence[str], shared: Sequence[float], most: int) -> tuple[int, int] | None:
    """Its first and last token, from the weights of the shared tokens (0 for the others)."""
    before, after = _pull(shared), _pull(shared[::-1])[::-1]
    inside = [not weight and _is_word(token) for token, weight in zip(tokens, shared)]
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


def _pull(shared: Sequence[float]) -> list[int]:
    """For each place the weights of the shared tokens before it, each divided by its distance.

    In whole billionths: sums of equal worth must tie.
    """
    weights, pull = 1e9 * np.asarray(shared), np.zeros(len(shared))
    for distance in range(1, min(REACH + 1, len(shared))):
        pull[distance:] += np.rint(weights[:-distance] / distance)
    return [int(worth) for worth in pull]
