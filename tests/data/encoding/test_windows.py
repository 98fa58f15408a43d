"""Tests of windows: each word is decided once, each answer is found or listed, nothing is truncated."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmkit.base.errors import DataError, RecipeError
from llmkit.base.progress import SILENT
from llmkit.data.encoding.cache import digest_tokenizer, load_or_encode
from llmkit.data.encoding.collate import IGNORED
from llmkit.data.encoding.encode import encode
from llmkit.data.encoding.features import Collect, Encoded, Features
from llmkit.data.encoding.windows import NO_WORD, encode_contexts, encode_words

ENGLISH = (
    "the film was good and the plot was a warm story of the actor who played a cold scene in the dark music"
)
CHINESE = "北京大学成立于一八九八年是中国第一所国立综合性大学"
ODD = [
    "é",
    "e\u0301a\u0301",
    "🙂",
    "👩‍👩‍👧",
    "\u200b",
    "\u00ad",
    " film",
    "3.50",
    "U.S.",
    "\u3000",
    "ﬁ",
    "x" * 40,
]


def fast(tokenizer: Any, special: Sequence[str]) -> Any:
    from transformers import PreTrainedTokenizerFast

    names = dict(zip(("cls_token", "sep_token", "pad_token", "unk_token"), special, strict=False))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names)


@cache
def bert() -> Any:
    """Return a WordPiece tokenizer with few words, so that most words are several tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = [*"abcdefghijklmnopqrstuvwxyz0123456789.é", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    names = ["[CLS]", "[SEP]", "[PAD]", "[UNK]", *pieces, "the", "fi", "##lm", "was", "good", *CHINESE]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(names))}
    found = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer(strip_accents=False)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", 0), ("[SEP]", 1)]
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    return fast(found, names[:4])


@cache
def byte_level(*, prefix: bool, trim: bool = True) -> Any:
    """Train a byte-level BPE tokenizer like GPT-2's; with `prefix`, it adds a blank before words given one by one."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    special = ["<s>", "</s>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found.train_from_iterator([ENGLISH] * 3, trainer)
    found.post_processor = processors.RobertaProcessing(
        ("</s>", 1), ("<s>", 0), trim_offsets=trim, add_prefix_space=prefix
    )
    return fast(found, special)


@cache
def characters() -> Any:
    """Return a tokenizer of characters without special tokens: the question's first token stands for no answer."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    vocabulary = {character: number for number, character in enumerate(["?", *dict.fromkeys(CHINESE)])}
    found = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    found.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer = fast(found, [])
    tokenizer.unk_token = tokenizer.pad_token = "?"
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Any]] = {
    "bert": bert,
    "gpt2": lambda: byte_level(prefix=False, trim=False),
    "roberta": lambda: byte_level(prefix=False),
    "roberta with prefix": lambda: byte_level(prefix=True),
    "characters": characters,
}
each_tokenizer = pytest.mark.parametrize("name", TOKENIZERS)

any_word = st.sampled_from([*ENGLISH.split(), *CHINESE, "北京", *ODD])
any_sentences = st.lists(st.lists(any_word, min_size=1, max_size=30), min_size=1, max_size=4)


