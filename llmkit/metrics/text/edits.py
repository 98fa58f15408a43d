"""Word and character error rate: the fewest insertions, deletions and substitutions per reference word or character.

    wer(["the cat sat"], [["the cat sat down"]]).values()     # {"wer": 0.25}
    cer(["很好"], [["非常好"]]).values()                         # {"cer": 0.667}

The rate of a corpus is the sum of edits divided by the sum of reference lengths, as in jiwer; 0 is perfect, and values
above 1 are possible. Texts are compared without normalization: case and punctuation count. Words are separated by white
space, so Chinese needs `cer` (or words separated by spaces).

Source: edit distance of Levenshtein (1966).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from llmkit.metrics.score import Metric, Statistics, column_ratio
from llmkit.metrics.text.references import References, align_references

__all__ = ["cer", "wer"]


def wer(predictions: Sequence[str], references: References) -> Statistics:
    """Count the word edits of each prediction.

    Of several references the one with the fewest edits counts; of equally good ones, the longest. An empty reference
    makes each predicted word an insertion.

    Args:
        predictions: Predicted texts, (N,).
        references: One or more references of each text, (N,).

    Returns:
        Statistics (N, 2): edits, length of the reference. Lower rates are better.

    Raises:
        UserError: E02 or E04, as in `align_references`.
    """
    return _count_edits("wer", str.split, "words at white space, as they are", predictions, references)


def cer(predictions: Sequence[str], references: References) -> Statistics:
    """Count character edits (code points), as `wer`; white space counts inside a text but not at its ends."""
    return _count_edits("cer", str.strip, "characters as they are, trimmed", predictions, references)


def _count_edits(
    name: str,
    split: Callable[[str], Sequence[str]],
    note: str,
    predictions: Sequence[str],
    references: References,
) -> Statistics:
    rows = []
    for text, texts in zip(predictions, align_references(predictions, references)):
        prediction = split(text)
        edits_and_lengths = [
            (Levenshtein.distance(prediction, reference), len(reference)) for reference in map(split, texts)
        ]
        rows.append(min(edits_and_lengths, key=lambda pair: (pair[0], -pair[1])))
    # Undefined without any reference length, as in a resample of empty references only.
    metric = Metric(name, column_ratio(0, 1, undefined=math.nan), note=note, higher_is_better=False)
    return Statistics(np.array(rows, dtype=np.float64), (metric,))
