"""Tag schemes of named entity recognition: which one a corpus uses, its faults, tags to entities and back.

    detect([["I-ORG", "O", "I-PER", "B-PER"]])   ->   "IOB1"
    to_iob2(["S-PER", "O", "B-LOC", "E-LOC"])    ->   ["B-PER", "O", "B-LOC", "I-LOC"]
    spans(["B-LOC", "I-LOC", "O"])               ->   [Span(start=0, end=2, label="LOC")]

A tag is "O" (outside) or a prefix, a hyphen and a type:

    IOB1    I- everywhere, B- only where an entity follows another of its type at once
    IOB2    B- on the first word, I- on the others; also called BIO
    BIOES   B- first, I- inside, E- last, S- the only word; BILOU is the same with L- for E- and U- for S-
    BMES    BIOES with M- for I-, as Chinese corpora write it

A prefix means the same in all of them but for IOB1's I-, which may begin an entity. The reader always lets it, so
one reader serves all schemes, and sequences with faults too: it is the CoNLL shared tasks' (the script conlleval
by Tjong Kim Sang and Buchholz, in the form of seqeval's default mode, which adds S- and E- after the last word).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

__all__ = [
    "SCHEMES",
    "Scheme",
    "Span",
    "TagError",
    "collect_types",
    "detect_scheme",
    "find_errors",
    "find_unknown_tags",
    "make_labels",
    "spans_to_tags",
    "tags_to_ids",
    "tags_to_spans",
    "to_iob2",
]

Scheme = Literal["IOB1", "IOB2", "BIOES", "BMES"]

SCHEMES: dict[Scheme, str] = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES", "BMES": "BMES"}  # their prefixes
SAME = {"L": "E", "U": "S"}  # BILOU's letters in BIOES's
OUTSIDE = ("O", "")


class Span(NamedTuple):
    """An entity: its first word, the word after its last, its type."""

    start: int
    end: int
    label: str


class TagError(NamedTuple):
    """Something wrong with the tag of the word at `position` (from 0)."""

    position: int
    message: str


def detect_scheme(sequences: Iterable[Sequence[str]]) -> Scheme | None:
    """The scheme of a corpus, from the tags of all its sentences; None where it can't be told.

    M- makes it BMES; E-, S-, L- or U- make it BIOES. B- and I- alone are the scheme in which fewer entities
    begin wrongly: IOB1 where entities begin with I- and B- stands only right after an entity of its type.
    The ambiguous cases do not matter, because both schemes read them alike: B-, E- and S- without an inside is
    called BIOES, as many wrong beginnings in IOB1 as in IOB2 is called IOB2.

    None: only O; tags without a known prefix ("PER"), if there is nothing else; both I- and M-; E- without any
    B- (IOE1, IOE2). Unknown tags beside known ones are passed over: `unknown` names them.
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
    """Tags that the scheme does not have: no prefix, a prefix of another scheme, no type."""
    allowed = ", ".join(f"{prefix}-" for prefix in SCHEMES[scheme])
    return [
        TagError(position, f'"{tag}" is no {scheme} tag, which are O or one of {allowed} and a type')
        for position, tag in enumerate(tags)
        if not _known(tag, scheme)
    ]


