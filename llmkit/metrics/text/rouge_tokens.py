"""Tokenize texts for ROUGE, with tokens as numbers.

    tokenize(["The cat sat.", "a cat"], "words").tokens       # [1 2 3 4 2]

All tokenizers lower-case the text:
    words        runs of a-z and 0-9, as in the package rouge_score, which drops all other letters
    characters   each Chinese and Japanese character, and runs of other letters and digits
    unicode      runs of letters, digits and underscores of any script, with their combining marks
    jieba        Chinese words, by the package of that name
Many texts are joined and split at once, which takes a third of the time; a line end is a token until the texts are
separated again.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count

import numpy as np

from llmkit.base.errors import UserError, suggest
from llmkit.metrics.score import Ints

__all__ = ["TokenizedTexts", "choose_tokenizer", "tokenize"]

BATCH = 1 << 20  # characters split at a time
CODE_POINTS = 0x110000
# Han, kana and bopomofo, and signs in the same blocks, of which only those that are \w become tokens
SPACELESS = "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
IS_SPACELESS = re.compile(f"[{SPACELESS}]")
LINE_END = "."  # no tokenizer keeps a full stop, so it can stand for the end of a line
KEPT = b".abcdefghijklmnopqrstuvwxyz0123456789"
ONLY_WORDS = bytes(byte if byte in KEPT else ord(" ") for byte in range(256))
STEMMED_FROM = 4  # letters; rouge_score does not stem shorter words


@dataclass(frozen=True, eq=False)
class TokenizedTexts:
    """The tokens of D texts, text after text. Spans are half-open, [start, end).

    Args:
        tokens: Numbers in [1, vocabulary], equal for equal tokens, (n,).
        spans: The tokens of each text, (D, 2).
        lines: The tokens of each line that has a token, (M, 2).
        line_spans: The lines of each text, (D, 2).
        vocabulary: Number of different tokens.
    """

    tokens: Ints
    spans: Ints
    lines: Ints
    line_spans: Ints
    vocabulary: int


def choose_tokenizer(texts: Sequence[str], language: str | None = None) -> str:
    """Choose the tokenizer for a language, or by the letters of the texts.

    "en" and None give `words`, unless most letters are Chinese or Japanese; None gives `unicode` if most letters are of
    another script. French or Polish must be named, because most of their letters are those of English.

    Args:
        texts: The texts.
        language: ISO 639-1 code, also with a region ("zh-CN"); None decides by letters alone.
    """
    code = language.lower().replace("_", "-").split("-")[0] if language else None
    if code in ("zh", "ja"):
        return "characters"
    if code not in (None, "en"):
        return "unicode"
    if all(map(str.isascii, texts)):
        return "words"
    letters, latin, spaceless = _count_letters(texts)
    if 2 * spaceless > letters:
        return "characters"
    return "unicode" if code is None and 2 * latin < letters else "words"


def tokenize(texts: Sequence[str], tokenizer: str, *, stemmer: bool = False) -> TokenizedTexts:
    """Tokenize each line of each text; a line ends at "\\n" only.

    Args:
        texts: The texts, (D,).
        tokenizer: words, characters, unicode or jieba.
        stemmer: Replace tokens of four letters or more by their stems (Porter 1980 with NLTK's extensions, as in
            rouge_score).

    Raises:
        UserError: E10 for an unknown tokenizer, and for a stemmer with a tokenizer that is not for English; E03 if the
            tokenizer's package is not installed.
    """
    if tokenizer not in SPLITTERS:
        message = f'unknown tokenizer "{tokenizer}"{suggest(tokenizer, SPLITTERS)}'
        raise UserError("E10", "", message, f"choose from {', '.join(SPLITTERS)}")
    if stemmer and tokenizer != "words":
        message = f'Porter\'s stemmer is for English, but the tokenizer "{tokenizer}" is for other languages'
        raise UserError("E10", "", message, 'leave out the stemmer, or choose the tokenizer "words"')
    split = SPLITTERS[tokenizer]
    numbers = defaultdict(count(1).__next__, {LINE_END: 0})
    parts = [_number_tokens(split(batch), numbers) for batch in _join_batches(texts)]
    flat = np.concatenate([np.empty(0, np.int64), *parts])
    if stemmer:
        numbers, flat = _stem(numbers, flat)
    return _separate(flat, texts, len(numbers) - 1)


def _count_letters(texts: Sequence[str]) -> tuple[int, int, int]:
    """Count all letters, those of a-z in both cases, and Chinese and Japanese ones."""
    counts = np.zeros(CODE_POINTS, np.int64)
    for batch in _join_batches(texts):
        codes = np.frombuffer(batch.encode("utf-32-le", "surrogatepass"), np.uint32)
        counts += np.bincount(codes, minlength=CODE_POINTS)
    letters = {chr(code): int(counts[code]) for code in np.flatnonzero(counts) if chr(code).isalpha()}
    latin = sum(number for letter, number in letters.items() if letter.isascii())
    spaceless = sum(number for letter, number in letters.items() if IS_SPACELESS.match(letter))
    return sum(letters.values()), latin, spaceless


def _join_batches(texts: Sequence[str]) -> Iterator[str]:
    """Join texts, each followed by a line end, in batches of about BATCH characters."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH:
            yield "\n".join(batch) + "\n"
            batch, size = [], 0
    if batch:
        yield "\n".join(batch) + "\n"


