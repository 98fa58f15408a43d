"""Texts as the tokens that ROUGE compares, and those tokens as numbers.

    numbered(["The cat sat.", "a cat"], "words").tokens       # [1 2 3 4 2]

The tokenizers, all of them in lower case:
    words        runs of a-z and 0-9, as the package rouge_score; it drops every other letter
    characters   each Chinese and Japanese character, and runs of other letters and digits
    unicode      runs of letters, digits and underscores of any script, with their combining marks
    jieba        words of Chinese, by the package of that name
Many texts are joined and split at once: a third of the time of one by one, for the price of a line end that is a
token for a while.
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
# Han, kana and bopomofo; with them their signs, of which only those that are \w become tokens
SPACELESS = "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
IS_SPACELESS = re.compile(f"[{SPACELESS}]")
LINE_END = "."  # no tokenizer leaves a full stop, so that it can stand for the end of a line
KEPT = b".abcdefghijklmnopqrstuvwxyz0123456789"
ONLY_WORDS = bytes(byte if byte in KEPT else ord(" ") for byte in range(256))
STEMMED_FROM = 4  # letters; rouge_score leaves shorter words as they are


@dataclass(frozen=True, eq=False)
class TokenizedTexts:
    """D texts one behind the other as tokens (n,), numbers in [1, vocabulary] that are equal where the tokens are.

    Spans are [start, end): spans (D, 2) those of the texts' tokens, lines (M, 2) those of every line that has a
    token, and line_spans (D, 2) say which of the lines are a text's.
    """

    tokens: Ints
    spans: Ints
    lines: Ints
    line_spans: Ints
    vocabulary: int


def choose_tokenizer(texts: Sequence[str], language: str | None = None) -> str:
    """The tokenizer for texts of that language (ISO 639-1, "zh-CN" too), None: by their letters.

    None and "en" mean `words`, unless most letters are Chinese or Japanese; with None most letters of another
    script mean `unicode`. French or Polish must be named: most of their letters are those of English.
    """
    code = language.lower().replace("_", "-").split("-")[0] if language else None
    if code in ("zh", "ja"):
        return "characters"
    if code not in (None, "en"):
        return "unicode"
    if all(map(str.isascii, texts)):
        return "words"
    letters, latin, spaceless = _letters(texts)
    if 2 * spaceless > letters:
        return "characters"
    return "unicode" if code is None and 2 * latin < letters else "words"


def tokenize(texts: Sequence[str], tokenizer: str, *, stemmer: bool = False) -> TokenizedTexts:
    """The tokens of each line of each text (D,), by number; a line ends at "\\n" only.

    stemmer: tokens of four letters and more give way to their stems (Porter 1980, with NLTK's extensions, as
    rouge_score has it). UserError E10 for an unknown tokenizer or for a stemmer where words are not
    English, E03 when the tokenizer's package is missing.
    """
    split = _splitter(tokenizer, stemmer)
    numbers = defaultdict(count(1).__next__, {LINE_END: 0})
    flat = np.concatenate(
        [np.empty(0, np.int64), *(_by_number(split(some), numbers) for some in _batches(texts))]
    )
    if stemmer:
        numbers, flat = _stemmed(numbers, flat)
    return _laid_out(flat, texts, len(numbers) - 1)


def _letters(texts: Sequence[str]) -> tuple[int, int, int]:
    """How many letters there are, of a-z in both cases, and of Chinese and Japanese."""
    counts = np.zeros(CODE_POINTS, np.int64)
    for batch in _batches(texts):
        codes = np.frombuffer(batch.encode("utf-32-le", "surrogatepass"), np.uint32)
        counts += np.bincount(codes, minlength=CODE_POINTS)
    there = {chr(code): int(counts[code]) for code in np.flatnonzero(counts) if chr(code).isalpha()}
    latin = sum(number for letter, number in there.items() if letter.isascii())
    spaceless = sum(number for letter, number in there.items() if IS_SPACELESS.match(letter))
    return sum(there.values()), latin, spaceless


def _batches(texts: Sequence[str]) -> Iterator[str]:
    """The texts, each with a line end behind it, some at a time."""
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


def _by_number(tokens: Sequence[str], numbers: defaultdict[str, int]) -> Ints:
    return np.fromiter(map(numbers.__getitem__, tokens), np.int64, len(tokens))


def _splitter(name: str, stemmer: bool) -> Callable[[str], list[str]]:
    """What makes tokens of lower-case and other text; it puts LINE_END for each line end."""
    if name not in SPLITTERS:
        message = f'unknown tokenizer "{name}"{suggest(name, SPLITTERS)}'
        raise UserError("E10", "", message, f"choose from {', '.join(SPLITTERS)}")
    if stemmer and name != "words":
        message = f'Porter\'s stemmer is for English, and the tokenizer "{name}" for other languages'
        raise UserError("E10", "", message, 'leave out the stemmer, or choose the tokenizer "words"')
    return SPLITTERS[name]


def _words(text: str) -> list[str]:
    plain = _lower(text).encode("ascii", "replace").translate(ONLY_WORDS)  # "?" is no word either
    return plain.decode("ascii").split()


def _characters(text: str) -> list[str]:
    return _character_pattern().findall(_lower(text))


def _unicode(text: str) -> list[str]:
    return _unicode_pattern().findall(_lower(text))


def _jieba(text: str) -> list[str]:
    """What holds a letter or digit of jieba's words, in its default mode."""
    try:
        import jieba
    except ImportError:
        message = 'the tokenizer "jieba" needs the package jieba, which is not installed'
        fix = "pip install 'llmkit[zh]', or choose the tokenizer \"characters\""
        raise UserError("E03", "", message, fix) from None
    jieba.setLogLevel(logging.WARNING)  # else it tells of its dictionary on stderr
    tokens: list[str] = []
    for line in text.split("\n")[:-1]:
        tokens += [word.lower() for word in jieba.cut(line) if any(map(str.isalnum, word))]
        tokens.append(LINE_END)
    return tokens


SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "words": _words,
    "characters": _characters,
    "unicode": _unicode,
    "jieba": _jieba,
}


def _lower(text: str) -> str:
    """In lower case, with LINE_END for each line end and for nothing else."""
    return text.lower().replace(LINE_END, " ").replace("\n", f" {LINE_END} ")


@cache
def _character_pattern() -> re.Pattern[str]:
    other = rf"[^\W_{SPACELESS}]"
    return re.compile(rf"(?=\w)[{SPACELESS}]|{other}+(?:[{_marks()}]+{other}*)*|\.")


@cache
def _unicode_pattern() -> re.Pattern[str]:
    return re.compile(rf"\w[\w{_marks()}]*|\.")


def _marks() -> str:
    """All combining marks (Unicode categories Mn, Mc, Me), for a character class: they are no \\w."""
    return "".join(
        mark for mark in map(chr, range(CODE_POINTS)) if unicodedata.category(mark).startswith("M")
    )


def _stemmed(numbers: defaultdict[str, int], flat: Ints) -> tuple[defaultdict[str, int], Ints]:
    """Numbers of stems instead of those of words. A stem is never empty: the rules keep a vowel or two letters."""
    from nltk.stem.porter import PorterStemmer

    stem = PorterStemmer().stem
    stems = [stem(word) if len(word) >= STEMMED_FROM else word for word in numbers]  # in the order of numbers
    renumbered = defaultdict(count(1).__next__, {LINE_END: 0})
    return renumbered, _by_number(stems, renumbered)[flat]


def _laid_out(flat: Ints, texts: Sequence[str], vocabulary: int) -> TokenizedTexts:
    """Without the line ends (0), of which each text has one more than it has "\\n"."""
    ends = np.flatnonzero(flat == 0)
    stops = _from_zero(ends - np.arange(len(ends)))  # tokens up to the end of each line
    last_lines = np.fromiter((text.count("\n") + 1 for text in texts), np.int64, len(texts)).cumsum()
    of_text = _from_zero(last_lines)
    lines = _spans(stops)
    filled = lines[:, 0] < lines[:, 1]
    return TokenizedTexts(
        tokens=flat[flat != 0],
        spans=_spans(stops[of_text]),
        lines=lines[filled],
        line_spans=_spans(_from_zero(np.cumsum(filled))[of_text]),
        vocabulary=vocabulary,
    )


def _from_zero(ends: Ints) -> Ints:
    return np.concatenate([[0], ends])


def _spans(bounds: Ints) -> Ints:
    return np.stack([bounds[:-1], bounds[1:]], axis=1)
