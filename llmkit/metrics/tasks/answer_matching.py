"""Match predicted answers with reference answers by the official rules of SQuAD v1.1, SQuAD v2.0 and CMRC 2018.

    RULES["squad"]("the Eiffel Tower!", ["Eiffel Tower", "tower"])   # Match(exact=True, f1=1.0)

A prediction gets its best score over the reference answers. The rules are those of the published scripts, including
their peculiarities, so that scores can be compared with published ones.

Source: evaluate-v1.1.py (Rajpurkar et al. 2016), evaluate-v2.0.py (Rajpurkar, Jia and Liang 2018) and
cmrc2018_evaluate.py, v5 (Cui et al. 2019).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "RULES",
    "Match",
    "Rules",
    "has_answer",
    "match_cmrc",
    "match_squad",
    "match_squad_v2",
    "normalize_squad",
]

Rules = Literal["squad", "squad_v2", "cmrc"]

SQUAD_DELETED = str.maketrans("", "", string.punctuation)  # ASCII only: all other punctuation is kept
ARTICLE = re.compile(r"\b(?:a|an|the)\b")
# The script keeps . , ! ? ( ) " ‘ and also …, because its entry for that is two characters long and never matches.
CMRC_DELETED = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
CMRC_CHARACTER = re.compile("([\u4e00-\u9fa5])")


@dataclass(frozen=True)
class Match:
    """How well a prediction matches: equal to a reference answer, and F1 in [0, 1] (the scripts print 100 * mean)."""

    exact: bool
    f1: float


def match_squad(prediction: str, references: Sequence[str]) -> Match:
    """Match by the rules of SQuAD v1.1; at least one reference answer is required.

    Words are compared after `normalize_squad`. F1 without a common word is 0, also for two empty texts.
    """
    assert references, "a question without a reference answer: squad_v2 has rules for that"
    return _best([_match_words(prediction, reference, f1_if_empty=0.0) for reference in references])


def match_squad_v2(prediction: str, references: Sequence[str]) -> Match:
    """Match by the rules of SQuAD v2.0; "" is the answer to a question without reference answers.

    Reference answers that consist of articles and punctuation only are left out (if none remains, "" is the answer).
    F1 of two empty texts is 1.
    """
    kept = [reference for reference in references if normalize_squad(reference)] or [""]
    return _best([_match_words(prediction, reference, f1_if_empty=1.0) for reference in kept])


def match_cmrc(prediction: str, references: Sequence[str]) -> Match:
    """Match by the rules of CMRC 2018; at least one reference answer is required.

    Exact match compares the texts in lower case without punctuation. F1 counts the longest common run of Chinese
    characters and words instead of their overlap in any order. The script splits runs of other characters with
    nltk.word_tokenize; so does `_split_words`, except for the sentence splitting, which needs a trained model and would
    matter only for a full stop and a space inside such a run.
    """
    assert references, "a question without a reference answer: CMRC 2018 has none"
    predicted, *correct = (
        text.lower()
        .strip()
        .translate(CMRC_DELETED)  # in this order: a space after leading punctuation is kept
        for text in (prediction, *references)
    )
    segments = _cmrc_segments(predicted)
    matches = []
    for reference in correct:
        expected = _cmrc_segments(reference)
        f1 = _f1(_longest_common_run(segments, expected), len(segments), len(expected))
        matches.append(Match(predicted == reference, f1))
    return _best(matches)


RULES: Mapping[Rules, Callable[[str, Sequence[str]], Match]] = {
    "squad": match_squad,
    "squad_v2": match_squad_v2,
    "cmrc": match_cmrc,
}


def has_answer(references: Sequence[str]) -> bool:
    """Whether a question can be answered: it has a reference answer that is not ""."""
    return any(references)


def normalize_squad(text: str) -> str:
    """Lower-case the text and remove ASCII punctuation, the articles a, an, the, and superfluous white space."""
    return " ".join(ARTICLE.sub(" ", text.lower().translate(SQUAD_DELETED)).split())


def _best(matches: Sequence[Match]) -> Match:
    """Take the best exact match and the best F1, which may belong to different reference answers."""
    return Match(any(match.exact for match in matches), max(match.f1 for match in matches))


def _match_words(prediction: str, reference: str, f1_if_empty: float) -> Match:
    ours, theirs = normalize_squad(prediction), normalize_squad(reference)
    if not ours and not theirs:
        return Match(True, f1_if_empty)
    predicted, expected = ours.split(), theirs.split()
    common = (Counter(predicted) & Counter(expected)).total()
    return Match(ours == theirs, _f1(common, len(predicted), len(expected)))


def _f1(common: int, predicted: int, reference: int) -> float:
    """Compute F1 in the order of operations of the scripts, so that the last bit agrees."""
    if common == 0:
        return 0.0
    precision, recall = common / predicted, common / reference
    return 2 * precision * recall / (precision + recall)


def _cmrc_segments(text: str) -> list[str]:
    """Split into single Chinese characters and the words between them."""
    segments: list[str] = []
    for i, run in enumerate(CMRC_CHARACTER.split(text)):
        segments += [run] if i % 2 else _split_words(run)
    return segments


def _longest_common_run(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest contiguous sequence that occurs in both."""
    best, above = 0, [0] * (len(b) + 1)
    for item in a:
        row = [0] * (len(b) + 1)  # row[j + 1]: length of the common run that ends at this item and at b[j]
        for j, other in enumerate(b):
            if item == other:
                row[j + 1] = above[j] + 1
        best, above = max(best, max(row)), row
    return best


