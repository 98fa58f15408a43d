import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES, Entities

from llmkit.text.tags import (
    SCHEMES,
    Span,
    TagError,
    collect_types,
    detect_scheme,
    find_errors,
    find_unknown_tags,
    find_variant,
    has_prefix,
    make_labels,
    spans_to_tags,
    tags_to_ids,
    tags_to_spans,
    to_iob2,
)

# Writers of every scheme, one entity at a time; `touches`: an entity of the same type ends right before it


def iob1(label, length, touches):
    return ["B-" + label if touches else "I-" + label, *["I-" + label] * (length - 1)]


def iob2(label, length, touches):
    return ["B-" + label, *["I-" + label] * (length - 1)]


def one_letter_for_each_place(only, first, inside, last):
    def write(label, length, touches):
        letters = only if length == 1 else first + inside * (length - 2) + last
        return [f"{letter}-{label}" for letter in letters]

    return write


WRITERS = {
    "IOB1": iob1,
    "IOB2": iob2,
    "BIOES": one_letter_for_each_place(*"SBIE"),
    "BILOU": one_letter_for_each_place(*"UBIL"),
    "BMES": one_letter_for_each_place(*"SBME"),
}
SCHEME_OF = {writer: "BIOES" if writer == "BILOU" else writer for writer in WRITERS}


def write(entities, length, writer):
    tags, ends = ["O"] * length, {}
    for start, end, label in entities:
        tags[start:end] = WRITERS[writer](label, end - start, ends.get(start) == label)
        ends[end] = label
    return tags


@st.composite
def sentences(draw):
    """(entities, length) without overlaps, often adjacent; some labels contain hyphens."""
    entities, position = [], 0
    for gap, length, label in draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(["PER", "LOC", "creative-work"]))
        )
    ):
        entities.append(Span(position + gap, position + gap + length, label))
        position += gap + length
    return entities, position + draw(st.integers(0, 2))


def tag_sequences(prefixes, types=("PER", "LOC")):
    tags = ["O", *(f"{prefix}-{label}" for prefix in prefixes for label in types)]
    return st.lists(st.sampled_from(tags), max_size=12)


# Reading and writing


@pytest.mark.parametrize("writer", WRITERS)
@given(sentence=sentences())
def test_every_scheme_round_trips(writer, sentence):
    entities, length = sentence
    tags = write(entities, length, writer)
    assert tags_to_spans(tags) == entities
    assert to_iob2(tags) == spans_to_tags(entities, length) == write(entities, length, "IOB2")
    assert find_unknown_tags(tags, SCHEME_OF[writer]) == find_errors(tags, SCHEME_OF[writer]) == []


@given(tag_sequences("BI"))
def test_invalid_iob_is_read_as_in_seqevals_default_mode(tags):
    assert [(label, start, end - 1) for start, end, label in tags_to_spans(tags)] == get_entities(tags)


@given(tag_sequences("BIES"))
def test_invalid_bioes_is_read_as_in_seqevals_default_mode(tags):
    assert [(label, start, end - 1) for start, end, label in tags_to_spans(tags)] == get_entities(tags)


@given(tag_sequences("BI"))
def test_strict_equals_seqevals_strict_mode(tags):
    result = [(entity.start, entity.end, entity.tag) for entity in Entities([tags], IOB2).entities[0]]
    assert tags_to_spans(tags, strict=True) == result


@given(tag_sequences("BIMESLU"))
def test_conversion_keeps_the_entities_and_removes_errors(tags):
    converted = to_iob2(tags)
    assert tags_to_spans(converted) == tags_to_spans(converted, strict=True) == tags_to_spans(tags)
    assert find_unknown_tags(converted, "IOB2") == find_errors(converted, "IOB2") == []
    assert to_iob2(converted) == converted
    assert len(converted) == len(tags)


def test_strict_and_default_by_hand():
    tags = ["I-PER", "I-PER", "B-LOC", "I-LOC", "I-PER", "O", "B-LOC", "B-LOC"]
    begun = [Span(2, 4, "LOC"), Span(6, 7, "LOC"), Span(7, 8, "LOC")]
    assert tags_to_spans(tags, strict=True) == begun
    assert tags_to_spans(tags) == sorted([Span(0, 2, "PER"), Span(4, 5, "PER"), *begun])


@pytest.mark.parametrize("tag", ["PER", "B", "B-", "-PER", "Q-PER", "o", "", "PER-B", "BI-PER"])
def test_tag_without_a_known_prefix_raises_value_error(tag):
    for read in (tags_to_spans, to_iob2, lambda tags: collect_types([tags])):
        with pytest.raises(ValueError, match="no known prefix"):
            read(["O", tag])


@pytest.mark.parametrize(
    "entities",
    [
        [Span(0, 2, "A"), Span(1, 3, "B")],
        [Span(2, 4, "A")],
        [Span(-1, 1, "A")],
        [Span(1, 1, "A")],
        [Span(0, 1, "")],
    ],
)
def test_overlapping_and_invalid_spans_raise_value_error(entities):
    with pytest.raises(ValueError, match="extends beyond the 3 words"):
        spans_to_tags(entities, 3)


