# ruff: noqa: E501  (messages are written on one line, as the user sees them)
"""Tests of the check of tagged sentences."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from llmkit.base.progress import SILENT
from llmkit.data import corpus as corpus_module
from llmkit.data.checks.tagged_sentences import check_tagged_sentences
from llmkit.data.reading.entity_rows import find_entity_form
from llmkit.recipe.schema import Data

SHARED = pytest.mark.shared
SPLITS = ("train", "validation", "test")
WHOLE = {"validation_share": 0.0, "test_share": 0.0}  # no split is created


def read_columns(named, **keys):
    """Read a corpus with columns named as in the recipe."""
    data = Data(columns=named, **keys)
    names = {"tokens": "tokens", "tags": "tags"} | named
    return corpus_module.read(data, columns=names, progress=SILENT, resolve_index=None, resolve_hub=None)


@pytest.fixture
def sentences(in_folder, read):
    """Return a function that reads (tokens, tags) rows by split; strings are split at blanks."""

    def call(**splits):
        for split, rows in splits.items():
            lists = [[x.split() if isinstance(x, str) else x for x in row] for row in rows]
            lines = [json.dumps({"tokens": tokens, "tags": tags}) + "\n" for tokens, tags in lists]
            Path(f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        columns = {"tokens": "tokens", "tags": "tags"}
        return read(columns=columns, **{split: f"{split}.jsonl" for split in splits})

    return call


@pytest.fixture
def conll(in_folder):
    def call(columns=None, **splits):
        for split, text in splits.items():
            Path(f"{split}.conll").write_text(text, encoding="utf-8")
        return read_columns(columns or {}, **{split: f"{split}.conll" for split in splits})

    return call


@pytest.fixture
def texts(in_folder, read):
    def call(**splits):
        for split, rows in splits.items():
            lines = [json.dumps({"text": t, "entities": [dict(zip(("start", "end", "label"), e)) for e in es]
                     if isinstance(es, list) else es}) + "\n" for t, es in rows]  # fmt: skip
            Path(f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        columns = {"text": "text", "entities": "entities"}
        return read(columns=columns, **{split: f"{split}.jsonl" for split in splits})

    return call


def lines(result):
    assert result.labels == ()
    assert result.references == {}
    return [str(error) for error in result.errors]


GOOD = [("EU rejects Peter Blackburn", "B-ORG O B-PER I-PER"), ("Rio .", "B-LOC O")]


# valid rows


def test_valid_sentences_get_labels_and_references(sentences):
    corpus = sentences(train=GOOD, test=[("In Rio de Janeiro", "O B-LOC I-LOC I-LOC")])
    result = check_tagged_sentences(corpus, Data(**WHOLE), seed=1)
    assert result.errors == ()
    assert result.labels == ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")
    assert [ids.tolist() for ids in result.references["train"]] == [[3, 0, 5, 6], [1, 0]]
    assert result.references["test"][0].dtype == np.int64
    assert result.references["test"].dtype == object
    assert result.notes == ["tags: IOB2, 4 entities"]
    assert result.corpus.fingerprint == corpus.fingerprint


def test_rows_get_a_text_and_token_offsets(sentences):
    train = check_tagged_sentences(
        sentences(train=[*GOOD, (list("他在北京"), ["O", "O", "B-LOC", "I-LOC"])]), Data()
    ).corpus.splits["train"]
    assert train.column("text") == ["EU rejects Peter Blackburn", "Rio .", "他在北京"]
    assert train.column("offsets")[0] == [[0, 2], [3, 10], [11, 16], [17, 26]]
    assert train.column("offsets")[2] == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert train.column("tags")[1] == ["B-LOC", "O"]


@pytest.mark.parametrize(
    ("tags", "note", "iob2"),
    [
        ("I-PER I-PER O I-LOC B-LOC", "IOB1 converted to IOB2, 3 entities", "B-PER I-PER O B-LOC B-LOC"),
        ("B-PER E-PER O S-LOC S-LOC", "BIOES converted to IOB2, 3 entities", "B-PER I-PER O B-LOC B-LOC"),
        ("B-PER L-PER O U-LOC U-LOC", "BIOES converted to IOB2, 3 entities", "B-PER I-PER O B-LOC B-LOC"),
        ("B-PER M-PER E-PER O S-LOC", "BMES converted to IOB2, 2 entities", "B-PER I-PER I-PER O B-LOC"),
        ("B-PER I-PER O O O", "IOB2, 1 entity", "B-PER I-PER O O O"),
    ],
)
def test_every_scheme_is_detected_and_converted_to_iob2(sentences, tags, note, iob2):
    corpus = sentences(train=[("a b c d e", tags)])
    result = check_tagged_sentences(corpus, Data())
    assert result.notes == [f"tags: {note}"]
    assert result.corpus.splits["train"].column("tags") == [iob2.split()]
    assert (result.corpus.fingerprint == corpus.fingerprint) is note.startswith("IOB2")


def test_the_scheme_is_detected_from_the_training_rows(sentences):
    corpus = sentences(train=[("a b c", "I-PER I-PER B-PER")], test=[("a b", "B-PER I-PER")])
    assert lines(check_tagged_sentences(corpus, Data())) == [
        'error[N02] test.jsonl:1: B-PER at the start of the sentence separates nothing: IOB1 begins this entity with I- (token 1, "a").'
        " Fix: correct it, or set task.repair_tags=true"
    ]
    assert check_tagged_sentences(corpus, Data(), scheme="IOB2").errors[0].place == "train.jsonl:1"


def test_labels_of_a_model_keep_their_order(sentences):
    labels = ("B-PER", "I-PER", "O", "I-LOC", "B-LOC")
    result = check_tagged_sentences(
        sentences(test=[("a b Rio", "B-PER I-PER B-LOC")]), Data(), model_labels=labels
    )
    assert (result.labels, result.references["test"][0].tolist()) == (labels, [0, 1, 4])


def test_a_test_split_without_entities_is_valid(sentences):
    result = check_tagged_sentences(
        sentences(test=[("a b", "O O")]), Data(), model_labels=("O", "B-PER", "I-PER")
    )
    assert (result.errors, result.references["test"][0].tolist()) == ((), [0, 0])


def test_data_labels_name_numeric_tags(sentences):
    data = Data(labels=["O", "B-PER", "I-PER"])
    result = check_tagged_sentences(sentences(train=[("a b c", [1, 2, 0])]), data)
    assert result.corpus.splits["train"].column("tags") == [["B-PER", "I-PER", "O"]]
    fix = "Fix: write tags like B-PER, or name them in the order of their numbers with data.labels"
    assert lines(check_tagged_sentences(sentences(train=[("a b", [1, 3])]), data)) == [
        f"error[N03] train.jsonl:1: a tag is 3, not a string. {fix}"
    ]


# errors


TAGS_FIX = "Fix: write a tag for each token; O is the tag of tokens outside entities"


@pytest.mark.parametrize(
    ("tokens", "tags", "line"),
    [
        (["a", "b"], ["O"], "N01] train.jsonl:3: 2 tokens, but 1 tag. Fix: write one tag for each token"),
        (["a"], [], "N01] train.jsonl:3: 1 token, but 0 tags. Fix: write one tag for each token"),
        (None, ["O"], 'L02] train.jsonl:3: "tokens" is null, not a list. Fix: write ["a", "list", "of", "words"]'),
        (["a", None], ["O", "O"], "L02] train.jsonl:3: token 2 is null, not a string. Fix: write a word there"),
        (["a", ""], ["O", "O"], "L03] train.jsonl:3: token 2 of 2 is empty. Fix: remove it and its tag"),
        ([], [], 'L03] train.jsonl:3: "tokens" is empty. Fix: remove the row, or set data.empty_text=drop'),
        (["a"], None, f'L04] train.jsonl:3: "tags" is null, or contains null. {TAGS_FIX}'),
        (["a"], [None], f'L04] train.jsonl:3: "tags" is null, or contains null. {TAGS_FIX}'),
    ],
)  # fmt: skip
def test_invalid_rows_have_an_error(sentences, tokens, tags, line):
    assert lines(check_tagged_sentences(sentences(train=[*GOOD, (tokens, tags)]), Data(), seed=1)) == [
        f"error[{line}"
    ]


def test_strings_in_place_of_lists_are_errors(in_folder, read):
    Path("a.csv").write_text("tokens,tags\nEU rejects,B-ORG O\n")
    corpus = read(train="a.csv", columns={"tokens": "tokens", "tags": "tags"})
    assert lines(check_tagged_sentences(corpus, Data())) == [
        'error[L02] a.csv:2: "tokens" is "EU rejects", not a list. Fix: write ["a", "list", "of", "words"]'
    ]
    Path("a.jsonl").write_text('{"tokens": ["EU", "rejects"], "tags": "B-ORG O"}\n')
    corpus = read(train="a.jsonl", columns={"tokens": "tokens", "tags": "tags"})
    assert lines(check_tagged_sentences(corpus, Data())) == [
        'error[N03] a.jsonl:1: "tags" is "B-ORG O", not a list. Fix: write a list with a tag for each token'
    ]


def test_errors_are_grouped_by_code_and_limited(sentences):
    errors = lines(check_tagged_sentences(sentences(train=[("a b", "O")] * 30 + [([], [])]), Data()))
    assert len(errors) == 22
    assert errors[20] == (
        "error[N01] train.jsonl:21: 10 more errors of this kind from here on. Fix: write one tag for each token"
    )
    assert errors[21].startswith("error[L03] train.jsonl:31:")


def test_empty_sentences_can_be_dropped(sentences):
    result = check_tagged_sentences(sentences(train=[([], []), *GOOD, ([], None)]), Data(empty_text="drop"))
    assert result.notes[0] == "train: 2 rows dropped (no tokens)"
    assert result.corpus.splits["train"].lines.tolist() == [2, 3]
    all_empty = check_tagged_sentences(sentences(train=GOOD, test=[([], [])]), Data(empty_text="drop"))
    assert lines(all_empty)[0].startswith("error[L03] test.jsonl:1:")


def test_an_invalid_tag_sequence_is_n02_at_the_line_of_the_tag(conll):
    corpus = conll(train="EU B-ORG\n. O\n\nPeter B-PER\nsays O\nSmith I-PER\nRio I-LOC\n")
    fix = "Fix: correct it, or set task.repair_tags=true"
    assert lines(check_tagged_sentences(corpus, Data(), scheme="IOB2")) == [
        f'error[N02] train.conll:6: I-PER after O continues no entity (token 3, "Smith"). {fix}',
        f'error[N02] train.conll:7: I-LOC after I-PER continues no entity (token 4, "Rio"). {fix}',
    ]


def test_repair_reads_invalid_tags_as_conlleval_does(conll):
    corpus = conll(train="EU B-ORG\n. O\n\nPeter B-PER\nsays O\nSmith I-PER\nRio I-LOC\n")
    result = check_tagged_sentences(corpus, Data(), scheme="IOB2", repair=True)
    assert result.corpus.splits["train"].column("tags") == [["B-ORG", "O"], ["B-PER", "O", "B-PER", "B-LOC"]]
    assert result.notes == [
        "tags: IOB2, 4 entities",
        "tags: 2 invalid in their position, in 1 row, read as conlleval does",
    ]
    assert result.corpus.fingerprint != corpus.fingerprint


def test_each_unknown_tag_is_one_error_with_all_its_places(conll):
    text = "EU NNP B-ORG\n. . O\n\nPeter NNP B-PER\nRio B-LOC B-LOC\n"
    fix = "Fix: correct it, or name the column of the tags with data.columns.tags"
    assert lines(check_tagged_sentences(conll(train=text, columns={"tags": "1"}), Data())) == [
        f'error[N03] train.conll:1: "NNP" is not a valid IOB2 tag (O, or B-, I- plus a type), also at train.conll:4. {fix}',
        f'error[N03] train.conll:2: "." is not a valid IOB2 tag (O, or B-, I- plus a type). {fix}',
    ]


def test_tags_of_a_second_scheme_are_errors(sentences):
    errors = lines(
        check_tagged_sentences(
            sentences(train=[("a b c", "B-X I-X O"), ("a b c d", "B-X M-X E-X 0")]), Data()
        )
    )
    assert [error[:55] for error in errors] == [
        'error[N03] train.jsonl:2: "M-X" is not a valid IOB2 tag', 'error[N03] train.jsonl:2: "E-X" is not a valid IOB2 tag',
        'error[N03] train.jsonl:2: "0" is not a valid IOB2 tag (',
    ]  # fmt: skip


def test_a_type_unseen_in_training_is_n03(conll):
    corpus = conll(train="EU B-ORG\nA B-LOC\n", test="x O\nUS B-ORGA\ny B-GPE\n\nUK B-ORGA\n")
    assert lines(check_tagged_sentences(corpus, Data(**WHOLE), seed=1)) == [
        'error[N03] test.conll:2: type "ORGA" is not one of the 2 in training (LOC, ORG), also at test.conll:5.'
        ' Fix: correct it, or set data.unknown_labels=drop; did you mean "ORG"?',
        'error[N03] test.conll:3: type "GPE" is not one of the 2 in training (LOC, ORG).'
        " Fix: correct it, or set data.unknown_labels=drop",
    ]


def test_rows_with_an_unseen_type_can_be_dropped(sentences):
    drop = Data(unknown_labels="drop")
    corpus = sentences(train=GOOD, test=[("x y", "B-GPE O"), *GOOD[:1]])
    result = check_tagged_sentences(corpus, drop)
    assert result.notes[1] == "test: 1 row dropped (a type not among the 3 in training)"
    assert result.corpus.splits["test"].lines.tolist() == [2]
    all_empty = check_tagged_sentences(sentences(train=GOOD, test=[("x y", "B-GPE O")]), drop)
    assert lines(all_empty)[0].startswith('error[N03] test.jsonl:1: type "GPE"')


def test_a_type_unknown_to_the_model_is_n03(sentences):
    errors = lines(
        check_tagged_sentences(
            sentences(test=GOOD), Data(), model_labels=("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
        )
    )
    assert errors == [
        'error[N03] test.jsonl:1: type "ORG" is not one of the 2 of the model (PER, LOC).'
        " Fix: correct it, or set data.unknown_labels=drop"
    ]


def test_training_rows_without_entities_are_l08(sentences):
    assert lines(check_tagged_sentences(sentences(train=[("a b", "O O"), ("c", "O")]), Data())) == [
        "error[L08] train.jsonl:1: no entity in the 2 rows of the training set. Fix: add sentences with entities"
    ]


def test_rows_on_disk_are_checked_like_rows_in_memory(sentences, monkeypatch):
    rows = [(f"{n} Rio", "O B-LOC") for n in range(20)]
    expected = check_tagged_sentences(sentences(train=rows), Data(), seed=1)
    monkeypatch.setattr("llmkit.data.reading.table_builder.IN_MEMORY", 100)
    result = check_tagged_sentences(sentences(train=rows), Data(), seed=1)
    assert result.corpus.splits["test"].rows[:] == expected.corpus.splits["test"].rows[:]


# leaks and splits


def test_a_sentence_in_two_splits_is_l13(sentences):
    corpus = sentences(train=GOOD, test=[("eu  Rejects peter blackburn", "O O O O")])
    errors = lines(check_tagged_sentences(corpus, Data(**WHOLE), seed=1))
    assert errors[0].startswith(
        "error[L13] test.jsonl:1: the same text occurs in train and test (train.jsonl:1"
    )
    assert check_tagged_sentences(corpus, Data(), seed=None).errors == ()
    left = check_tagged_sentences(corpus, Data(duplicates="drop", **WHOLE), seed=1)
    assert len(left.references["train"]) == 1


def test_missing_splits_are_created_with_their_references(sentences):
    rows = [(f"number {n} says Rio{n}", "O O O B-LOC") for n in range(18)] * 2
    result = check_tagged_sentences(sentences(train=rows), Data(), seed=1)
    assert {name: len(references) for name, references in result.references.items()} == {
        "train": 28,
        "validation": 4,
        "test": 4,
    }
    for name, split in result.corpus.splits.items():
        assert len(split) == len(result.references[name])
    texts_of = [set(split.column("text")) for split in result.corpus.splits.values()]
    assert sum(map(len, texts_of)) == 18
    other = check_tagged_sentences(sentences(train=rows), Data(), seed=2)
    assert {*other.corpus.splits["test"].column("text")} != texts_of[2]
    assert list(check_tagged_sentences(sentences(train=rows), Data(), seed=None).references) == ["train"]


def test_near_duplicates_are_reported(sentences):
    long = "The film tells a long story of love and war in a small town that nobody will ever forget"
    tags = " ".join(["B-X"] + ["O"] * 18)
    result = check_tagged_sentences(
        sentences(train=[(long, tags)], test=[(long + " .", tags + " O")]), Data(**WHOLE), seed=1
    )
    assert result.near_duplicates["test"].tolist() == [0]
    assert result.notes[-1].startswith("test: 1 of 1 row nearly repeat a row of train")


# spans


def test_character_spans_become_tags_of_words(texts):
    corpus = texts(
        train=[
            ("Pelé lives in Rio, Brazil.", [(14, 17, "LOC"), (19, 25, "LOC"), (0, 4, "PER")]),
            ("No one.", []),
        ],
        test=[("他在北京。", [(2, 4, "LOC")])],
    )
    result = check_tagged_sentences(corpus, Data(**WHOLE), seed=1)
    assert result.errors == ()
    assert result.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert [ids.tolist() for ids in result.references["train"]] == [[3, 0, 0, 1, 0, 1, 0], [0, 0, 0]]
    assert result.references["test"][0].tolist() == [0, 0, 1, 2, 0]
    rows = result.corpus.splits["train"].rows[1]
    assert rows == {"text": "No one.", "entities": [], "tokens": ["No", "one", "."], "tags": ["O"] * 3,
                    "offsets": [[0, 2], [3, 6], [6, 7]]}  # fmt: skip
    assert result.notes == ["tags: spans converted to IOB2, 4 entities"]


def test_invalid_spans_are_errors(texts):
    corpus = texts(train=[
        ("Pelé in Rio", [(0, 4, "PER"), (8, 11, "LOC")]),
        ("Pelé in Rio", [(0, 4, "PER"), (8, 12, "LOC")]),
        ("Pelé in Rio", [(0, 7, "PER"), (5, 11, "LOC"), (2, 4, "X")]),
        ("Pelé in Rio", [(4, 7, "PER")]),
        ("Pelé in Rio", None),
    ])  # fmt: skip
    assert lines(check_tagged_sentences(corpus, Data())) == [
        "error[N05] train.jsonl:2: entity 8-12 (LOC) is outside the text of 11 characters. Fix: correct start and end",
        "error[N05] train.jsonl:3: entity 0-7 (PER) overlaps entity 5-11 (LOC). Fix: keep one of them",
        'error[N06] train.jsonl:3: entity 2-4 (X) starts inside the word "Pelé". Fix: move it to an edge of the word (0-4)',
        "error[N06] train.jsonl:4: entity 4-7 (PER) starts with white space. Fix: write 5-7",
        'error[L04] train.jsonl:5: "entities" is null, not a list. Fix: write [] if there are none',
    ]


def test_blank_texts_of_spans_are_l03(texts):
    corpus = texts(train=[("Pelé", [(0, 4, "PER")]), (" ", [])])
    assert lines(check_tagged_sentences(corpus, Data()))[0].startswith("error[L03] train.jsonl:2:")
    result = check_tagged_sentences(corpus, Data(empty_text="drop"))
    assert len(result.references["train"]) == 1


# files


def test_the_fingerprint_equals_that_of_the_same_rows_in_jsonl(sentences, conll):
    text = "".join(
        "".join(f"{a}\t{b}\n" for a, b in zip(tokens.split(), tags.split())) + "\n" for tokens, tags in GOOD
    )
    assert conll(train=text).fingerprint == sentences(train=GOOD).fingerprint
    assert conll(train=text, columns={"tags": "1"}).fingerprint == sentences(train=GOOD).fingerprint


def shared_set(folder, suffix, **columns):
    return read_columns(columns, **{split: str(folder / f"{split}{suffix}") for split in SPLITS})


@SHARED
@pytest.mark.parametrize(
    ("name", "suffix", "sizes", "note"),
    [
        ("conll2003", ".conll", [1118, 216, 427], "tags: IOB1 converted to IOB2, 3,176 entities"),
        ("wnut17", ".conll", [1898, 437, 643], "tags: IOB2, 2,020 entities"),
        ("resume_zh", ".jsonl", [495, 82, 185], None),
    ],
)
def test_all_rows_of_the_sample_sets_are_valid(shared, name, suffix, sizes, note):
    corpus = shared_set(shared / "ner" / name, suffix)
    assert [len(corpus.splits[split]) for split in SPLITS] == sizes
    result = check_tagged_sentences(corpus, Data(), repair=name == "resume_zh", seed=1)
    assert result.errors == ()
    assert result.notes[0] == note or name == "resume_zh"
    if name == "resume_zh":  # one sentence starts inside an entity
        assert result.notes[0].startswith("tags: BMES converted to IOB2")
        assert "tags: 1 invalid in their position, in 1 row, read as conlleval does" in result.notes
        assert lines(check_tagged_sentences(corpus, Data()))[0].endswith(
            'train.jsonl:260: M-ORG at the start of the sentence continues no entity (token 1, "深").'
            " Fix: correct it, or set task.repair_tags=true"
        )


@SHARED
def test_tag_counts_of_conll2003_match_the_documentation_and_seqeval(shared):
    from collections import Counter

    from seqeval.metrics.sequence_labeling import get_entities

    corpus = shared_set(shared / "ner" / "conll2003", ".conll", tags="3")
    tags = [tag for row in corpus.splits["train"].column("tags") for tag in row]
    assert Counter(tags) == {
        "O": 14967, "I-PER": 976, "I-ORG": 872, "I-LOC": 722, "I-MISC": 340, "B-LOC": 2,
    }  # fmt: skip
    result = check_tagged_sentences(corpus, Data())
    for split, rows in corpus.splits.items():
        expected = [get_entities(row) for row in rows.column("tags")]
        assert [get_entities(row) for row in result.corpus.splits[split].column("tags")] == expected
        starts = [int((np.asarray(ids) % 2 == 1).sum()) for ids in result.references[split]]
        assert starts == [len(row) for row in expected]


# other forms


@pytest.fixture
def recognized(in_folder, read):
    """Return a function that reads the texts of files by split, in the form that their rows show."""

    def call(spans=None, **texts):
        for name, text in texts.items():
            split, _, suffix = name.partition("_")
            Path(f"{split}.{suffix}").write_text(text, encoding="utf-8")
        files = {name.partition("_")[0]: name.replace("_", ".") for name in texts}
        columns = {"tokens": "tokens", "tags": "tags"}
        return read(columns=columns, recognize=partial(find_entity_form, spans=spans), **files)

    return call


def check(corpus, **options):
    return check_tagged_sentences(corpus, Data(**WHOLE), seed=1, **options)


def jsonl(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_spans_and_tagged_tokens_can_stand_in_different_splits(recognized):
    corpus = recognized(
        train_jsonl=jsonl({"text": "Anna slept in Rio", "label": [[0, 4, "PER"], [14, 17, "LOC"]]}),
        test_conll="Peter S-PER\nslept O\nin O\nNew B-LOC\nYork E-LOC\n",
    )
    assert corpus.notes[0] == 'train: texts with entities as character spans (columns "text" and "label")'
    result = check(corpus)
    assert [ids.tolist() for split in ("train", "test") for ids in result.references[split]] == [
        [3, 0, 0, 1],
        [3, 0, 0, 1, 2],
    ]
    assert result.notes == ["tags: spans and BIOES converted to IOB2, 4 entities"]


def test_offsets_in_utf16_units_are_converted_and_reported_once(recognized):
    corpus = recognized(
        train_jsonl=jsonl(
            {
                "text": "😀王小明在北京",
                "entities": [{"start": 2, "end": 5, "label": "PER", "text": "王小明"}],
            },
            {"text": "她在北京", "entities": [{"start": 2, "end": 4, "label": "LOC", "text": "北京"}]},
        )
    )
    result = check(corpus)
    assert [ids.tolist() for ids in result.references["train"]] == [[0, 3, 4, 4, 0, 0, 0], [0, 0, 1, 2]]
    assert result.notes == [
        "train: train.jsonl: offsets count UTF-16 units (as JavaScript and Java do); converted to characters",
        "tags: spans converted to IOB2, 2 entities",
    ]
    assert result.corpus.splits["train"].rows[0]["entities"][0]["start"] == 1
    assert result.corpus.fingerprint != corpus.fingerprint


def test_a_file_of_which_most_offsets_count_another_unit_is_one_error(recognized):
    def row(text, start, end):
        return {"text": text, "entities": [{"start": start, "end": end, "label": "PER"}]}

    corpus = recognized(
        train_jsonl=jsonl(row("😀 Anna slept", 3, 7), row("😀 Peter slept", 3, 8), row("😀 Peter left", 1, 5))
    )
    assert lines(check(corpus)) == [
        "error[N07] train.jsonl:3: 2 of 3 entities in this file fit if offsets count UTF-16 units (as JavaScript and Java"
        " do), and 0 if they count characters; this row fits neither."
        " Fix: correct this row, or convert all offsets to characters"
    ]


def test_an_entity_whose_own_text_differs_from_its_span_is_n08(recognized):
    corpus = recognized(
        train_jsonl=jsonl(
            {"text": "Anna met Anna", "entities": [{"start": 8, "end": 12, "label": "PER", "text": "Anna"}]},
            {"text": "Anna slept", "entities": [{"start": 0, "end": 4, "label": "PER", "text": "Peter"}]},
            {"text": "Rio", "entities": [{"start": 0, "end": 3, "label": "LOC", "text": "Rio"}]},
        )
    )
    assert lines(check(corpus)) == [
        'error[N08] train.jsonl:1: entity 8-12 (PER) is "Ann" in the text, but "Anna" by its own text. Fix: write 9-13',
        'error[N08] train.jsonl:2: entity 0-4 (PER) is "Anna" in the text, but "Peter" by its own text.'
        " Fix: correct start and end",
    ]


@pytest.mark.parametrize(
    "text, note",
    [
        ("Anna B_PER\nSmith I_PER\nslept O\n", 'another separator than a hyphen, such as "B_PER", read as "B-PER"'),
        ("Anna PER\nSmith PER\nslept O\n",
         'no prefixes ("PER"), so neighbouring words of one type are one entity (IO)'),
    ],
)  # fmt: skip
def test_unusual_tags_are_read_and_reported(conll, text, note):
    result = check(conll(train=text))
    assert result.labels == ("O", "B-PER", "I-PER")
    assert result.references["train"][0].tolist() == [1, 2, 0]
    assert result.notes[0] == f"tags: {note}"


def test_parts_of_speech_are_one_error(conll):
    assert lines(check(conll(train="Anna NOUN\nslept VERB\n\nPeter NOUN\n"))) == [
        'error[N03] train.conll:1: no tag is O or has a prefix such as B- (the 2 distinct tags: "NOUN", "VERB", ...);'
        " this task finds entities, not parts of speech or other classes of words."
        " Fix: name the column of the entity tags with data.columns.tags"
    ]


def test_the_fix_of_an_unknown_tag_names_the_hyphen(conll):
    text = "Anna B-PER\nSmith I_PER\nslept O\nhere\t\n".replace(" ", "\t")
    assert lines(check(conll(train=text))) == [
        'error[N03] train.conll:2: "I_PER" is not a valid IOB2 tag (O, or B-, I- plus a type). Fix: write "I-PER"',
        "error[N03] train.conll:4: the tag is empty. Fix: write a tag; O is the tag of tokens outside entities",
    ]


def test_text_files_in_conll_form_have_the_place_of_the_tag(recognized):
    corpus = recognized(
        train_txt="Anna B-PER\nslept I-LOC\n\nRio B-LOC\nslept O\n", test_tsv="Peter\tB-PER\nslept\tO\n"
    )
    assert lines(check(corpus)) == [
        'error[N02] train.txt:2: I-LOC after B-PER continues no entity (token 2, "slept").'
        " Fix: correct it, or set task.repair_tags=true"
    ]