def find_errors(tags: Sequence[str], scheme: Scheme) -> list[TagError]:
    """Tags that can't stand where they do; reading goes on as `spans` says, so each can be repaired.

    At a transition the fault is the second tag's; an entity left open at the end is the last tag's. Next to
    an `unknown` tag nothing is judged.
    """
    known = [OUTSIDE, *(_parse(tag) if _known(tag, scheme) else None for tag in tags), OUTSIDE]
    found = []
    for position, (before, tag) in enumerate(pairwise(known)):
        wrong = _wrong(before, tag, scheme) if before and tag else ""
        if wrong:
            here = tags[position] if position < len(tags) else "the end of the sentence"
            there = f"after {tags[position - 1]}" if position else "at the start of the sentence"
            found.append(TagError(min(position, len(tags) - 1), f"{here} {there} {wrong}"))
    return found


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Tags of any scheme in IOB2, with the same entities as `spans` reads them: a faulty sequence is repaired.

    Raises ValueError for a tag without a known prefix.
    """
    return spans_to_tags(tags_to_spans(tags), len(tags))


def tags_to_spans(tags: Sequence[str], *, strict: bool = False) -> list[Span]:
    """The entities, in their order, of tags in any scheme.

    By default as conlleval reads them: an I- (M-, E-) that continues nothing begins an entity. strict, for IOB2:
    an entity begins only with B-, as in seqeval's mode="strict" with scheme=IOB2, and words that continue nothing
    belong to none. Raises ValueError for a tag without a known prefix.
    """
    found: list[Span] = []
    dropped = False  # inside an entity without its B-
    before = OUTSIDE
    for position, tag in enumerate(map(_parsed, tags)):
        if not _continues(before, tag):
            dropped = strict and tag[0] != "B"
            if not dropped and tag != OUTSIDE:
                found.append(Span(position, position + 1, tag[1]))
        elif not dropped:
            found[-1] = found[-1]._replace(end=position + 1)
        before = tag
    return found


def spans_to_tags(spans: Iterable[Span], length: int) -> list[str]:
    """IOB2 tags of a sentence of `length` words. Raises ValueError for spans that overlap or leave it."""
    tags = ["O"] * length
    for span in spans:
        start, end, label = span
        if not (0 <= start < end <= length and label) or any(tag != "O" for tag in tags[start:end]):
            raise ValueError(f"{span} overlaps another, is empty or leaves the {length} words")
        tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    return tags


def collect_types(sequences: Iterable[Sequence[str]]) -> list[str]:
    """The types of the tags of a corpus, sorted. Raises ValueError for a tag without a known prefix."""
    tags = {tag for sequence in sequences for tag in sequence}
    return sorted({_parsed(tag)[1] for tag in tags} - {""})


def make_labels(types: Iterable[str]) -> list[str]:
    """What a tagger chooses from, by label id: ["O", "B-LOC", "I-LOC", "B-ORG", ...].

    Type t has the ids 2 t + 1 (B-) and 2 t + 2 (I-); `metrics.entities` reads such ids without the strings.
    """
    return ["O", *(f"{prefix}-{label}" for label in types for prefix in "BI")]


def tags_to_ids(sequences: Iterable[Sequence[str]], types: Iterable[str]) -> list[list[int]]:
    """IOB2 tags as ids into `labels(types)`. Raises KeyError for a tag that is not among them."""
    ids = {label: number for number, label in enumerate(make_labels(types))}
    return [[ids[tag] for tag in sequence] for sequence in sequences]


Tag = tuple[str, str]  # prefix and type; ("O", "") outside


@lru_cache(maxsize=4096)
def _parse(tag: str) -> Tag | None:
    """None for a tag without a known prefix; BILOU's letters become BIOES's."""
    if tag == "O":
        return OUTSIDE
    prefix, hyphen, label = tag.partition("-")
    prefix = SAME.get(prefix, prefix)
    return (prefix, label) if prefix in tuple("BIMES") and hyphen and label else None


def _parsed(tag: str) -> Tag:
    parsed = _parse(tag)
    if parsed is None:
        raise ValueError(f'"{tag}" is no tag: it has no known prefix')
    return parsed


def _known(tag: str, scheme: Scheme) -> bool:
    parsed = _parse(tag)
    return parsed is not None and (parsed == OUTSIDE or parsed[0] in SCHEMES[scheme])


def _continues(before: Tag, tag: Tag) -> bool:
    """Both words are in one entity."""
    return tag[0] in "IME" and before[0] in "BIM" and before[1] == tag[1]


def _wrong(before: Tag, tag: Tag, scheme: Scheme) -> str:
    """What is wrong with `tag` after `before`, or nothing."""
    if scheme == "IOB1":
        wrong = tag[0] == "B" and before[1] != tag[1]
        return "separates nothing: IOB1 begins this entity with I-" if wrong else ""
    if tag[0] in "IME" and not _continues(before, tag):
        return "continues no entity"
    unfinished = scheme != "IOB2" and before[0] in "BIM" and not _continues(before, tag)
    return "leaves an entity without its last word" if unfinished else ""
