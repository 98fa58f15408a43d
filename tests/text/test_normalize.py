import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from llmkit.text.normalize import normalize_text


def test_case_width_and_white_space_are_normalized():
    assert normalize_text("  Ａ Good\t\nfilm ") == normalize_text("a GOOD　film") == "a good film"


def test_different_letters_stay_different():
    assert normalize_text("cafe") != normalize_text("café")
    assert normalize_text("ab c") != normalize_text("a bc")


def test_composed_and_decomposed_letters_become_equal():
    assert normalize_text(unicodedata.normalize("NFD", "Café")) == normalize_text("CAFÉ") == "café"


def test_sharp_s_folds_like_double_s():
    assert normalize_text("Straße") == normalize_text("STRASSE")


def test_normalizing_a_character_is_idempotent():
    characters = (chr(i) for i in range(sys.maxunicode) if not 0xD800 <= i < 0xE000)
    assert [c for c in characters if normalize_text(normalize_text(c)) != normalize_text(c)] == []


@given(st.text())
def test_normalizing_a_text_is_idempotent(text):
    assert normalize_text(normalize_text(text)) == normalize_text(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_shortcut_equals_the_full_normalization(text):
    full = unicodedata.normalize("NFKC", text).casefold()
    assert normalize_text(text) == " ".join(full.split())
