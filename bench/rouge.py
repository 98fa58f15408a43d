"""ROUGE-1, -2, -L and -Lsum of llmkit beside the package rouge_score: how many times as fast, and the same values.

Both take the same pairs of texts in one process, in turn (A B A B). rouge_score takes only some of them, since it would
need minutes; its time goes with their number. Seconds are those of the processor, since a machine that does other work
too would blur the clock's. Prints a line a round and the median ratios, and fails where a value differs.

The texts are runs of words of Wikipedia (wikitext-2, in ../shared/data), or made up where they are absent.

Usage: OMP_NUM_THREADS=1 python bench/rouge.py [--rounds 3] [--pairs 10000] [--words 100] [--theirs 200]
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from llmkit.metrics.rouge import NAMES, rouge

WIKITEXT = Path(__file__).parent.parent.parent / "shared" / "data" / "lm" / "wikitext2" / "train.txt"
CASES = {
    "one line": (1, False),
    "one line, stemmed": (1, True),
    "five lines": (5, False),
    "five lines, stemmed": (5, True),
}


def main(rounds: int, pairs: int, words: int, theirs: int) -> None:
    source = words_of_wikipedia() if WIKITEXT.is_file() else made_up_words()
    for name, (lines, stemmer) in CASES.items():
        rng = random.Random(0)
        predictions, references = ([text(rng, source, words, lines) for _ in range(pairs)] for _ in range(2))
        ratios = [one_round(name, predictions, references, stemmer, theirs) for _ in range(rounds)]
        print(
            f"{name}: {statistics.median(ratios):.1f} times as fast as rouge_score "
            f"(rounds {[round(ratio, 1) for ratio in ratios]}), values equal",
            flush=True,
        )


def one_round(name: str, predictions: list[str], references: list[str], stemmer: bool, theirs: int) -> float:
    """How many times as long rouge_score takes for a pair."""
    expected, slow = seconds(lambda: scores(predictions[:theirs], references[:theirs], stemmer))
    measured, fast = seconds(lambda: rouge(predictions, [[text] for text in references], stemmer=stemmer))
    difference = np.abs(measured.rows[: len(expected), : len(NAMES)] - expected).max()
    assert difference <= 1e-12, f"values differ by {difference}"
    print(
        f"{name}: rouge_score {1e3 * slow / len(expected):.3f} ms a pair ({len(expected)} pairs), "
        f"llmkit {1e3 * fast / len(predictions):.3f} ms a pair ({len(predictions)} pairs, {fast:.2f} s)",
        flush=True,
    )
    return (slow / len(expected)) / (fast / len(predictions))


def scores(predictions: list[str], references: list[str], stemmer: bool) -> np.ndarray:
    """F1 (N, 4) by rouge_score, 0-100."""
    scorer = RougeScorer(list(NAMES), use_stemmer=stemmer)
    found = [scorer.score(reference, text) for reference, text in zip(references, predictions)]
    return np.array([[100 * score[name].fmeasure for name in NAMES] for score in found])


def seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def text(rng: random.Random, source: list[str], words: int, lines: int) -> str:
    """A run of that many words, divided into lines of the same length."""
    start = rng.randrange(len(source) - words)
    run, size = source[start : start + words], -(-words // lines)
    return "\n".join(" ".join(run[begin : begin + size]) for begin in range(0, words, size))


def words_of_wikipedia() -> list[str]:
    return [word for word in WIKITEXT.read_text(encoding="utf-8").split() if word.isalnum()]


def made_up_words() -> list[str]:
    """Few words are common and most are rare, as in text."""
    rng = random.Random(0)
    words = [f"{rng.choice('bdfgklmnprst')}{rng.choice('aeiou')}{number:x}ing" for number in range(20_000)]
    return rng.choices(words, [1 / (rank + 1) for rank in range(len(words))], k=200_000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--words", type=int, default=100, help="words a text")
    parser.add_argument("--theirs", type=int, default=200, help="pairs that rouge_score takes")
    options = parser.parse_args()
    main(options.rounds, options.pairs, options.words, options.theirs)
