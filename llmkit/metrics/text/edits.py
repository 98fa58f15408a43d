"""Word and character error rate: the fewest insertions, deletions and replacements, per word or character of reference.

    wer(["the cat sat"], [["the cat sat down"]]).values()     # {"wer": 0.25}
    cer(["很好"], [["非常好"]]).values()                         # {"cer": 0.667}

Rates of a corpus are sums of edits over sums of reference lengths, as in jiwer; 0 is perfect, and more than 1 is
possible. Texts are compared as they are: letter case and punctuation count. A word is what stands between white space,
so that Chinese needs cer (or words with blanks between them). Edits are those of Levenshtein (1966).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from llmkit.metrics.score import Floats, Metric, Statistics
from llmkit.metrics.text.references import References, align_references

__all__ = ["cer", "wer"]


def wer(predictions: Sequence[str], references: References) -> Statistics:
    """Edits of words per word of reference, lower is better.

    Rows hold the edits and the reference's length: K = 2. Of several references the one with fewest edits counts, of
    such the longest. An empty reference makes each predicted word an insertion. UserError E02, E04.
    """
    return _measured("wer", str.split, "words at white space, as they are", predictions, references)


def cer(predictions: Sequence[str], references: References) -> Statistics:
    """`wer` over characters (code points), without white space at the ends; blanks inside count."""
    return _measured("cer", str.strip, "characters as they are, trimmed", predictions, references)


def _rate(sums: Floats) -> Floats:
    """Edits over length (...); nan where there is no length, as in a draw of empty references only."""
    edits, length = sums[..., 0], sums[..., 1]
    rate: Floats = np.divide(edits, length, out=np.full(edits.shape, np.nan), where=length > 0)
    return rate


def _measured(
    name: str,
    divide: Callable[[str], Sequence[str]],
    note: str,
    predictions: Sequence[str],
    references: References,
) -> Statistics:
    pairs = zip(predictions, align_references(predictions, references))
    rows = np.array([_nearest(divide(text), map(divide, row)) for text, row in pairs], dtype=np.float64)
    metric = Metric(name, _rate, note=note, higher_is_better=False)
    return Statistics(rows, (metric,))


def _nearest(prediction: Sequence[str], references: Iterable[Sequence[str]]) -> tuple[int, int]:
    """Edits and length of the reference with fewest edits."""
    from rapidfuzz.distance import Levenshtein

    found = ((Levenshtein.distance(prediction, reference), len(reference)) for reference in references)
    return min(found, key=lambda edits_length: (edits_length[0], -edits_length[1]))