# Errors


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        ("IOB2", "O I-PER", [(1, "I-PER after O continues no entity")]),
        ("IOB2", "B-LOC I-PER", [(1, "I-PER after B-LOC continues no entity")]),
        ("IOB2", "I-PER I-PER", [(0, "I-PER at the start of the sentence continues no entity")]),
        ("IOB1", "O I-PER B-PER I-PER I-LOC", []),
        ("IOB1", "I-PER O B-PER", [(2, "B-PER after O separates nothing: IOB1 begins this entity with I-")]),
        (
            "IOB1",
            "I-LOC B-PER",
            [(1, "B-PER after I-LOC separates nothing: IOB1 begins this entity with I-")],
        ),
        ("BIOES", "B-X O", [(1, "O after B-X leaves an entity without its last word")]),
        (
            "BIOES",
            "B-X I-X",
            [(1, "the end of the sentence after I-X leaves an entity without its last word")],
        ),
        ("BIOES", "B-X S-X", [(1, "S-X after B-X leaves an entity without its last word")]),
        ("BIOES", "U-X L-X", [(1, "L-X after U-X continues no entity")]),
        ("BIOES", "B-X E-Y", [(1, "E-Y after B-X continues no entity")]),
        ("BMES", "S-X M-X E-X", [(1, "M-X after S-X continues no entity")]),
        ("BMES", "B-X E-X E-X", [(2, "E-X after E-X continues no entity")]),
        ("IOB2", "B-X PER I-X", []),  # nothing is reported next to an invalid tag
        ("BMES", "B-X I-X E-X", []),
    ],
)
def test_errors_by_hand(scheme, tags, expected):
    assert find_errors(tags.split(), scheme) == expected


def test_empty_sentence_has_no_errors():
    for scheme in SCHEMES:
        assert find_errors([], scheme) == find_unknown_tags([], scheme) == tags_to_spans([]) == []


@given(tag_sequences("BI"))
def test_iob2_has_no_errors_exactly_if_strict_and_default_agree(tags):
    assert (find_errors(tags, "IOB2") == []) == (tags_to_spans(tags) == tags_to_spans(tags, strict=True))


@given(tag_sequences("BIES"))
def test_bioes_has_no_errors_exactly_if_it_round_trips(tags):
    strict = [(entity.start, entity.end, entity.tag) for entity in Entities([tags], IOBES).entities[0]]
    clean = write(tags_to_spans(tags), len(tags), "BIOES") == tags
    assert (find_errors(tags, "BIOES") == []) == clean
    assert not clean or strict == tags_to_spans(tags)


@given(tag_sequences("BI"))
def test_iob1_has_no_errors_exactly_if_it_round_trips(tags):
    assert (find_errors(tags, "IOB1") == []) == (write(tags_to_spans(tags), len(tags), "IOB1") == tags)


@pytest.mark.parametrize(
    ("scheme", "tag"),
    [("IOB2", "PER"), ("IOB2", "S-PER"), ("IOB1", "M-X"), ("BIOES", "M-X"), ("BMES", "I-X"), ("BMES", "B-")],
)
def test_tags_of_another_scheme_or_of_none_are_unknown(scheme, tag):
    ((position, message),) = find_unknown_tags(["O", "B-X", tag], scheme)
    assert position == 2
    assert message.startswith(f'"{tag}" is not a valid {scheme} tag (O, or B-, ')
    assert isinstance(find_unknown_tags([tag], scheme)[0], TagError)


# Detection


@pytest.mark.parametrize(
    ("sequences", "scheme"),
    [
        (["I-PER O B-LOC"], "IOB2"),  # one wrong beginning in either scheme
        (["O I-PER I-PER O", "I-LOC"], "IOB1"),  # no adjacent entities: I- alone
        (["I-PER B-PER", "O"], "IOB1"),
        (["B-PER B-PER", "O B-LOC"], "IOB2"),  # entities of one word: B- alone
        (["B-PER I-PER", "O B-LOC", "O I-LOC"], "IOB2"),  # one error does not make it IOB1
        (["I-PER I-PER", "O I-LOC", "O B-LOC"], "IOB1"),  # nor IOB2
        (["B-PER E-PER S-PER"], "BIOES"),  # BMES as well
        (["S-PER O"], "BIOES"),
        (["B-PER I-PER L-PER", "U-LOC"], "BIOES"),
        (["B-PER M-PER E-PER"], "BMES"),
        (["B-PER I-PER", "PER"], "IOB2"),  # `find_unknown_tags` reports the second
        (["O O"], None),
        ([""], None),
        (["PER PER O"], None),
        (["B I O"], None),
        (["I-PER E-PER"], None),  # IOE1 or IOE2
        (["B-PER M-PER E-PER", "B-PER I-PER E-PER"], None),
    ],
)
def test_detection_by_hand(sequences, scheme):
    assert detect_scheme(sequence.split() for sequence in sequences) == scheme


