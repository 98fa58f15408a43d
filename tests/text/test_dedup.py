import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.text import dedup
from llmkit.text.dedup import jaccard, minhash_signatures, pair_near_duplicates
from llmkit.text.normalize import normalize_text

STORY = "the film was a long slow story of love and war that nobody in this town will ever forget"
WORDS = STORY.split()


def random_texts(count, seed, words=20):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, words)) + f" {rng.integers(10**6)}" for _ in range(count)]


def edited(text, rng, edits):
    letters = list(text)
    for place in rng.integers(0, len(letters), edits):
        letters[place] = chr(97 + int(rng.integers(26)))
    return "".join(letters)


def brute_force_jaccard(a, b):
    def grams(text):
        text = normalize_text(text)
        return {text[i : i + 5] for i in range(len(text) - 4)} or {text}

    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


@given(st.text(max_size=20), st.text(max_size=20))
def test_jaccard_equals_that_of_the_5_gram_sets(a, b):
    assert jaccard(a, b) == brute_force_jaccard(a, b)


def test_jaccard_by_hand():
    assert jaccard("abcdef", "abcdeg") == pytest.approx(1 / 3)  # abcde shared; bcdef, bcdeg not
    assert jaccard("Good  Film", "good film") == 1.0


def test_signatures_agree_with_the_probability_of_the_jaccard_similarity():
    rng = np.random.default_rng(1)
    a = random_texts(200, seed=1)
    b = [edited(text, rng, edits=4) for text in a]
    share = (minhash_signatures(a) == minhash_signatures(b)).mean(axis=1)
    true = np.array([brute_force_jaccard(x, y) for x, y in zip(a, b)])
    assert 0.3 < true.mean() < 0.9
    assert abs(share.mean() - true.mean()) < 0.01
    assert np.sqrt(((share - true) ** 2).mean()) < 0.05  # binomial: sqrt(.25 / 128) = 0.044


@settings(max_examples=30)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.data())
def test_signature_depends_on_its_own_text_only(texts, data):
    chosen = data.draw(st.integers(0, len(texts) - 1))
    assert (minhash_signatures(texts)[chosen] == minhash_signatures([texts[chosen]])[0]).all()


def test_block_size_does_not_change_the_signatures(monkeypatch):
    texts = ["", "a", "abcde", *random_texts(30, seed=2)]
    whole = minhash_signatures(texts)
    monkeypatch.setattr(dedup, "BLOCK_CHARACTERS", 100)
    assert (minhash_signatures(texts) == whole).all()
    assert whole.shape == (33, 128)


@pytest.mark.parametrize("block", [7, 20_000])
def test_near_duplicates_equal_brute_force(monkeypatch, block):
    monkeypatch.setattr(dedup, "BLOCK_TEXTS", block)
    rng = np.random.default_rng(3)
    a = random_texts(120, seed=3)
    b = [edited(a[i], rng, edits=int(rng.integers(0, 12))) for i in range(0, 120, 2)] + random_texts(
        60, seed=4
    )
    expected = {}
    for j, text in enumerate(b):
        similarity, i = max((brute_force_jaccard(other, text), -i) for i, other in enumerate(a))
        if similarity >= 0.8:
            expected[j] = (-i, pytest.approx(similarity))
    result = {j: (i, similarity) for i, j, similarity in pair_near_duplicates(iter(a), [b])[0]}
    assert result == expected
    assert 5 < len(expected) < 55  # there are pairs on both sides of the threshold


def test_no_near_duplicates_if_one_side_is_empty():
    assert pair_near_duplicates([], [["a text"]]) == pair_near_duplicates(["a text"], [[]]) == [[]]
    assert pair_near_duplicates(["a text"], []) == []


def test_thousands_of_texts_from_one_template_are_fast():
    a = [
        f"Your parcel number {i:06d} has arrived at the shop, please collect it before Friday evening"
        for i in range(5000)
    ]
    b = [
        f"Your parcel number {i:06d} has arrived at the shop, please collect it before Friday evening"
        for i in range(300)
    ]
    (pairs,) = pair_near_duplicates(a, [b], 0.8)
    assert [j for _, j, _ in pairs] == list(range(300))
    assert all(similarity >= 0.8 for _, _, similarity in pairs)
