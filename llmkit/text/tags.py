"""Tag schemes of named entity recognition: detect a corpus's scheme, find errors, convert tags to entities and back.

    detect_scheme([["I-ORG", "O", "I-PER", "B-PER"]])   ->   "IOB1"
    to_iob2(["S-PER", "O", "B-LOC", "E-LOC"])           ->   ["B-PER", "O", "B-LOC", "I-LOC"]
    tags_to_spans(["B-LOC", "I-LOC", "O"])              ->   [Span(start=0, end=2, label="LOC")]

A tag is "O" (outside) or a prefix, a hyphen and a type:

    IOB1    I- everywhere; B- only where an entity directly follows another of its type
    IOB2    B- on the first word, I- on the others; also called BIO
    BIOES   B- first, I- inside, E- last, S- the only word; BILOU is the same with L- for E- and U- for S-
    BMES    BIOES with M- for I-, as in Chinese corpora

A prefix means the same in all schemes, except for IOB1's I-, which may begin an entity. The reader always accepts that,
so one reader serves all schemes, including sequences with errors. It follows the script conlleval of the CoNLL shared
tasks (Tjong Kim Sang and Buchholz) in the form of seqeval's default mode, which adds S- and E- after the last word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

__all__ = [
    "SCHEMES",
    "Scheme",
    "Span",
    "TagError",
    "Variant",
    "collect_types",
    "detect_scheme",
    "find_errors",
    "find_unknown_tags",
    "find_variant",
    "has_prefix",
    "make_labels",
    "spans_to_tags",
    "tags_to_ids",
    "tags_to_spans",
    "to_iob2",
]

Scheme = Literal["IOB1", "IOB2", "BIOES", "BMES"]
Tag = tuple[str, str]  # prefix and type; ("O", "") outside

SCHEMES: dict[Scheme, str] = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES", "BMES": "BMES"}  # their prefixes
SAME = {"L": "E", "U": "S"}  # prefixes of BILOU -> prefixes of BIOES
OUTSIDE = ("O", "")

_VARIANTS = (
    (re.compile(r"(?P<prefix>[BIESMLU])[_:./|](?P<type>.+)"), "another separator than a hyphen"),
    (re.compile(r"(?P<prefix>[biesmlu])[-_:./|](?P<type>.+)"), "prefixes in small letters"),
    (re.compile(r"(?P<type>.+)[-_:./|](?P<prefix>[BIESMLU])"), "prefixes behind the type"),
)
_TYPE = re.compile(r"[^\W\d_][\w.&/+-]*")  # a type of the scheme IO
MAX_TYPES = 60  # a column with more distinct values than this holds no types of entities


class Span(NamedTuple):
    """An entity: its first word, the word after its last, and its type."""

    start: int
    end: int
    label: str


class TagError(NamedTuple):
    """An error in the tag of the word at `position` (from 0)."""

    position: int
    message: str


class Variant(NamedTuple):
    """An unusual way to write tags: each tag -> the tag that the schemes have, and a description for the user."""

    tags: dict[str, str]
    description: str


def find_variant(tags: Collection[str]) -> Variant | None:
    """Recognize unusual ways to write the tags of a corpus.

    B_PER, B:PER, b-per:    another separator than a hyphen, or small letters
    PER-B, PER_B:           the prefix behind the type
    PER:                    no prefix, beside O; neighbouring words of one type are one entity (the scheme IO)

    Args:
        tags: The distinct tags of the corpus.

    Returns:
        The variant; None when a tag has a prefix of the schemes, or not all tags are written in the same way.
    """
    outside = {tag for tag in tags if tag in ("O", "o")}
    inside = sorted({*tags} - outside)
    if not inside or len(outside) > 1 or any(map(_parse, inside)):
        return None
    example = inside[0]
    for pattern, description in _VARIANTS:
        matches = [pattern.fullmatch(tag) for tag in inside]
        if all(matches):
            new = {m.string: f"{m['prefix'].upper()}-{m['type']}" for m in matches if m}
            text = f'{description}, such as "{example}", read as "{new[example]}"'
            return Variant(new | dict.fromkeys(outside, "O"), text)
    if outside and len(inside) <= MAX_TYPES and all(_TYPE.fullmatch(tag) for tag in inside):
        text = f'no prefixes ("{example}"), so neighbouring words of one type are one entity (IO)'
        return Variant({tag: f"I-{tag}" for tag in inside} | dict.fromkeys(outside, "O"), text)
    return None


def detect_scheme(sequences: Iterable[Sequence[str]]) -> Scheme | None:
    """Detect the scheme of a corpus from the tags of all its sentences.

    M- makes it BMES; E-, S-, L- or U- make it BIOES. With B- and I- alone it is the scheme in which fewer entities
    begin wrongly: IOB1 if entities begin with I-, and B- occurs only right after an entity of its type. Ambiguous cases
    do not matter, because both schemes read them alike: B-, E- and S- without an inside tag is called BIOES, and
    equally many wrong beginnings are called IOB2.

    Returns:
        The scheme, or None if it cannot be determined: only O; tags without a known prefix ("PER") and no others; both
        I- and M-; E- without any B- (IOE1, IOE2). Unknown tags next to known ones are ignored
        (`find_unknown_tags` reports them).
    """
    prefixes: set[str] = set()
    wrong = {"IOB1": 0, "IOB2": 0}
    for sequence in sequences:
        for before, tag in pairwise([OUTSIDE, *map(_parse, sequence)]):
            if tag is not None and tag != OUTSIDE:
                prefixes.add(tag[0])
                if before is not None and before[1] != tag[1]:
                    wrong["IOB1"] += tag[0] == "B"
                    wrong["IOB2"] += tag[0] == "I"
    if "M" in prefixes:
        return None if "I" in prefixes else "BMES"
    if prefixes & {"E", "S"}:
        return None if "E" in prefixes and "B" not in prefixes else "BIOES"
    if not prefixes:
        return None
    return "IOB1" if wrong["IOB1"] < wrong["IOB2"] else "IOB2"


def find_unknown_tags(tags: Sequence[str], scheme: Scheme) -> list[TagError]:
    """Find tags that the scheme does not have: without prefix, with a prefix of another scheme, or without a type."""
    allowed = ", ".join(f"{prefix}-" for prefix in SCHEMES[scheme])
    return [
        TagError(position, f'"{tag}" is not a valid {scheme} tag (O, or {allowed} plus a type)')
        for position, tag in enumerate(tags)
        if _parse_in_scheme(tag, scheme) is None
    ]


def find_errors(tags: Sequence[str], scheme: Scheme) -> list[TagError]:
    """Find tags in positions that the scheme does not allow; `tags_to_spans` reads them all the same.

    Of a wrong pair of tags the second is reported; an entity left open at the end is an error of the last tag. Next to
    a tag of `find_unknown_tags` nothing is reported.
    """
    parsed = [OUTSIDE, *(_parse_in_scheme(tag, scheme) for tag in tags), OUTSIDE]
    errors = []
    for position, (before, tag) in enumerate(pairwise(parsed)):
        problem = _check_pair(before, tag, scheme) if before and tag else ""
        if problem:
            here = tags[position] if position < len(tags) else "the end of the sentence"
            there = f"after {tags[position - 1]}" if position else "at the start of the sentence"
            errors.append(TagError(min(position, len(tags) - 1), f"{here} {there} {problem}"))
    return errors


def has_prefix(tag: str) -> bool:
    """Return whether a tag has a prefix of any scheme; O has none."""
    return tag != "O" and _parse(tag) is not None


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Convert tags of any scheme to IOB2, with the entities of `tags_to_spans`, so errors are repaired.

    Raises:
        ValueError: For a tag without a known prefix.
    """
    return spans_to_tags(tags_to_spans(tags), len(tags))