def _number_tokens(tokens: Sequence[str], numbers: defaultdict[str, int]) -> Ints:
    return np.fromiter(map(numbers.__getitem__, tokens), np.int64, len(tokens))


def _split_words(text: str) -> list[str]:
    plain = _lower(text).encode("ascii", "replace").translate(ONLY_WORDS)  # "?" is not kept either
    return plain.decode("ascii").split()


def _split_jieba(text: str) -> list[str]:
    """Split with jieba in its default mode and keep the words that contain a letter or digit."""
    try:
        import jieba
    except ImportError:
        message = 'the tokenizer "jieba" needs the package jieba, which is not installed'
        fix = "pip install 'llmkit[zh]', or choose the tokenizer \"characters\""
        raise UserError("E03", "", message, fix) from None
    jieba.setLogLevel(logging.WARNING)  # otherwise it reports the loading of its dictionary on stderr
    tokens: list[str] = []
    for line in text.split("\n")[:-1]:
        tokens += [word.lower() for word in jieba.cut(line) if any(map(str.isalnum, word))]
        tokens.append(LINE_END)
    return tokens


def _lower(text: str) -> str:
    """Lower-case the text, with LINE_END for each line end and for nothing else."""
    return text.lower().replace(LINE_END, " ").replace("\n", f" {LINE_END} ")


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Compile the patterns of `characters` and `unicode`; combining marks (Mn, Mc, Me) are not in \\w."""
    marks = "".join(
        mark for mark in map(chr, range(CODE_POINTS)) if unicodedata.category(mark).startswith("M")
    )
    other = rf"[^\W_{SPACELESS}]"
    return (
        re.compile(rf"(?=\w)[{SPACELESS}]|{other}+(?:[{marks}]+{other}*)*|\."),
        re.compile(rf"\w[\w{marks}]*|\."),
    )


# Each splits text in any case into tokens, with LINE_END for each line end.
SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "words": _split_words,
    "characters": lambda text: _patterns()[0].findall(_lower(text)),
    "unicode": lambda text: _patterns()[1].findall(_lower(text)),
    "jieba": _split_jieba,
}


def _stem(numbers: defaultdict[str, int], flat: Ints) -> tuple[defaultdict[str, int], Ints]:
    """Replace the numbers of words by those of their stems; stems are never empty."""
    from nltk.stem.porter import PorterStemmer

    stem = PorterStemmer().stem
    stems = [stem(word) if len(word) >= STEMMED_FROM else word for word in numbers]  # in the order of numbers
    stem_numbers = defaultdict(count(1).__next__, {LINE_END: 0})
    return stem_numbers, _number_tokens(stems, stem_numbers)[flat]


def _separate(flat: Ints, texts: Sequence[str], vocabulary: int) -> TokenizedTexts:
    """Remove the line ends (0) and compute the spans; a text has one line end more than it has "\\n"."""
    ends = np.flatnonzero(flat == 0)
    bounds = _from_zero(ends - np.arange(len(ends)))  # number of tokens up to the end of each line
    last_lines = np.fromiter((text.count("\n") + 1 for text in texts), np.int64, len(texts)).cumsum()
    of_text = _from_zero(last_lines)
    lines = _spans(bounds)
    nonempty = lines[:, 0] < lines[:, 1]
    return TokenizedTexts(
        tokens=flat[flat != 0],
        spans=_spans(bounds[of_text]),
        lines=lines[nonempty],
        line_spans=_spans(_from_zero(np.cumsum(nonempty))[of_text]),
        vocabulary=vocabulary,
    )


def _from_zero(ends: Ints) -> Ints:
    return np.concatenate([[0], ends])


def _spans(bounds: Ints) -> Ints:
    return np.stack([bounds[:-1], bounds[1:]], axis=1)
