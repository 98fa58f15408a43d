"""A paired test of two systems by BLEU or chrF, with intervals: llmkit beside sacrebleu's own paired bootstrap.

Both take the same segments and as many draws, in turn (A B A B) and in one process. Counting n-grams is the same code
on both sides and is timed apart, so what is compared is the resampling; llmkit's part holds both systems' intervals,
the interval of the difference, and its p-value by random swaps. Seconds are those of the processor, since a machine
that does other work too would blur the clock's. Prints a line a round and the median ratios.

Usage: OMP_NUM_THREADS=1 python bench/bootstrap.py [--rounds 3] [--segments 10000] [--draws 1000]
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import sacrebleu
from sacrebleu.significance import PairedTest

from llmkit.metrics import intervals, ngram, paired

METRICS = {"bleu": (ngram.bleu, sacrebleu.BLEU), "chrf": (ngram.chrf, sacrebleu.CHRF)}


def main(rounds: int, segments: int, draws: int) -> None:
    references = sentences(segments)
    systems = [damaged(references, seed) for seed in (1, 2)]
    for name in METRICS:
        ratios = [one_round(name, systems, references, draws) for _ in range(rounds)]
        print(
            f"{name}: resampling {statistics.median(ratios):.1f} times as fast as sacrebleu's "
            f"(rounds {[round(ratio, 1) for ratio in ratios]}), {segments} segments, {draws} draws",
            flush=True,
        )


def one_round(name: str, systems: list[list[str]], references: list[str], draws: int) -> float:
    """How many times as long sacrebleu resamples as llmkit."""
    count, theirs = METRICS[name]
    whole = seconds(lambda: their_test(theirs(), systems, references, draws))[1]
    counting = seconds(lambda: [theirs().corpus_score(system, [references]) for system in systems])[1]
    measured, our_counting = seconds(lambda: [count(system, references) for system in systems])
    ours = seconds(lambda: our_test(measured, draws))[1]
    print(
        f"{name}: sacrebleu counting {counting:.1f} s, resampling {whole - counting:.2f} s; "
        f"llmkit counting {our_counting:.1f} s, resampling {ours:.2f} s",
        flush=True,
    )
    return (whole - counting) / ours


def their_test(metric: Any, systems: list[list[str]], references: list[str], draws: int) -> Any:
    named = list(zip(("first", "second"), systems))
    return PairedTest(named, {"metric": metric}, [references], test_type="bs", n_samples=draws)()


def our_test(measured: list[Any], draws: int) -> Any:
    first, second = measured
    scores = [intervals.measure(each.rows, each.metrics, resamples=draws) for each in measured]
    return scores, paired.difference(np.hstack([first.rows, second.rows]), first.metrics[0], resamples=draws)


def seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def sentences(count: int) -> list[str]:
    """Made-up sentences of 4 to 20 words; few words are common and most are rare, as in text."""
    rng = random.Random(0)
    words = [f"{rng.choice('bdfgklmnprst')}{rng.choice('aeiou')}{number:x}" for number in range(5000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    return [" ".join(rng.choices(words, weights, k=rng.randint(4, 20))) + "." for _ in range(count)]


def damaged(texts: list[str], seed: int) -> list[str]:
    """One word in ten replaced by another of the same text."""
    rng = random.Random(seed)
    split = [text.split() for text in texts]
    return [" ".join(rng.choice(words) if rng.random() < 0.1 else word for word in words) for words in split]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    main(options.rounds, options.segments, options.draws)
