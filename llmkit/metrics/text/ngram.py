"""BLEU, chrF, chrF++ and TER as sacrebleu computes them, from sums over segments.

    bleu(["the cat sat on the mat"], [["the cat sat on a mat"]]).values()     # {"bleu": 53.7}
    statistics = chrf(predictions, references, word_order=2)                  # chrF++
    intervals.measure(statistics.rows, statistics.metrics)

Scores are on sacrebleu's scale, 0 to 100 (TER can be higher). The statistics of a segment are sacrebleu's own; for
BLEU, `word_ngrams` counts them from the words of sacrebleu's tokenizers. The score of their sum is implemented here,
for many sums at a time. Each call compares the score and the statistics (BLEU: of some segments) with those of
sacrebleu, so a release that counts differently is noticed. The note of each metric is sacrebleu's signature.

Time for 10,000 segments: statistics 0.4 s (BLEU, 17 words), 2.5 s (chrF, 12 words), minutes (TER); 2000 resamples
0.2 s.
Shapes: N segments, K statistics of a segment, O orders of n-grams.

Source: Post (2018), A Call for Clarity in Reporting BLEU Scores.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, zip_longest

import numpy as np
from sacrebleu import BLEU, CHRF, TER

from llmkit.base.errors import UserError, suggest
from llmkit.metrics.score import Floats, Metric, Statistics, ratio
from llmkit.metrics.text.references import References, align_references
from llmkit.metrics.text.word_ngrams import Vocabulary, count_ngrams

__all__ = ["bleu", "chrf", "ter"]

Rows = list[Sequence[str]]  # the references of each segment

BLEU_ORDER = 4
CHECKED = 50  # segments whose statistics are also counted by sacrebleu
BETA_SQUARED = 4  # chrF2: recall counts twice as much as precision
AGREES = 1e-9  # largest difference between our score and sacrebleu's
NO_LENGTH = 1e-9  # mean reference lengths are sums of thirds and the like: rounding errors of 0 words

BY_LANGUAGE = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
DEFAULT = "13a"
INSTALL = {"ja-mecab": 'pip install "llmkit[ja]"', "ko-mecab": 'pip install "sacrebleu[ko]"'}

_EAST_ASIAN = (
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"  # Han, kana
)
_UNSPACED = f"{_EAST_ASIAN}\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"  # and Thai, Lao, Tibetan, Burmese, Khmer
EAST_ASIAN = re.compile(f"[{_EAST_ASIAN}]")
UNSPACED = re.compile(f"[{_UNSPACED}]")
UNDIVIDED = re.compile(f"[{_UNSPACED}]{{5,}}")  # longer than most words of these scripts
BY_SPACES = "words are separated at spaces only, so a clause counts as one word here"


def bleu(
    predictions: Sequence[str],
    references: References,
    *,
    language: str | None = None,
    tokenizer: str | None = None,
) -> Statistics:
    """Compute BLEU of a corpus: n-grams up to 4, exponential smoothing, no effective order (sacrebleu's defaults).

    Args:
        predictions: Predicted texts, (N,).
        references: One or more references of each text, (N,).
        language: ISO 639-1 code, which chooses the tokenizer (zh, ja, ko; otherwise 13a). None chooses zh if most
            references are Chinese or Japanese.
        tokenizer: Name of a sacrebleu tokenizer, which takes precedence over the language.

    Returns:
        Statistics (N, 10): lengths of prediction and reference, then matches and n-grams of each order.

    Raises:
        UserError: E02 and E04 as in `align_references`; E03 if the tokenizer's package is not installed; E10 for a
            tokenizer that does not exist, cannot be loaded, or makes every score 0.
    """
    rows = align_references(predictions, references)
    if tokenizer:
        name = tokenizer
    elif language is None:
        name = "zh" if _mostly(EAST_ASIAN, rows) else DEFAULT
    else:
        name = BY_LANGUAGE.get(re.split("[-_]", language.lower())[0], DEFAULT)
    reference_metric, vocabulary = _load_bleu(name), _load_vocabulary(name)
    reference_ids = [vocabulary.ids(row) for row in rows]
    note = _tokenizer_note(reference_metric, name, rows, reference_ids)
    metric = Metric("bleu", _bleu, note=note, point=1.0)
    counts = count_ngrams(vocabulary.ids(predictions), reference_ids, BLEU_ORDER)
    # Compare the statistics of some segments, spread over all, with those of sacrebleu.
    some = np.unique(np.linspace(0, len(predictions) - 1, CHECKED).round().astype(int)).tolist()
    expected = _extract_statistics(
        reference_metric, [predictions[row] for row in some], [rows[row] for row in some]
    )
    assert np.array_equal(counts[some], expected), "sacrebleu counts n-grams differently"
    return _finish(metric, reference_metric, counts)


def chrf(predictions: Sequence[str], references: References, *, word_order: int = 0) -> Statistics:
    """Compute chrF2, with character n-grams up to 6 without white space, or chrF++ with word_order=2.

    Args:
        predictions: Predicted texts, (N,).
        references: One or more references of each text, (N,).
        word_order: Largest order of word n-grams.

    Returns:
        Statistics (N, 3 (6 + word_order)): n-grams of the prediction, of the reference, and matches, for each order.

    Raises:
        UserError: E02 or E04, as in `align_references`.

    Source: Popović (2015), chrF: character n-gram F-score; Popović (2017), chrF++: words helping character n-grams.
    """
    rows = align_references(predictions, references)
    note = BY_SPACES if word_order and _mostly(UNSPACED, rows) else ""
    metric = Metric("chrf" + "+" * word_order, _chrf, note=note, point=1.0)
    reference_metric = CHRF(word_order=word_order)
    return _finish(metric, reference_metric, _extract_statistics(reference_metric, predictions, rows))


def ter(predictions: Sequence[str], references: References) -> Statistics:
    """Compute the translation edit rate: edits and shifts per 100 reference words; lower is better.

    Time grows with the square of the number of words of a segment.

    Args:
        predictions: Predicted texts, (N,).
        references: One or more references of each text, (N,).

    Returns:
        Statistics (N, 2): edits, and the mean length of the segment's references in words.

    Raises:
        UserError: E02 or E04, as in `align_references`.

    Source: Snover et al. (2006), A Study of Translation Edit Rate with Targeted Human Annotation.
    """
    rows = align_references(predictions, references)
    note = BY_SPACES if _mostly(UNSPACED, rows) else ""
    metric = Metric("ter", _ter, note=note, higher_is_better=False, point=1.0)
    reference_metric = TER()
    return _finish(metric, reference_metric, _extract_statistics(reference_metric, predictions, rows))


def _bleu(sums: Floats) -> Floats:
    """Score lengths, matches and n-grams (..., 2 + 2 O); 0 without any match, or if an order has no n-gram."""
    predicted, reference = sums[..., 0], sums[..., 1]
    matches, total = np.split(sums[..., 2:], 2, axis=-1)  # (..., O)
    missed = (matches == 0) & (total > 0)
    halvings = np.cumsum(missed, axis=-1)  # each order without a match counts half as much as the one before
    precision = ratio(np.where(missed, 0.5**halvings, matches), total)
    with np.errstate(divide="ignore"):  # log 0: the score is 0
        mean_log = np.log(precision).mean(axis=-1)
    brevity = np.minimum(0, 1 - ratio(reference, predicted))
    score: Floats = 100 * np.exp(brevity + mean_log) * (matches > 0).any(axis=-1)
    return score


def _chrf(sums: Floats) -> Floats:
    """Score counts (..., 3 O): F of mean precision and mean recall, over the orders that both sides have."""
    predicted, reference, matches = (sums[..., part::3] for part in range(3))  # (..., O)
    orders = ((predicted > 0) & (reference > 0)).sum(axis=-1)
    precision = ratio(ratio(matches, predicted).sum(axis=-1), orders)
    recall = ratio(ratio(matches, reference).sum(axis=-1), orders)
    return 100 * ratio((1 + BETA_SQUARED) * precision * recall, BETA_SQUARED * precision + recall)


def _ter(sums: Floats) -> Floats:
    """Score edits and reference words (..., 2); without reference words 100, or 0 if the prediction is empty too."""
    edits, words = sums[..., 0], np.where(sums[..., 1] > NO_LENGTH, sums[..., 1], 0)
    return 100 * np.where(words > 0, ratio(edits, words), edits > 0)


def _extract_statistics(metric: BLEU | CHRF | TER, predictions: Sequence[str], references: Rows) -> Floats:
    """Let sacrebleu count the statistics of each segment; it has no public function for that.

    Segments may have different numbers of references: None fills up the shorter rows.
    """
    statistics = metric._extract_corpus_statistics(predictions, list(zip_longest(*references)))
    return np.array(statistics, dtype=np.float64)


def _finish(metric: Metric, reference_metric: BLEU | CHRF | TER, rows: Floats) -> Statistics:
    """Compare the score of the sum with sacrebleu's, and add its signature to the metric's note."""
    total = rows.sum(axis=0)
    # sacrebleu formats counts of words, so they must be integers.
    numbers = [int(number) if number.is_integer() else number for number in total.tolist()]
    ours, expected = float(metric.score(total)), reference_metric._aggregate_and_compute([numbers]).score
    assert math.isclose(ours, expected, rel_tol=AGREES, abs_tol=AGREES), (
        f"sacrebleu's {metric.name} is {expected}, ours {ours}"
    )
    note = "; ".join(filter(None, ["0-100", str(reference_metric.get_signature()), metric.note]))
    return Statistics(rows, (replace(metric, note=note),))


def _load_bleu(tokenizer: str) -> BLEU:
    """Make sacrebleu's BLEU with this tokenizer; raise UserError E03 or E10 if that is not possible."""
    if tokenizer not in BLEU.TOKENIZERS:
        message = f'unknown tokenizer "{tokenizer}"{suggest(tokenizer, BLEU.TOKENIZERS)}'
        raise UserError("E10", "", message, f"choose from {', '.join(BLEU.TOKENIZERS)}")
    try:
        return BLEU(tokenize=tokenizer, force=True)  # force: no warning about spaces before full stops
    except ImportError:
        install = "pip install sentencepiece"
    except (Exception, SystemExit) as error:  # MeCab raises RuntimeError; a failed download may exit
        if tokenizer not in INSTALL:
            reason = error or type(error).__name__
            message = f'the model of tokenizer "{tokenizer}" could not be loaded: {reason}'
            fix = "choose a tokenizer that needs no download, such as zh, char or 13a"
            raise UserError("E10", "", message, fix) from error
        install = INSTALL[tokenizer]
    raise UserError("E03", "", f'tokenizer "{tokenizer}" needs a package that is not installed', install)


@lru_cache(maxsize=1)  # several systems are compared on the same references
def _load_vocabulary(tokenizer: str) -> Vocabulary:
    return Vocabulary(_load_bleu(tokenizer).tokenizer, piecewise=tokenizer == DEFAULT)


def _tokenizer_note(
    metric: BLEU, tokenizer: str, references: Rows, reference_ids: Sequence[Sequence[Sequence[int]]]
) -> str:
    """Return a warning if the tokenizer makes few words of the references.

    Raises:
        UserError: E10 if it leaves clauses without spaces whole and no reference has four tokens, so that even
            identical texts would score 0.
    """
    short = all(len(ids) < BLEU_ORDER for ids in chain.from_iterable(reference_ids))
    whole = False
    if _mostly(UNSPACED, references):  # most letters of these scripts are in tokens too long for a word
        text = " ".join(metric.tokenizer(text.rstrip()) for text in chain.from_iterable(references))
        whole = 2 * sum(map(len, UNDIVIDED.findall(text))) > len(UNSPACED.findall(text))
    if short and whole:
        message = (
            f'tokenizer "{tokenizer}" turns each of these texts into one or two words, '
            "so identical texts would score 0"
        )
        raise UserError("E10", "", message, 'choose another, such as "zh" or "char", or name the language')
    if whole:
        return f'tokenizer "{tokenizer}" leaves clauses without spaces whole, so the score says little'
    return "no reference has 4 tokens, so identical texts score 0" if short else ""


def _mostly(script: re.Pattern[str], references: Rows) -> bool:
    """Whether most of the texts that have letters have more letters of this script than of others."""
    texts = [
        text for text in chain.from_iterable(references) if text.upper() != text.lower() or not text.isascii()
    ]
    letters = [0 if text.isascii() else sum(map(str.isalpha, text)) for text in texts]
    in_script = [
        2 * len(script.findall(text)) > count for text, count in zip(texts, letters, strict=True) if count
    ]
    with_letters = sum(count > 0 or text.isascii() for text, count in zip(texts, letters, strict=True))
    return 2 * sum(in_script) > with_letters
