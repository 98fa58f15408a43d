"""BLEU, chrF, chrF++ and TER as sacrebleu computes them, from sums over segments.

    bleu(["the cat sat on the mat"], [["the cat sat on a mat"]]).values()     # {"bleu": 53.7}
    measured = chrf(predictions, references, word_order=2)                    # chrF++
    intervals.measure(measured.rows, measured.metrics)

Scores are on sacrebleu's scale, 0 to 100 (TER can be higher). A segment's statistics are sacrebleu's own, or for BLEU
`word_ngrams` counts them from the words of its tokenizers; the score of their sum is written anew, for many sums at a
time. Each call holds score and statistics (BLEU: of some segments) against sacrebleu's, so a release that counts
otherwise is noticed.
sacrebleu: Post (2018), "A Call for Clarity in Reporting BLEU Scores". Its signature is the metric's note.

Time for 10,000 segments: statistics 0.4 s (BLEU, 17 words), 2.5 s (chrF, 12 words), minutes (TER); 2000 draws 0.2 s.
Shapes: N segments, K statistics of a segment, O orders of n-grams.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from llmkit.base.errors import UserError, suggest
from llmkit.metrics.score import Floats, Metric, Statistics, ratio
from llmkit.metrics.text.references import References, align_references
from llmkit.metrics.text.word_ngrams import Vocabulary, count_ngrams

__all__ = ["bleu", "chrf", "ter"]

Rows = list[Sequence[str]]  # the references of each row

BLEU_ORDER = 4
CHECKED = 50  # segments whose statistics are counted by sacrebleu as well
BETA_SQUARED = 4  # chrF2: recall counts twice as much as precision
AGREES = 1e-9  # how near our score must be to sacrebleu's
NO_LENGTH = 1e-9  # mean reference lengths are sums of thirds and the like: what rounding leaves of 0 words

BY_LANGUAGE = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
DEFAULT = "13a"
INSTALL = {"ja-mecab": 'pip install "llmkit[ja]"', "ko-mecab": 'pip install "sacrebleu[ko]"'}

_EAST_ASIAN = (
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"  # Han, kana
)
_UNSPACED = f"{_EAST_ASIAN}\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"  # and Thai, Lao, Tibetan, Burmese, Khmer
EAST_ASIAN = re.compile(f"[{_EAST_ASIAN}]")
UNSPACED = re.compile(f"[{_UNSPACED}]")
UNDIVIDED = re.compile(f"[{_UNSPACED}]{{5,}}")  # longer than words of these scripts commonly are
BY_BLANKS = "words are divided at blanks only, so here a clause is one word"


def bleu(
    predictions: Sequence[str],
    references: References,
    *,
    language: str | None = None,
    tokenizer: str | None = None,
) -> Statistics:
    """BLEU of a corpus: n-grams up to 4, exponential smoothing, no effective order (sacrebleu's defaults).

    tokenizer is one of sacrebleu's; without it the language's (zh, ja, ko; else 13a), and without a language zh
    where most references are Chinese or Japanese. Rows hold the lengths of prediction and reference, then matches and
    n-grams of each order: K = 10. UserError: E02 and E04 as in `references.aligned`, E03 for a package that is missing,
    E10 for a tokenizer that does not exist, can't be loaded or makes every score 0.
    """
    rows = align_references(predictions, references)
    name = tokenizer or _by_language(language, rows)
    theirs, vocabulary = _with_tokenizer(name), _vocabulary(name)
    read = [vocabulary.ids(row) for row in rows]
    metric = Metric("bleu", _bleu, note=_caution(theirs, name, rows, read), point=1.0)
    found = count_ngrams(vocabulary.ids(predictions), read, BLEU_ORDER)
    _check_some(found, theirs, predictions, rows)
    return _noted(metric, theirs, found)


def chrf(predictions: Sequence[str], references: References, *, word_order: int = 0) -> Statistics:
    """chrF2 (Popović 2015), character n-grams up to 6 without white space; chrF++ (2017) for word_order 2.

    Rows hold n-grams of prediction, of reference, and matches, for each order: K = 3 (6 + word_order).
    UserError E02, E04.
    """
    from sacrebleu import CHRF

    rows = align_references(predictions, references)
    caution = BY_BLANKS if word_order and _mostly(UNSPACED, rows) else ""
    metric = Metric("chrf" + "+" * word_order, _chrf, note=caution, point=1.0)
    return _measured(metric, CHRF(word_order=word_order), predictions, rows)


def ter(predictions: Sequence[str], references: References) -> Statistics:
    """Translation edit rate (Snover et al. 2006): edits and shifts per 100 words of reference; lower is better.

    Rows hold the edits and the mean length of the row's references: K = 2. Time goes with the square of a segment's
    words. UserError E02, E04.
    """
    from sacrebleu import TER

    rows = align_references(predictions, references)
    caution = BY_BLANKS if _mostly(UNSPACED, rows) else ""
    metric = Metric("ter", _ter, note=caution, higher_is_better=False, point=1.0)
    return _measured(metric, TER(), predictions, rows)


def _bleu(sums: Floats) -> Floats:
    """From lengths, matches and totals (..., 2 + 2 O): 0 without any match or where an order has no n-gram."""
    predicted, reference = sums[..., 0], sums[..., 1]
    right, total = np.split(sums[..., 2:], 2, axis=-1)  # (..., O)
    missed = (right == 0) & (total > 0)
    halvings = np.cumsum(missed, axis=-1)  # each order without a match counts half as much as the one before
    precision = ratio(np.where(missed, 0.5**halvings, right), total)
    with np.errstate(divide="ignore"):  # log 0: the score is 0
        mean_log = np.log(precision).mean(axis=-1)
    brevity = np.minimum(0, 1 - ratio(reference, predicted))
    score: Floats = 100 * np.exp(brevity + mean_log) * (right > 0).any(axis=-1)
    return score


def _chrf(sums: Floats) -> Floats:
    """From counts (..., 3 O): F of mean precision and mean recall, over the orders that both sides have."""
    predicted, reference, right = (sums[..., part::3] for part in range(3))  # (..., O)
    orders = ((predicted > 0) & (reference > 0)).sum(axis=-1)
    precision = ratio(ratio(right, predicted).sum(axis=-1), orders)
    recall = ratio(ratio(right, reference).sum(axis=-1), orders)
    return 100 * ratio((1 + BETA_SQUARED) * precision * recall, BETA_SQUARED * precision + recall)


def _ter(sums: Floats) -> Floats:
    """From edits and reference words (..., 2); without reference words 100, or 0 where nothing was said either."""
    edits, words = sums[..., 0], np.where(sums[..., 1] > NO_LENGTH, sums[..., 1], 0)
    return 100 * np.where(words > 0, ratio(edits, words), edits > 0)


def _measured(metric: Metric, theirs: Any, predictions: Sequence[str], references: Rows) -> Statistics:
    """Statistics by sacrebleu's metric. It has no public name for them; its tests of significance take them by this."""
    return _noted(metric, theirs, np.array(_counted(theirs, predictions, references), dtype=np.float64))


def _counted(theirs: Any, predictions: Sequence[str], references: Rows) -> Any:
    """The statistics of each segment. Rows may have different numbers of references: None fills up."""
    return theirs._extract_corpus_statistics(predictions, list(zip_longest(*references)))


def _check_some(found: Floats, theirs: Any, predictions: Sequence[str], references: Rows) -> None:
    """Hold our statistics of some segments, spread over all, against sacrebleu's."""
    some = np.unique(np.linspace(0, len(predictions) - 1, CHECKED).round().astype(int)).tolist()
    own = _counted(theirs, [predictions[row] for row in some], [references[row] for row in some])
    assert np.array_equal(found[some], own), "sacrebleu counts n-grams otherwise"


def _noted(metric: Metric, theirs: Any, rows: Floats) -> Statistics:
    """With sacrebleu's signature, and its score of the sum held against ours."""
    total = rows.sum(axis=0)
    ours, own = float(metric.score(total)), theirs._aggregate_and_compute([_numbers(total)]).score
    assert math.isclose(ours, own, rel_tol=AGREES, abs_tol=AGREES), (
        f"sacrebleu's {metric.name} is {own}, ours {ours}"
    )
    note = "; ".join(filter(None, ["0-100", str(theirs.get_signature()), metric.note]))
    return Statistics(rows, (replace(metric, note=note),))


def _numbers(total: Floats) -> list[float]:
    """sacrebleu formats counts of words, so they must be whole numbers."""
    return [int(number) if number.is_integer() else number for number in total.tolist()]


def _by_language(language: str | None, references: Rows) -> str:
    """The tokenizer for a language code such as "zh" or "zh-CN", or for the script of most references."""
    if language is None:
        return "zh" if _mostly(EAST_ASIAN, references) else DEFAULT
    return BY_LANGUAGE.get(re.split("[-_]", language.lower())[0], DEFAULT)


def _with_tokenizer(name: str) -> Any:
    """sacrebleu's BLEU with that tokenizer."""
    from sacrebleu import BLEU

    if name not in BLEU.TOKENIZERS:
        message = f'unknown tokenizer "{name}"{suggest(name, BLEU.TOKENIZERS)}'
        raise UserError("E10", "", message, f"choose from {', '.join(BLEU.TOKENIZERS)}")
    try:
        return BLEU(tokenize=name, force=True)  # force: no warning about blanks before full stops
    except ImportError:
        install = "pip install sentencepiece"
    except (Exception, SystemExit) as error:  # MeCab's say RuntimeError; a failed download may exit
        if name not in INSTALL:
            message = f'the model of tokenizer "{name}" could not be loaded: {error or type(error).__name__}'
            fix = "choose a tokenizer that needs no download, such as zh, char or 13a"
            raise UserError("E10", "", message, fix) from error
        install = INSTALL[name]
    raise UserError("E03", "", f'tokenizer "{name}" needs a package that is not installed', install)


@lru_cache(maxsize=1)  # several systems are compared on the same references
def _vocabulary(name: str) -> Vocabulary:
    return Vocabulary(_with_tokenizer(name).tokenizer, piecewise=name == DEFAULT)


def _caution(theirs: Any, name: str, references: Rows, read: Sequence[Sequence[Sequence[int]]]) -> str:
    """What a reader must know where the tokenizer makes few words of the references.

    UserError E10 where they are clauses without blanks that it leaves whole, and so few that even the references
    themselves would score 0: a corpus without four tokens in any text.
    """
    short = all(len(ids) < BLEU_ORDER for ids in chain.from_iterable(read))
    whole = _mostly(UNSPACED, references) and _mostly_undivided(
        [theirs.tokenizer(text.rstrip()) for text in chain.from_iterable(references)]
    )
    if short and whole:
        message = (
            f'tokenizer "{name}" takes each of these texts for a word or two: identical ones would score 0'
        )
        raise UserError("E10", "", message, 'choose another, such as "zh" or "char", or name the language')
    if whole:
        return f'tokenizer "{name}" leaves clauses without blanks whole, so the score says little'
    return "no reference has 4 tokens, so identical texts score 0" if short else ""


def _mostly(script: re.Pattern[str], references: Rows) -> bool:
    """Whether most of the texts with letters have more of this script than of others."""
    texts = [
        text for text in chain.from_iterable(references) if text.upper() != text.lower() or not text.isascii()
    ]
    letters = [0 if text.isascii() else sum(map(str.isalpha, text)) for text in texts]
    shares = [
        2 * len(script.findall(text)) > count for text, count in zip(texts, letters, strict=True) if count
    ]
    with_letters = sum(count > 0 or text.isascii() for text, count in zip(texts, letters, strict=True))
    return 2 * sum(shares) > with_letters


def _mostly_undivided(texts: Sequence[str]) -> bool:
    """Whether most letters of scripts without blanks stand in tokens too long for a word."""
    text = " ".join(texts)
    return 2 * sum(map(len, UNDIVIDED.findall(text))) > len(UNSPACED.findall(text))