def encode_in_one_window(tokenizer: Any, words: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each word when the sentence is one window."""
    features = encode_words(tokenizer, [words], None, max_length=5000, stride=0)
    found: list[list[int]] = [[] for _ in words]
    if features.columns["input_ids"]:
        ids, marks = features.columns["input_ids"][0], features.decode_columns["words"][0]
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        at = -1
        for token, word in zip(ids, marks, strict=True):
            at = word if word != NO_WORD else at
            if token not in special:
                found[at].append(token)
    return found


def find_deciding_tokens(features: Features) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Map (sentence, word) to the (window, token) pairs that decide about it."""
    assert features.rows is not None
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for window, (row, words) in enumerate(zip(features.rows, features.decode_columns["words"], strict=True)):
        for token, word in enumerate(words):
            if word != NO_WORD:
                found.setdefault((row, word), []).append((window, token))
    return found


@each_tokenizer
@settings(max_examples=60)
@given(any_sentences, st.integers(3, 24), st.integers(0, 20))
@example([["x" * 40, "the"]], 6, 2)  # a word longer than a window
@example([["\u200b"], ["the", "\u200bfilm"]], 8, 0)
def test_every_word_with_a_token_is_decided_once(
    name: str, sentences: list[list[str]], max_length: int, stride: int
) -> None:
    tokenizer = TOKENIZERS[name]()
    labels = [[7 * row + word for word in range(len(words))] for row, words in enumerate(sentences)]
    features = encode_words(tokenizer, sentences, labels, max_length=max_length, stride=stride)
    found = find_deciding_tokens(features)
    assert all(len(places) == 1 for places in found.values())

    tokens = [encode_in_one_window(tokenizer, words) for words in sentences]
    expected = {(row, word) for row, of_row in enumerate(tokens) for word, ids in enumerate(of_row) if ids}
    assert found.keys() == expected
    without = sum(map(len, sentences)) - len(expected)
    assert features.notes.get("words without a token, predicted as O", 0) == without

    for (row, word), [(window, token)] in found.items():
        assert features.columns["input_ids"][window][token] == tokens[row][word][0]  # the first sub-token
        assert features.columns["labels"][window][token] == labels[row][word]
    for window, marks in enumerate(features.decode_columns["words"]):
        window_labels = features.columns["labels"][window]
        assert [label == IGNORED for label in window_labels] == [word == NO_WORD for word in marks]
        assert len(marks) == len(features.columns["input_ids"][window]) <= max_length
        assert any(word != NO_WORD for word in marks)
    assert list(features.rows or []) == sorted(features.rows or [])


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(4, 20), st.integers(0, 20))
def test_a_word_is_decided_where_it_is_farthest_from_an_edge(
    length: int, max_length: int, stride: int
) -> None:
    """Compare with all windows of one-token words, built here; of equal positions the first counts."""
    features = encode_words(bert(), [["the"] * length], None, max_length=max_length, stride=stride)
    room = max_length - 2
    step = room - min(stride, max_length // 2, room - 1)
    starts = [0]
    while starts[-1] + room < length:
        starts.append(starts[-1] + step)
    places = {}
    for start in starts:
        end = min(start + room, length)
        for word in range(start, end):
            margin = min(word - start, end - 1 - word)
            if word not in places or margin > places[word][0]:
                places[word] = margin, start, word - start + 1
    used = sorted({start for _, start, _ in places.values()})
    expected = {(0, word): [(used.index(start), token)] for word, (_, start, token) in places.items()}
    assert find_deciding_tokens(features) == expected


def test_windows_share_the_tokens_of_the_stride() -> None:
    words = [[f"{number % 10}" for number in range(20)]]

    def texts(stride: int) -> list[str]:
        features = encode_words(bert(), words, None, max_length=10, stride=stride)
        return [bert().decode(ids, skip_special_tokens=True) for ids in features.columns["input_ids"]]

    assert texts(0) == ["0 1 2 3 4 5 6 7", "8 9 0 1 2 3 4 5", "6 7 8 9"]
    assert texts(4)[:2] == ["0 1 2 3 4 5 6 7", "4 5 6 7 8 9 0 1"]


def test_sentences_in_several_windows_are_counted() -> None:
    words = [["the"] * 30, ["the"] * 3, ["the"] * 9]
    features = encode_words(bert(), words, None, max_length=10, stride=2)
    assert features.notes == {"sentences in several windows": 2}


@each_tokenizer
def test_predictions_in_windows_equal_those_in_one_window(name: str) -> None:
    """The model of this test predicts from the token alone."""
    tokenizer = TOKENIZERS[name]()
    words = (ENGLISH.split() + list(CHINESE)) * 3
    whole = encode_words(tokenizer, [words], None, max_length=5000, stride=0)
    pieces = encode_words(tokenizer, [words], None, max_length=16, stride=5)
    assert len(whole.columns["input_ids"]) == 1 < len(pieces.columns["input_ids"])

    def answers(features: Features) -> list[int]:
        found = find_deciding_tokens(features)
        places = (found[0, word][0] for word in range(len(words)))
        return [features.columns["input_ids"][window][token] % 5 for window, token in places]

    assert answers(pieces) == answers(whole)


def test_words_have_the_tokens_of_running_text() -> None:
    """RoBERTa marks the start of a word by the blank before it, which is not written before a Chinese character."""
    tokenizer = byte_level(prefix=False)
    for words, text in (
        (["the", "film", "was"], "the film was"),
        (["the", "film", "北", "京"], "the film北京"),
    ):
        features = encode_words(tokenizer, [words], None, max_length=100, stride=0)
        assert features.columns["input_ids"][0] == tokenizer(text)["input_ids"]
    prefixed = byte_level(prefix=True)
    features = encode_words(prefixed, [["the", "film"]], None, max_length=100, stride=0)
    assert features.columns["input_ids"][0] == prefixed("the film")["input_ids"]


def test_a_word_whose_first_character_has_no_token_is_decided() -> None:
    features = encode_words(bert(), [["\ufefffilm", "the"]], [[3, 4]], max_length=10, stride=0)
    assert features.columns["labels"] == [[IGNORED, 3, IGNORED, 4, IGNORED]]
    assert not features.notes


def test_sentences_without_tokens_have_no_window() -> None:
    features = encode_words(bert(), [["\u200b"], ["\u200b", "\u200b"]], None, max_length=10, stride=0)
    assert features.columns["input_ids"] == []
    assert features.notes == {"words without a token, predicted as O": 3}
    assert len(Encoded.from_batches([(0, features)])) == 0


@each_tokenizer
def test_the_tokenizer_is_not_changed(name: str) -> None:
    """A leftover truncation would be saved with the model and would change the digest, the key of the cache."""
    tokenizer = TOKENIZERS[name]()
    tokenizer.truncation_side = "left"
    try:
        before = tokenizer.backend_tokenizer.to_str(), digest_tokenizer(tokenizer)
        backwards = encode_words(tokenizer, [["the"] * 40], None, max_length=10, stride=3)
        encode_contexts(tokenizer, ["film"], [ENGLISH], None, max_length=20, stride=3, truncation=True)
        assert (tokenizer.backend_tokenizer.to_str(), digest_tokenizer(tokenizer)) == before
        assert tokenizer.truncation_side == "left"
    finally:
        tokenizer.truncation_side = "right"
    forwards = encode_words(tokenizer, [["the"] * 40], None, max_length=10, stride=3)
    assert (backwards.columns, backwards.decode_columns) == (forwards.columns, forwards.decode_columns)


@pytest.mark.parametrize("max_length", range(1, 40))
@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_any_max_length_works_or_is_c09(name: str, max_length: int) -> None:
    """The tokenizers library panics when a stride leaves no tokens; windows must prevent that."""
    tokenizer, special = TOKENIZERS[name](), {"bert": (2, 3), "roberta": (2, 4)}[name]
    too_short = max_length <= special[0]
    try:
        encode_words(tokenizer, [["the"] * 20], None, max_length=max_length, stride=1000)
        assert not too_short
    except RecipeError as error:
        assert too_short
        assert error.details[0].code == "C09"
    too_short = max_length - max_length // 2 <= special[1]
    try:
        encode_contexts(
            tokenizer, ["the film " * 9, "é"], [ENGLISH] * 2, None,
            max_length=max_length, stride=1000, truncation=True,
        )  # fmt: skip
        assert not too_short
    except RecipeError as error:
        assert too_short
        assert error.details[0].code == "C09"


any_text = st.lists(
    st.sampled_from([*ENGLISH.split(), *CHINESE, *ODD, " ", "  ", "\n", "\t", ", "]), min_size=1, max_size=40
).map(" ".join)


@st.composite
def draw_text_and_answer(draw: st.DrawFn) -> tuple[str, tuple[int, int] | None]:
    """Draw a text and a span of it, or None."""
    text = draw(any_text)
    start = draw(st.integers(0, len(text) - 1))
    end = draw(st.integers(start + 1, min(len(text), start + 30)))
    return text, draw(st.sampled_from([(start, end), (start, end), (start, end), None]))


def contexts(
    tokenizer: Any, rows: Sequence[tuple[str, tuple[int, int] | None]], max_length: int, stride: int
) -> Features:
    return encode_contexts(
        tokenizer,
        ["the film"] * len(rows),
        [text for text, _ in rows],
        [answer for _, answer in rows],
        max_length=max_length,
        stride=stride,
        truncation=False,
    )


def covered_characters(tokenizer: Any, text: str) -> set[int]:
    """Return the positions of characters that belong to some token."""
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return {place for start, end in offsets for place in range(start, end)}


@each_tokenizer
@settings(max_examples=60)
@given(st.lists(draw_text_and_answer(), min_size=1, max_size=3), st.integers(24, 60), st.integers(0, 40))
def test_an_answer_is_found_or_listed_as_lost(
    name: str, rows: list[tuple[str, tuple[int, int] | None]], max_length: int, stride: int
) -> None:
    tokenizer = TOKENIZERS[name]()
    features = contexts(tokenizer, rows, max_length, stride)
    targets = [(a, b) for [a], [b] in zip(features.columns["start"], features.columns["end"], strict=True)]
    found = set()
    for window, (row, (first, last)) in enumerate(zip(features.rows or [], targets, strict=True)):
        text, answer = rows[row]
        if (first, last) == (0, 0):
            continue
        assert answer is not None
        assert features.columns["context"][window][first : last + 1].all()  # type: ignore[attr-defined]
        begin, end = (
            features.decode_columns["begins"][window][first],
            features.decode_columns["ends"][window][last],
        )
        answer_characters = set(range(*answer)) & covered_characters(tokenizer, text)
        assert answer_characters <= set(range(begin, end))  # the whole answer; a token may reach beyond it
        found.add(row)
    expected = {row for row, (_, answer) in enumerate(rows) if answer is not None}
    assert found | set(features.lost_answers) == expected
    assert not found & set(features.lost_answers)


@each_tokenizer
@settings(max_examples=60)
@given(draw_text_and_answer(), st.integers(24, 60), st.integers(0, 20))
def test_an_answer_no_longer_than_the_overlap_is_never_lost(
    name: str, row: tuple[str, tuple[int, int] | None], max_length: int, stride: int
) -> None:
    """Windows that share n tokens hold every span of n + 1 tokens."""
    tokenizer = TOKENIZERS[name]()
    text, answer = row
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    features = contexts(tokenizer, [row], max_length, stride)
    shared = min(stride, max_length // 3, max_length - max_length // 2 - 5)
    if answer is None:
        assert features.lost_answers == ()
        return
    touched = sum(a < answer[1] and b > answer[0] for a, b in offsets)
    if 1 <= touched <= shared:
        assert features.lost_answers == ()
    if touched == 0:
        assert features.lost_answers == (0,)


@each_tokenizer
def test_targets_decode_to_the_answer(name: str) -> None:
    """Each word of a long text is an answer once; decoding gives its characters but for surrounding blanks."""
    tokenizer = TOKENIZERS[name]()
    text = f"{ENGLISH} 🙂 naïve e\u0301tude 北京大学 {ENGLISH}  end\n{ENGLISH}"
    words, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        words.append((at, at + len(word)))
        at += len(word)
    assert len(words) > 60
    rows: list[tuple[str, tuple[int, int] | None]] = [(text, span) for span in words]
    features = contexts(tokenizer, rows, 100, 30)
    assert features.lost_answers == ()
    assert len(features.rows or []) > len(rows)
    for window, row in enumerate(features.rows or []):
        [first], [last] = features.columns["start"][window], features.columns["end"][window]
        if (first, last) != (0, 0):
            begin, end = (
                features.decode_columns["begins"][window][first],
                features.decode_columns["ends"][window][last],
            )
            assert text[begin:end].strip() == text[slice(*words[row])]


def test_the_context_column_marks_exactly_the_context() -> None:
    features = contexts(bert(), [("good was the film", (0, 4))], 30, 4)
    decoded = bert().convert_ids_to_tokens(features.columns["input_ids"][0])
    assert decoded == ["[CLS]", "the", "fi", "##lm", "[SEP]", "good", "was", "the", "fi", "##lm", "[SEP]"]
    assert list(features.columns["context"][0]) == [0] * 5 + [1] * 5 + [0]
    assert list(features.decode_columns["begins"][0]) == [0] * 5 + [0, 5, 9, 13, 15] + [0]
    assert list(features.decode_columns["ends"][0]) == [0] * 5 + [4, 8, 12, 15, 17] + [0]


def test_each_window_has_the_question_and_all_windows_cover_the_text() -> None:
    words = [str(number % 10) for number in range(100)]
    features = contexts(bert(), [(" ".join(words), None)], 24, 6)
    words_read: list[str] = []
    for ids, inside in zip(features.columns["input_ids"], features.columns["context"], strict=True):
        tokens = bert().convert_ids_to_tokens(ids)
        assert tokens[:5] == ["[CLS]", "the", "fi", "##lm", "[SEP]"]
        piece = [token for token, mark in zip(tokens, inside, strict=True) if mark]
        assert not words_read or words_read[-6:] == piece[:6]
        words_read += piece[6:] if words_read else piece
    assert words_read == words
    assert features.notes == {"questions in several windows": 1}


def test_an_answer_across_a_border_is_a_target_only_where_it_is_whole() -> None:
    """The question leaves 10 tokens: words 0-9, then 7-16 ..."""
    text = " ".join(str(number % 10) for number in range(30))
    where = text.index("9 0"), text.index("9 0") + 3  # words 9 and 10
    features = contexts(bert(), [(text, where)], 16, 3)
    first = [start for [start] in features.columns["start"]]
    assert first[0] == 0 and first[1] == 5 + 2 and not any(first[2:])
    assert [end for [end] in features.columns["end"]][1] == 5 + 3
    assert contexts(bert(), [(text, where)], 16, 0).lost_answers == (0,)


def test_blanks_around_an_answer_do_not_lose_it() -> None:
    """Some published answers have such blanks; the tokenizer has no token for a blank."""
    features = contexts(bert(), [("the film was good", (3, 9)), ("the film\u200b was", (4, 9))], 30, 4)
    assert features.lost_answers == ()
    assert [features.columns["start"][0], features.columns["end"][0]] == [[6], [7]]


def test_without_answers_there_are_no_targets() -> None:
    features = encode_contexts(
        bert(), ["the film"], [ENGLISH], None, max_length=30, stride=4, truncation=False
    )
    assert {"start", "end"}.isdisjoint(features.columns)
    assert set(features.columns) == {"input_ids", "context", "token_type_ids"}
    assert list(features.columns["token_type_ids"][0])[:5] == [0] * 5


def encode_rows(
    rows: dict[str, list[Any]],
    max_length: int,
    split: str,
    *,
    truncation: bool = False,
    collect: Collect = Encoded.from_batches,
) -> Encoded:
    return encode(
        datasets.Dataset.from_dict(rows),
        lambda some, _: encode_contexts(
            bert(),
            some["question"],
            some["context"],
            [None if answer is None else (answer[0], answer[1]) for answer in some["answer"]],
            max_length=max_length,
            stride=0,
            truncation=truncation,
        ),
        place=lambda row: f"squad.json:{row + 1}",
        max_length=max_length,
        progress=SILENT,
        split=split,
        collect=collect,
    )


def test_a_question_longer_than_half_of_max_length_is_l12() -> None:
    rows = {
        "question": ["the film", "the film was good " * 4],
        "context": ["good"] * 2,
        "answer": [[0, 4], [0, 4]],
    }
    with pytest.raises(DataError) as caught:
        encode_rows(rows, 30, "train")
    assert caught.value.lines() == [
        "error[L12] squad.json:2: 1 of 2 questions (50.0%) are longer than 15 tokens (longest: 20); truncation would "
        "lose 19.2% of all tokens. Fix: raise train.max_length, or set train.truncation=true to truncate them"
    ]
    encoded = encode_rows(rows, 30, "train", truncation=True)
    assert encoded.notes == {"questions truncated to 15 tokens": 1}
    assert (encoded.counts.cut_examples, encoded.counts.cut_tokens) == (1, 5)
    assert encoded.lengths.tolist() == [1 + 3 + 1 + 1 + 1, 1 + 15 + 1 + 1 + 1]


def test_truncation_inside_a_character_does_not_lengthen_the_question() -> None:
    """Each of these characters is three tokens; the eighth token is the second of the third character."""
    tokenizer = byte_level(prefix=False)
    features = encode_contexts(
        tokenizer, ["好" * 5], ["good"], None, max_length=17, stride=0, truncation=True
    )
    assert list(features.columns["context"][0]).index(1) == 1 + 6 + 2


def test_a_lost_answer_is_q06_in_training_and_a_note_elsewhere() -> None:
    text = " ".join(str(number % 10) for number in range(30))
    rows = {
        "question": ["the film"] * 4,
        "context": [text] * 4,
        "answer": [[0, 1], [18, 21], None, [18, 21]],
    }
    with pytest.raises(DataError) as caught:
        encode_rows(rows, 16, "train")
    [line] = caught.value.lines()
    assert line.startswith("error[Q06] squad.json:2: no window holds this whole answer")
    assert "also at squad.json:4" in line
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(DataError, match=re.escape("squad.json:2: no")) as caught,
    ):
        patch.setattr("llmkit.data.encoding.encode.BATCH", 3)
        encode_rows(rows, 16, "train")
    assert "also at squad.json:4" in str(caught.value)
    notes = {"questions in several windows": 4, "answers that no window holds whole": 2}
    assert encode_rows(rows, 16, "validation").notes == notes
    assert encode_rows(rows, 16, "train", truncation=True).notes == notes


def test_windows_are_stored_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path))
    rows = {"question": ["the film"] * 3, "context": [ENGLISH, "good", ENGLISH], "answer": [[0, 3]] * 3}
    encoded = encode_rows(rows, 24, "validation")
    load_or_encode(lambda collect: encode_rows(rows, 24, "validation", collect=collect), rows="a")
    found = load_or_encode(lambda _: pytest.fail("encoded again"), rows="a")
    assert found.ragged.keys() == encoded.ragged.keys()
    assert found.decode_columns.keys() == encoded.decode_columns.keys() == {"begins", "ends"}
    for name, column in (encoded.ragged | encoded.decode_columns).items():
        theirs = (found.ragged | found.decode_columns)[name]
        assert np.array_equal(theirs.flat, column.flat)
        assert np.array_equal(theirs.offsets, column.offsets)
    assert found.examples.tolist() == encoded.examples.tolist()
    assert (found.notes, found.counts) == (encoded.notes, encoded.counts)
    assert encoded.examples.tolist() == sorted(encoded.examples) and set(encoded.examples) == {0, 1, 2}