def tags_to_spans(tags: Sequence[str], *, strict: bool = False) -> list[Span]:
    """Read the entities from tags of any scheme, in order.

    Args:
        tags: One tag per word.
        strict: For IOB2: let an entity begin only with B-, as in seqeval's mode="strict" with scheme=IOB2; words that
            continue nothing belong to no entity. By default, as in conlleval, an I- (M-, E-) that continues nothing
            begins an entity.

    Raises:
        ValueError: For a tag without a known prefix.
    """
    spans: list[Span] = []
    dropped = False  # inside an entity without its B-
    before = OUTSIDE
    for position, tag in enumerate(map(_parse_or_raise, tags)):
        if not _continues(before, tag):
            dropped = strict and tag[0] != "B"
            if not dropped and tag != OUTSIDE:
                spans.append(Span(position, position + 1, tag[1]))
        elif not dropped:
            spans[-1] = spans[-1]._replace(end=position + 1)
        before = tag
    return spans


def spans_to_tags(spans: Iterable[Span], length: int) -> list[str]:
    """Return the IOB2 tags of a sentence of `length` words.

    Raises:
        ValueError: For spans that are empty, overlap, or extend beyond the sentence.
    """
    tags = ["O"] * length
    for span in spans:
        start, end, label = span
        if not (0 <= start < end <= length and label) or any(tag != "O" for tag in tags[start:end]):
            raise ValueError(f"{span} is empty, overlaps another or extends beyond the {length} words")
        tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    return tags


