import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.text.sentences import lead_sentences, sentence_around, split_sentences

MARKED = st.text(st.sampled_from('ab AZ3.!?…。！？；，"”)( \n[1]'), max_size=40)


def split(text):
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    "text",
    [
        "It rose by 3.5 percent to 1,000.25.",
        "Mr. Li met Dr. J. K. Smith there.",
        "The U.S. Army and Apple Inc. Chairman Cook came.",
        "See Fig. 3 and No. 7, e.g. here, i.e. there.",
        "Smith et al. (2003) wrote to example.com twice.",
        '"Stop!" he said... and went on.',
        "In Brown v. Board and St. Louis on Jan. 3.",
        "Yahoo! is a company.",
        "他说，“好的”，然后走了，买了3.5公斤。",
    ],
)
def test_text_is_one_sentence(text):
    assert split(text) == [text]


@pytest.mark.parametrize(
    "sentence",
    [
        ["It opened in 1889.", "Then it closed!", "Why?", "Nobody knows."],
        ["He came at 5 p.m.", "The door was shut."],
        ["That was in World War I.", "It ended in 1918."],
        ["I said no.", "She said yes."],
        ["They call it so (see above).", "We do not."],
        ["It is so.[12]", "It was so.[citation needed]", "So be it."],
        ['He said: "Go."', "She went."],
        ["Well...", "We shall see…", "Later."],
        ["发展始于18世纪。", "他说：“你好！”", "然后走了……", "再见；", "好吗？", "好"],
        ["他在U.S. Army服役。", "速度为4.7 GHz.", "此外没有"],
    ],
)
def test_text_is_split_into_sentences(sentence):
    apart = "" if "。" in "".join(sentence) else " "
    assert split(apart.join(sentence)) == sentence


def test_line_ends_end_sentences_and_white_space_is_excluded():
    assert split("  Title without stop\n\n A text. \t Another one \n") == [
        "Title without stop",
        "A text.",
        "Another one",
    ]
    assert split("") == split(" \n ") == []


def test_sentence_around_a_span():
    text = "Mr. Li paid 3.50 yuan. He left. 他走了。"
    assert sentence_around(text, text.index("3.50"), text.index("3.50") + 4) == (0, 22)
    assert sentence_around(text, 23, 25) == (23, 31)
    assert sentence_around(text, 33, 34) == (32, 36)
    assert sentence_around(text, 23, 23) == (23, 31)  # an empty span has a sentence too


def test_span_over_two_sentences_gives_both():
    text = "One here. Two here. Three here."
    assert sentence_around(text, 4, 13) == (0, 19)
    assert sentence_around(text, 0, len(text)) == (0, len(text))


def test_span_that_ends_with_its_sentence_does_not_touch_the_next():
    assert sentence_around("你好。再见。", 0, 3) == (0, 3)
    assert sentence_around("你好。再见。", 3, 6) == (3, 6)


def test_span_outside_the_text_fails_an_assertion():
    with pytest.raises(AssertionError, match="not in the text"):
        sentence_around("One.", 2, 9)


@given(MARKED)
def test_sentences_contain_every_visible_character_once_in_order(text):
    spans = split_sentences(text)
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
    assert all(a < b for a, b in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert all(text[a:b] == text[a:b].strip() for a, b in spans)


@given(MARKED, st.integers(0, 40), st.integers(0, 40))
def test_sentence_always_contains_the_span(text, a, b):
    start, end = sorted((min(a, len(text)), min(b, len(text))))
    first, last = sentence_around(text, start, end)
    assert 0 <= first <= start <= end <= last <= len(text)


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "Mr. Li paid 3.50 yuan. He left. It rained. All went home.",
            "Mr. Li paid 3.50 yuan. He left. It rained.",
        ),
        ("超临界溶液。采用了新方法。结果如下。", "超临界溶液。"),
        ("用 GPT 写成。Then more.", "用 GPT 写成。Then more."),  # more Latin letters than Chinese ones
        ("one line\nanother", "one line\nanother"),
        (" \n ", ""),
        ("", ""),
    ],
)
def test_lead_is_three_sentences_or_one_in_chinese(text, expected):
    assert lead_sentences(text) == expected


def test_text_of_twenty_pages_is_fast():
    text = "It opened in 1889 at 3.5 Main St. by Mr. J. Smith, and closed. " * 1000
    begin = time.perf_counter()
    assert len(split_sentences(text)) == 1000
    assert time.perf_counter() - begin < 0.5


@pytest.mark.shared
@pytest.mark.parametrize("name, share", [("xquad_en", 0.99), ("xquad_zh", 0.99), ("squad_v2", 0.98)])
def test_annotated_answers_lie_inside_one_sentence(shared, name, share):
    import json

    inside = []
    for article in json.loads((shared / "qa" / name / "train.json").read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            spans = split_sentences(paragraph["context"])
            for answers in (question["answers"] for question in paragraph["qas"]):
                for answer in answers[:1]:
                    start = answer["answer_start"]
                    inside.append(any(a <= start and start + len(answer["text"]) <= b for a, b in spans))
    assert sum(inside) / len(inside) >= share
