import json
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.metrics.tasks.answer_matching import RULES
from llmkit.text.sliding_window import MOST_CHARACTERS, MOST_WORDS, predict_answer

TEXTS = st.text(st.sampled_from("ab cd the. 是 北京年3，。!\n"), max_size=60)


def result(question, context):
    start, end = predict_answer(question, context)
    return context[start:end]


@pytest.mark.parametrize(
    "question, context, expected",
    [
        ("When was it opened?", "The tower has three floors. It was opened in 1889.", "1889"),
        (
            "Who designed the tower?",
            "Paris is old. The tower was designed by Gustave Eiffel.",
            "Gustave Eiffel",
        ),
        ("法国的首都是哪里？", "德国很大。法国的首都是巴黎。", "巴黎"),
        ("高英是谁的皇后？", "北魏很远。高英是宣武帝的皇后。", "宣武帝"),
    ],
)
def test_answer_is_in_the_sentence_that_shares_most(question, context, expected):
    assert result(question, context) == expected


def test_example_of_the_docstring():
    assert predict_answer("When was it opened?", "The tower has three floors. It was opened in 1889.") == (
        45,
        49,
    )


def test_rare_words_weigh_more_than_frequent_ones():
    # Three frequent words against one that occurs only once in the context.
    context = (
        "Old red car sold. Old red car kept. Old red car lost. The zeppelin cost seven. Old red car hid."
    )
    assert result("What did the old red car or zeppelin cost?", context) == "seven"


def test_nearer_run_wins_and_first_of_equal_sentences():
    assert result("Where did Kim go?", "Far away beyond hills, Kim went home.") == "went home"
    assert result("What is red?", "Apples are red. Roses are red.") == "Apples"


def test_shared_bigrams_count():
    context = "A city: York, New, small. A city: New York, big."
    assert result("Is New York a city?", context) == "big"


def test_longest_then_first_of_equally_good_answers_is_taken():
    assert result("Who?", "Red, blue green, old wood.") == "blue green"


def test_answer_has_no_marks_question_words_or_stop_words_at_its_ends():
    assert result("Who won?", "In the end, the old queen of Spain and the won.") == "old queen of Spain"


@pytest.mark.parametrize(
    "question, word, most", [("Who won?", "x", MOST_WORDS), ("谁赢？", "百", MOST_CHARACTERS)]
)
def test_answer_length_is_limited(question, word, most):
    text = result(question, " ".join([word] * 50))
    assert text.split() == [word] * most


def test_sentence_is_the_answer_without_any_run():
    assert result("What is red?", "It is what it is. Red red!") == "Red red!"


def test_blank_context_has_no_answer():
    assert predict_answer("Who?", "") == predict_answer("Who?", " \n") == (0, 0)


def test_blank_question_has_an_answer():
    assert result("", "The tower opened.") == "tower opened"


@given(TEXTS, TEXTS)
def test_answer_has_no_surrounding_white_space(question, context):
    start, end = predict_answer(question, context)
    assert 0 <= start <= end <= len(context)
    assert context[start:end] == context[start:end].strip()
    assert (start < end) == bool(context.strip())


def test_letters_that_lengthen_in_lower_case_do_not_shift_offsets():
    assert result("Who won in İİİ?", "İİİİİİ. In İİİ Kim Lee won.") == "Kim Lee"


def test_answer_does_not_depend_on_the_hash_seed():
    code = (
        "from llmkit.text.sliding_window import predict_answer; "
        "print(predict_answer('a b c d e f', 'b a x c d. a b y f e. c d z'))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert len(seen) == 1


@pytest.mark.parametrize(
    "context", ["The tower, which opened in 1889, is old. " * 75, "词" * 3000, "word " * 600]
)
def test_context_of_3000_characters_takes_a_few_milliseconds(context):
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        predict_answer("When was the tower opened?", context)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.02  # about 1 ms on a quiet machine


@pytest.mark.shared
@pytest.mark.parametrize(
    "name, rules, at_least, at_most",
    [("xquad_en", "squad", 0.19, 0.25), ("xquad_zh", "cmrc", 0.18, 0.25), ("cmrc2018", "cmrc", 0.32, 0.40)],
)
def test_baseline_scores_on_real_questions(shared, name, rules, at_least, at_most):
    """For comparison, the sliding window in the SQuAD paper has an F1 of 0.20 on the development set."""
    f1 = []
    for article in json.loads((shared / "qa" / name / "train.json").read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                text = result(question["question"], paragraph["context"])
                f1.append(RULES[rules](text, [reference["text"] for reference in question["answers"]]).f1)
    assert at_least < sum(f1) / len(f1) < at_most