def collect_types(sequences: Iterable[Sequence[str]]) -> list[str]:
    """Return the types of all tags, sorted.

    Raises:
        ValueError: For a tag without a known prefix.
    """
    tags = {tag for sequence in sequences for tag in sequence}
    return sorted({_parse_or_raise(tag)[1] for tag in tags} - {""})


def make_labels(types: Iterable[str]) -> list[str]:
    """Return the labels of a tagger by label id: ["O", "B-LOC", "I-LOC", "B-ORG", ...].

    Type t has the ids 2 t + 1 (B-) and 2 t + 2 (I-); `metrics.tasks.entities` reads these ids without the strings.
    """
    return ["O", *(f"{prefix}-{label}" for label in types for prefix in "BI")]


def tags_to_ids(sequences: Iterable[Sequence[str]], types: Iterable[str]) -> list[list[int]]:
    """Convert IOB2 tags to indices of `make_labels(types)`.

    Raises:
        KeyError: For a tag that is not among them.
    """
    ids = {label: number for number, label in enumerate(make_labels(types))}
    return [[ids[tag] for tag in sequence] for sequence in sequences]


@lru_cache(maxsize=4096)
def _parse(tag: str) -> Tag | None:
    """Return prefix (of BIOES) and type; None for a tag without a known prefix."""
    if tag == "O":
        return OUTSIDE
    prefix, hyphen, label = tag.partition("-")
    prefix = SAME.get(prefix, prefix)
    return (prefix, label) if prefix in tuple("BIMES") and hyphen and label else None


def _parse_or_raise(tag: str) -> Tag:
    parsed = _parse(tag)
    if parsed is None:
        raise ValueError(f'"{tag}" is not a tag: it has no known prefix')
    return parsed


def _parse_in_scheme(tag: str, scheme: Scheme) -> Tag | None:
    """Parse a tag; None if the scheme does not have it."""
    parsed = _parse(tag)
    return parsed if parsed is not None and (parsed == OUTSIDE or parsed[0] in SCHEMES[scheme]) else None


def _continues(before: Tag, tag: Tag) -> bool:
    """Whether both words are in one entity."""
    return tag[0] in "IME" and before[0] in "BIM" and before[1] == tag[1]


def _check_pair(before: Tag, tag: Tag, scheme: Scheme) -> str:
    """Say what is wrong with `tag` after `before`; "" if nothing is."""
    if scheme == "IOB1":
        wrong = tag[0] == "B" and before[1] != tag[1]
        return "separates nothing: IOB1 begins this entity with I-" if wrong else ""
    if tag[0] in "IME" and not _continues(before, tag):
        return "continues no entity"
    unfinished = scheme != "IOB2" and before[0] in "BIM" and not _continues(before, tag)
    return "leaves an entity without its last word" if unfinished else ""
