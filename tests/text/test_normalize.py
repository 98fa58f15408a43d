import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from llmkit.text.normalize import canonical


def test_case_width_and_white_space_do_not_count():
    assert canonical("  Ａ Good\t\nfilm ") == canonical("a GOOD　film") == "a good film"


def test_different_letters_stay_different():
    assert canonical("cafe") != canonical("café")
    assert canonical("ab c") != canonical("a bc")


def test_composed_and_decomposed_letters_are_the_same():
    assert canonical(unicodedata.normalize("NFD", "Café")) == canonical("CAFÉ") == "café"


def test_sharp_s_folds_like_double_s():
    assert canonical("Straße") == canonical("STRASSE")


def test_every_character_is_stable_under_a_second_pass():
    characters = (chr(i) for i in range(sys.maxunicode) if not 0xD800 <= i < 0xE000)
    assert [c for c in characters if canonical(canonical(c)) != canonical(c)] == []


@given(st.text())
def test_every_text_is_stable_under_a_second_pass(text):
    assert canonical(canonical(text)) == canonical(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_the_ascii_short_cut_gives_what_the_full_form_gives(text):
    full = unicodedata.normalize("NFKC", text).casefold()
    assert canonical(text) == " ".join(full.split())