# What nltk.word_tokenize (its Treebank rules, the same from NLTK 3.5 to 3.9) does to lower-case text without the
# characters that CMRC deletes first. The order matters: each rule sees the spaces that the rules before it inserted.
# NLTK 3.10 also splits at dashes ("66–16") and separates more opening quotes.
WORD_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        ("([«‘„])", r" \1 "),
        ('^"', " `` "),
        (r"""([ (\[{<])(?:"|'')""", r"\1 `` "),
        (r"'(?!re|ve|ll|m|t|s|d|n)(\w)\b", r"' \1"),
        (r"""([^.])\.([\])}>"'» ]*)\s*$""", r"\1 . \2 "),  # a full stop at the end only
        (r",(\D)", r" , \1"),
        (",$", " , "),
        (r"(\.{2,}|[;@#$%&])", r" \1 "),
        (r"""([^.])\.([\])}>"']*)\s*$""", r"\1 . \2 "),
        (r"([?!])", r" \1 "),
        ("([^'])' ", r"\1 ' "),
        (r"([\[\](){}<>])", r" \1 "),
        ("^|$", " "),
        ("»", " » "),
        ("(?:''|\")", " '' "),
        (r"\s+", " "),
        ("([^' ])('[smd]?) ", r"\1 \2 "),
        ("([^' ])('ll|'re|'ve|n't) ", r"\1 \2 "),
        (r"\b(can)(not)\b", r" \1 \2 "),
        (r"\b(d)('ye)\b", r" \1 \2 "),
        (r"\b(gim)(me)\b", r" \1 \2 "),
        (r"\b(gon)(na)\b", r" \1 \2 "),
        (r"\b(got)(ta)\b", r" \1 \2 "),
        (r"\b(lem)(me)\b", r" \1 \2 "),
        (r"\b(more)('n)\b", r" \1 \2 "),
        (r"\b(wan)(na)(?=\s)", r" \1 \2 "),
        (r" ('t)(is)\b", r" \1 \2 "),
        (r" ('t)(was)\b", r" \1 \2 "),
    ]
]


def _split_words(run: str) -> list[str]:
    for pattern, replacement in WORD_RULES if run else ():
        run = pattern.sub(replacement, run)
    return run.split()