@pytest.mark.parametrize("writer", WRITERS)
@given(corpus=st.lists(sentences(), max_size=4))
def test_scheme_is_detected_with_a_long_and_an_adjacent_entity(writer, corpus):
    telling = ([Span(0, 3, "PER"), Span(3, 4, "PER"), Span(5, 6, "LOC")], 6)
    assert detect_scheme(write(*sentence, writer) for sentence in [telling, *corpus]) == SCHEME_OF[writer]


def conll(path):
    """Tags of each sentence, from the last column."""
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    return [
        [line.split()[-1] for line in block.splitlines() if line.strip()] for block in blocks if block.strip()
    ]


def jsonl(path):
    return [json.loads(line)["tags"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.shared
@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize(
    ("name", "scheme", "num_types"),
    [("conll2003", "IOB1", 4), ("wnut17", "IOB2", 6), ("resume_zh", "BMES", 8)],
)
def test_scheme_of_real_corpora_is_detected_and_entities_are_kept(shared, part, name, scheme, num_types):
    folder = shared / "ner" / name
    corpus = jsonl(folder / f"{part}.jsonl") if name == "resume_zh" else conll(folder / f"{part}.conll")
    assert detect_scheme(corpus) == scheme
    result = {row: find_errors(tags, scheme) for row, tags in enumerate(corpus) if find_errors(tags, scheme)}
    assert not any(find_unknown_tags(tags, scheme) for tags in corpus)
    published = [(0, "M-ORG at the start of the sentence continues no entity")]
    assert list(result.values()) == ([published] if (name, part) == ("resume_zh", "train") else [])

    converted = [to_iob2(tags) for tags in corpus]
    as_bioes = [[tag.replace("M-", "I-") for tag in tags] for tags in corpus]  # seqeval doesn't know BMES
    assert [tags_to_spans(tags) for tags in converted] == [
        [(start, end + 1, label) for label, start, end in get_entities(tags)] for tags in as_bioes
    ]
    back = [write(tags_to_spans(tags), len(tags), scheme) for tags in converted]
    assert [row for row, tags in enumerate(corpus) if back[row] != tags] == list(result)
    assert detect_scheme(converted) == "IOB2" and not any(find_errors(tags, "IOB2") for tags in converted)
    if scheme != "IOB1":  # entities counted without a reader
        beginnings = sum(tag[0] in "BS" for tags in corpus for tag in tags) + len(result)
        assert sum(tag[0] == "B" for tags in converted for tag in tags) == beginnings
    assert part != "train" or len(collect_types(corpus)) == num_types


@pytest.mark.shared
def test_conll2003_contains_adjacent_entities(shared):
    corpus = conll(shared / "ner" / "conll2003" / "train.conll")
    assert sum(tag[0] == "B" for tags in corpus for tag in tags) > 0  # IOB1 writes B- only there


# Label ids


def test_labels_are_outside_and_two_per_type():
    assert make_labels(["LOC", "PER"]) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert collect_types([["O", "B-PER"], ["I-LOC", "B-creative-work"]]) == ["LOC", "PER", "creative-work"]
    assert tags_to_ids([["B-PER", "I-PER", "O"], []], ["LOC", "PER"]) == [[3, 4, 0], []]
    with pytest.raises(KeyError):
        tags_to_ids([["B-ORG"]], ["LOC", "PER"])


@given(st.lists(tag_sequences("BI"), max_size=4))
def test_label_ids_index_the_labels(corpus):
    names = make_labels(collect_types(corpus))
    assert [[names[number] for number in row] for row in tags_to_ids(corpus, collect_types(corpus))] == corpus


@pytest.mark.parametrize(
    "tags, standard, description",
    [
        ("B_PER I_PER O", "B-PER I-PER O", 'another separator than a hyphen, such as "B_PER", read as "B-PER"'),
        ("B:PER I:PER O", "B-PER I-PER O", 'another separator than a hyphen, such as "B:PER", read as "B-PER"'),
        ("b-per i-per o", "B-per I-per O", 'prefixes in small letters, such as "b-per", read as "B-per"'),
        ("PER-B PER-I O", "B-PER I-PER O", 'prefixes behind the type, such as "PER-B", read as "B-PER"'),
        ("PER LOC O", "I-PER I-LOC O",
         'no prefixes ("LOC"), so neighbouring words of one type are one entity (IO)'),
    ],
)  # fmt: skip
def test_unusual_tags_are_rewritten(tags, standard, description):
    variant = find_variant(set(tags.split()))
    assert [variant.tags[tag] for tag in tags.split()] == standard.split()
    assert variant.description == description


@pytest.mark.parametrize(
    "tags", ["B-PER I-PER O", "B-PER B_PER O", "NOUN VERB", "O", "O ,", "O 1 2", "B_PER LOC.x_ 3 O", ""]
)
def test_usual_tags_mixtures_and_other_columns_are_no_variant(tags):
    assert find_variant(set(tags.split())) is None


def test_a_column_with_many_values_is_no_variant():
    assert find_variant({"O", *(f"W{number}" for number in range(100))}) is None


def test_prefixes_are_found():
    assert [has_prefix(tag) for tag in ("B-PER", "U-PER", "O", "NOUN", "X-PER", "B-")] == [
        True,
        True,
        *[False] * 4,
    ]
