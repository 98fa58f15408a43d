import sys
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from llmkit.base.errors import UserError
from llmkit.metrics.text import rouge_tokens
from llmkit.metrics.text.rouge_tokens import choose_tokenizer, tokenize

MIXED = st.text(st.sampled_from("abzAZ019 .,-_'\n\r\t\u2028\x1céİſKΣß山の한กำ😀\ud800"), max_size=30)
ANY = st.one_of(MIXED, st.text(max_size=20))


def flat(lists):
    return list(chain.from_iterable(lists))


def alike(result, expected):
    """Whether numbers (nested) are equal where the strings are."""
    return len(set(zip(result, expected))) == len(set(result)) == len(set(expected))


def lines_of(texts, **how):
    """The lines of each text that have a token, as numbers."""
    result = tokenize(texts, **{"tokenizer": "words", **how})
    assert result.tokens.min(initial=1) >= 1 and result.tokens.max(initial=0) <= result.vocabulary
    lines = [result.tokens[start:end].tolist() for start, end in result.lines]
    split = [lines[start:end] for start, end in result.line_spans]
    for (start, end), several in zip(result.spans, split):
        assert result.tokens[start:end].tolist() == flat(several)
    return split


@pytest.mark.parametrize("stemmer", [False, True])
@settings(max_examples=60)
@given(texts=st.lists(ANY, max_size=4))
def test_words_equal_rouge_score(stemmer, texts):
    tokenize = DefaultTokenizer(stemmer).tokenize
    expected = [[tokens for line in text.split("\n") if (tokens := tokenize(line))] for text in texts]
    result = lines_of(texts, stemmer=stemmer)
    assert [list(map(len, text)) for text in result] == [list(map(len, text)) for text in expected]
    assert alike(flat(flat(result)), flat(flat(expected)))


@pytest.mark.parametrize(
    "tokenizer, text, expected",
    [
        ("words", "the U.S. café", ["the", "u", "s", "caf"]),
        ("characters", "gpt-4 的山东队，很好。", ["gpt", "4", "的", "山", "东", "队", "很", "好"]),
        ("characters", "カメラ2台", ["カ", "メ", "ラ", "2", "台"]),
        ("characters", "naïve 한국어 x_y", ["naïve", "한국어", "x", "y"]),
        ("unicode", "l'été n'est pas fini.", ["l", "été", "n", "est", "pas", "fini"]),
        ("unicode", "हिन्दी में x_y", ["हिन्दी", "में", "x_y"]),
        ("jieba", "我们在北京大学，学习。", ["我们", "在", "北京大学", "学习"]),
    ],
)
def test_tokens_by_hand(tokenizer, text, expected):
    result = tokenize([text, *expected], tokenizer)
    alone = [result.tokens[start:end].tolist() for start, end in result.spans[1:]]
    assert [[number] for number in result.tokens[: len(expected)]] == alone
    assert result.spans[0].tolist() == [0, len(expected)]


@pytest.mark.parametrize("tokenizer", ["words", "characters", "unicode", "jieba"])
@settings(max_examples=20)
@given(texts=st.lists(MIXED, max_size=3))
def test_texts_and_lines_are_tokenized_independently(tokenizer, texts):
    together = lines_of(texts, tokenizer=tokenizer)
    apart = [flat(lines_of(text.split("\n"), tokenizer=tokenizer)) for text in texts]
    assert [list(map(len, text)) for text in together] == [list(map(len, text)) for text in apart]


def test_batch_size_does_not_change_the_tokens(monkeypatch):
    texts = ["a b\n\nc", "", "\n", "c a.\nb"]
    whole = lines_of(texts)
    assert whole == [[[1, 2], [3]], [], [], [[3, 1], [2]]]
    monkeypatch.setattr(rouge_tokens, "BATCH", 1)
    assert lines_of(texts) == whole


def test_words_with_equal_stems_have_equal_numbers():
    assert lines_of(["running dogs run", "ran dog"], stemmer=True) == [[[1, 2, 1]], [[3, 2]]]
    assert lines_of(["his hi"], stemmer=True) == [[[1, 2]]]  # words of three letters are not stemmed


@pytest.mark.parametrize(
    "texts, language, expected",
    [
        (["all in ASCII"], None, "words"),
        ([], None, "words"),
        (["😀 …"], None, "words"),
        (["a naïve word"], None, "words"),
        (["机器学习"], None, "characters"),
        (["用 GPT-4 做机器翻译的实验结果"], None, "characters"),
        (["an English text about 山东队"], None, "words"),
        (["これはペンです"], None, "characters"),
        (["привет, мир"], None, "unicode"),
        (["한국어 문장"], None, "unicode"),
        (["plain"], "zh-CN", "characters"),
        (["plain"], "ZH_tw", "characters"),
        (["plain"], "ja", "characters"),
        (["plain"], "fr", "unicode"),
        (["plain"], "en-US", "words"),
        (["机器学习"], "en", "characters"),
        (["привет, мир"], "en", "words"),
    ],
)
def test_tokenizer_is_chosen_by_language_or_letters(texts, language, expected):
    assert choose_tokenizer(texts, language) == expected


def test_unknown_tokenizers_and_stemming_of_other_languages_are_errors():
    with pytest.raises(UserError, match=r'E10\] unknown tokenizer "word"; did you mean "words"\?'):
        tokenize(["a"], "word")
    with pytest.raises(UserError, match=r"E10\] Porter's stemmer is for English"):
        tokenize(["a"], "characters", stemmer=True)


def test_missing_jieba_is_an_error_with_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(UserError, match=r'E03\] the tokenizer "jieba" needs the package jieba'):
        tokenize(["我们"], "jieba")
