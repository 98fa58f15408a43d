import pytest

from llmkit.text.scripts import detect_script


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Bonjour, ça va ?", "Latin"),
        ("ＡＢＣ ｘ", "Latin"),
        ("这部电影很好看。 OK", "Han"),
        ("東京へ行きました", "Japanese"),
        ("ｶﾀｶﾅ", "Japanese"),
        ("한국어 문장", "Hangul"),
        ("Привет, мир", "Cyrillic"),
        ("مرحبا", "Arabic"),
        ("नमस्ते", "Devanagari"),
        ("42 :-)", "no letters"),
        ("", "no letters"),
    ],
)
def test_script_is_that_of_most_letters(text, expected):
    assert detect_script(text) == expected


def test_only_the_beginning_of_a_long_text_is_read():
    assert detect_script("a" * 2000 + "中" * 9000) == "Latin"
