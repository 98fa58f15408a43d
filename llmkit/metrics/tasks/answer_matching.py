"""Is a predicted answer right? Exact match and F1 by the official rules of SQuAD v1.1, v2.0 and CMRC 2018.

    RULES["squad"]("the Eiffel Tower!", ["Eiffel Tower", "tower"])   # Match(exact=True, f1=1.0)

A prediction gets its best score over the gold answers. The rules are those of the published scripts, odd ones
included, so that figures can be compared with printed ones: evaluate-v1.1.py (Rajpurkar et al. 2016),
evaluate-v2.0.py (Rajpurkar, Jia and Liang 2018) and cmrc2018_evaluate.py, v5 (Cui et al. 2019).
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

SQUAD_DELETED = str.maketrans("", "", string.punctuation)  # ASCII only: other punctuation stays
ARTICLE = re.compile(r"\b(?:a|an|the)\b")
# The script keeps . , ! ? ( ) " ‘ and also …, since its entry for that is two characters long and never met.
CMRC_DELETED = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
CMRC_CHARACTER = re.compile("([\u4e00-\u9fa5])")


@dataclass(frozen=True)
class Match:
    """How well one prediction fits: equal to a gold answer, and its F1 in [0, 1] (the scripts print 100 times
    the mean)."""

    exact: bool
    f1: float


def match_squad(prediction: str, golds: Sequence[str]) -> Match:
    """The rules of SQuAD v1.1. There must be a gold answer.

    Words are those of `squad_normal_form`; without a common word F1 is 0, also for two empty texts.
    """
    assert golds, "a question without a gold answer: squad_v2 has rules for that"
    return _best([_squad_match(prediction, gold, both_empty=0.0) for gold in golds])


def match_squad_v2(prediction: str, golds: Sequence[str]) -> Match:
    """The rules of SQuAD v2.0: "" is the answer to a question without gold answers.

    Gold answers that are nothing but articles and punctuation are left out (with none left, "" is the
    answer), and F1 of two empty texts is 1.
    """
    kept = [gold for gold in golds if normalize_squad(gold)] or [""]
    return _best([_squad_match(prediction, gold, both_empty=1.0) for gold in kept])


def match_cmrc(prediction: str, golds: Sequence[str]) -> Match:
    """The rules of CMRC 2018. There must be a gold answer.

    Exact match compares the texts in lower case without punctuation. F1 counts the longest common run of
    Chinese characters and words, not their overlap in any order. The script splits a run of other characters
    with nltk.word_tokenize; so does `_cmrc_words`, but for its search for sentences, which needs a trained
    model: only a full stop and a blank inside such a run could tell them apart.
    """
    assert golds, "a question without a gold answer: CMRC 2018 has none"
    predicted = _cmrc_plain(prediction)
    return _best([_cmrc_match(predicted, _cmrc_plain(gold)) for gold in golds])


RULES: Mapping[Rules, Callable[[str, Sequence[str]], Match]] = {
    "squad": match_squad,
    "squad_v2": match_squad_v2,
    "cmrc": match_cmrc,
}


def has_answer(golds: Sequence[str]) -> bool:
    """Whether a question can be answered: not without gold answers, nor when all are ""."""
    return any(golds)


def normalize_squad(text: str) -> str:
    """Lower case, without ASCII punctuation and the articles a, an, the; one blank between words."""
    return " ".join(ARTICLE.sub(" ", text.lower().translate(SQUAD_DELETED)).split())


def _best(matches: Sequence[Match]) -> Match:
    """Exact match and F1 each have their own best gold answer."""
    return Match(any(match.exact for match in matches), max(match.f1 for match in matches))


def _squad_match(prediction: str, gold: str, both_empty: float) -> Match:
    ours, theirs = normalize_squad(prediction), normalize_squad(gold)
    if not ours and not theirs:
        return Match(True, both_empty)
    a, b = ours.split(), theirs.split()
    return Match(ours == theirs, _f1((Counter(a) & Counter(b)).total(), len(a), len(b)))


def _f1(common: int, predicted: int, gold: int) -> float:
    """In the scripts' own order of operations, so that the last bit agrees."""
    if common == 0:
        return 0.0
    precision, recall = common / predicted, common / gold
    return 2 * precision * recall / (precision + recall)


def _cmrc_plain(text: str) -> str:
    """The order matters: a blank behind leading punctuation stays, as in the script."""
    return text.lower().strip().translate(CMRC_DELETED)


def _cmrc_match(prediction: str, gold: str) -> Match:
    a, b = _cmrc_segments(prediction), _cmrc_segments(gold)
    return Match(prediction == gold, _f1(_longest_common_run(a, b), len(a), len(b)))


def _cmrc_segments(plain: str) -> list[str]:
    """Chinese characters one by one, and the words of what stands between them."""
    segments: list[str] = []
    for i, run in enumerate(CMRC_CHARACTER.split(plain)):
        segments += [run] if i % 2 else _cmrc_words(run)
    return segments


def _longest_common_run(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest sequence of neighbours that stands in both."""
    best, above = 0, [0] * (len(b) + 1)
    for item in a:
        row = [0] * (len(b) + 1)  # row[j + 1]: common run that ends at this item and at b[j]
        for j, other in enumerate(b):
            if item == other:
                row[j + 1] = above[j] + 1
        best, above = max(best, max(row)), row
    return best


# What nltk.word_tokenize (its Treebank rules, the same from NLTK 3.5 to 3.9) does to lower-case text without the
# characters that CMRC deletes before. In order: each rule sees the blanks that those before it made. NLTK 3.10
# also splits at dashes ("66–16") and takes off more opening quotes.
WORD_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        ("([«‘„])", r" \1 "),
        ('^"', " `` "),
        (r"""([ (\[{<])(?:"|'')""", r"\1 `` "),
        (r"'(?!re|ve|ll|m|t|s|d|n)(\w)\b", r"' \1"),
        (r"""([^.])\.([\])}>"'» ]*)\s*$""", r"\1 . \2 "),  # a full stop only at the end
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


def _cmrc_words(run: str) -> list[str]:
    for pattern, replacement in WORD_RULES if run else ():
        run = pattern.sub(replacement, run)
    return run.split()