def test_batches_are_concatenated_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"question": ["the film"] * 7, "context": [ENGLISH, "good"] * 3 + ["was"], "answer": [[0, 3]] * 7}
    together = encode_rows(rows, 24, "validation")
    monkeypatch.setattr("llmkit.data.encoding.encode.BATCH", 3)
    apart = encode_rows(rows, 24, "validation")
    assert apart.examples.tolist() == together.examples.tolist()
    assert (apart.notes, apart.counts) == (together.notes, together.counts)
    for name, column in (together.ragged | together.decode_columns).items():
        theirs = (apart.ragged | apart.decode_columns)[name]
        assert np.array_equal(theirs.flat, column.flat) and np.array_equal(theirs.offsets, column.offsets)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["xquad_en", "xquad_zh", "cmrc2018", "squad_v2"])
@pytest.mark.parametrize("tokenizer", ["bert", "gpt2", "roberta"])
def test_all_published_answers_are_found(shared: Path, name: str, tokenizer: str) -> None:
    from llmkit.metrics.tasks.answer_matching import normalize_squad

    content = json.loads((shared / "qa" / name / "validation.json").read_text(encoding="utf-8"))
    rows: list[tuple[str, tuple[int, int] | None]] = []
    for document in content["data"]:
        for paragraph in document["paragraphs"]:
            for question in paragraph["qas"]:
                answers = question["answers"]
                span = answers and (
                    answers[0]["answer_start"],
                    answers[0]["answer_start"] + len(answers[0]["text"]),
                )
                rows.append((paragraph["context"], span or None))
    features = contexts(TOKENIZERS[tokenizer](), rows, 384, 128)
    assert len(features.lost_answers) <= (name == "cmrc2018")  # it has an answer of 173 characters
    exact = total = 0
    for window, row in enumerate(features.rows or []):
        [first], [last] = features.columns["start"][window], features.columns["end"][window]
        text, answer = rows[row]
        if (first, last) != (0, 0) and answer:
            begin, end = (
                features.decode_columns["begins"][window][first],
                features.decode_columns["ends"][window][last],
            )
            total += 1
            exact += normalize_squad(text[begin:end]) == normalize_squad(text[slice(*answer)])
    assert total >= sum(answer is not None for _, answer in rows) - len(features.lost_answers)
    assert exact / total > 0.9  # the others start or end inside a token
