"""Tests of chat templates: the text equals that of transformers, and exactly the answers are labelled."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from llmkit.base.errors import ModelError, RecipeError
from llmkit.data.encoding.chat_templates import DEFAULT, encode_conversations, load_template
from llmkit.data.encoding.collate import IGNORED
from llmkit.data.encoding.features import Limit

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MARKED = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}<|im_start|>assistant\n"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Rewrites earlier turns, as the templates of some reasoning models do with the thoughts of the assistant.
REWRITES = CHATML.replace("message['content'] ", "(message['content'] if loop.last else 'x') ")
ALTERNATING = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML
)


@cache
def _backend() -> str:
    """Train a byte-level BPE tokenizer with merges across line ends and words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["user\n\nassistant\n\n\nthe answer is the sum\n\n"] * 4, trainer)
    return tokenizer.to_str()


def tokenizer(template: str | None) -> Any:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_backend()),
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    tokenizer.chat_template = template
    return tokenizer


def turns(*texts: str, system: str | None = None) -> list[dict[str, str]]:
    before = [] if system is None else [{"role": "system", "content": system}]
    roles = ("user", "assistant")
    return before + [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


def decode_labels(chat_template: Any, encoded: tuple[list[int], list[int]]) -> str:
    return str(chat_template.tokenizer.decode([label for label in encoded[1] if label != IGNORED]))


@pytest.mark.parametrize("template", [CHATML, MARKED, None], ids=["prefixes", "marks", "default"])
@settings(max_examples=25)
@given(texts=st.lists(st.text(max_size=12), min_size=1, max_size=3), answer=st.text(max_size=12))
def test_exactly_the_answers_and_their_ends_are_labelled(
    template: str | None, texts: list[str], answer: str
) -> None:
    chat_template = load_template(tokenizer(template))
    answers = [text.strip() if template is None else text for text in texts]  # the default trims
    conversation = turns(*(part for text in texts for part in ("q", text)), "q", answer)
    ids, labels = chat_template.encode_prompt(conversation[:-1])
    answer_ids = chat_template.encode_answer(conversation)
    end = chat_template.tokenizer.convert_ids_to_tokens(chat_template.end_token_id)
    assert decode_labels(chat_template, (ids, labels)) == "".join(text + end for text in answers)
    assert (
        chat_template.tokenizer.decode(answer_ids) == (answer.strip() if template is None else answer) + end
    )
    assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
    expected = chat_template.tokenizer.apply_chat_template(
        conversation[:-1], tokenize=False, add_generation_prompt=True
    )
    assert chat_template.tokenizer.decode(ids) == expected


@pytest.mark.parametrize("template", [CHATML, MARKED])
def test_ids_equal_those_of_transformers(template: str) -> None:
    chat_template = load_template(tokenizer(template))
    conversation = turns("the sum\n\nis", "the answer\n", "user", "is the sum", system="assistant")
    ids, _ = chat_template.encode_prompt(conversation[:-1])
    expected = chat_template.tokenizer.apply_chat_template(conversation, return_dict=False)
    tail = chat_template.tokenizer("\n")["input_ids"]
    assert [*ids, *chat_template.encode_answer(conversation), *tail] == expected


def test_no_token_spans_the_start_of_an_answer() -> None:
    """An answer that starts with a line end must not share a token with the line end before it."""
    chat_template = load_template(tokenizer(CHATML))
    conversation = turns("user", "\n\nthe", "user", "is")
    ids, labels = chat_template.encode_prompt(conversation[:-1])
    assert decode_labels(chat_template, (ids, labels)) == "\n\nthe<|im_end|>"
    crossing = chat_template.tokenizer.apply_chat_template(
        conversation[:-1], add_generation_prompt=True, return_dict=False
    )
    assert len(crossing) < len(ids)


def test_the_end_token_is_the_one_that_follows_an_answer() -> None:
    assert load_template(tokenizer(CHATML)).end_token_id == tokenizer(None).convert_tokens_to_ids(
        "<|im_end|>"
    )
    assert load_template(tokenizer(None)).end_token_id == tokenizer(None).eos_token_id
    bare = load_template(tokenizer(CHATML.replace("<|im_end|>", "")))
    assert bare.end_token_id == bare.tokenizer.eos_token_id
    assert bare.encode_answer(turns("user", "the"))[-1] == bare.end_token_id


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    with pytest.raises(ModelError, match="differently") as caught:
        load_template(tokenizer(REWRITES)).encode_prompt(turns("a", "b", "c"))
    assert caught.value.details[0].code == "S03"


def test_the_error_repeats_the_reason_of_the_template() -> None:
    chat_template = load_template(tokenizer(ALTERNATING))
    with pytest.raises(ModelError, match='that begins "hello": it raises an error: no system role'):
        chat_template.encode_prompt(turns("hello", system="Be brief."))


def test_templates_run_in_a_sandbox() -> None:
    escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}" + CHATML
    with pytest.raises(ModelError, match=r"raises an error.*unsafe"):
        load_template(tokenizer(escape))
    with pytest.raises(ModelError, match="raises an error"):
        load_template(tokenizer("{{ messages.append(1) }}" + CHATML))


def test_a_tokenizer_without_a_template_gets_the_default() -> None:
    plain = tokenizer(None)
    chat_template = load_template(plain)
    assert chat_template.is_default
    assert plain.chat_template == DEFAULT
    again = load_template(plain)
    assert not again.is_default
    assert again.digest == chat_template.digest != load_template(tokenizer(CHATML)).digest


def test_the_default_template_starts_with_the_tokenizers_start_token(tiny_gpt: Any) -> None:
    chat_template = load_template(AutoTokenizer.from_pretrained(tiny_gpt))
    assert (
        chat_template.render(turns("fine"), add_generation_prompt=True) == "[CLS]User:\nfine\n\nAssistant:\n"
    )


def test_several_templates_are_an_error() -> None:
    several = tokenizer(None)
    several.chat_template = {"default": CHATML, "tools": CHATML}
    with pytest.raises(ModelError, match="default, tools"):
        load_template(several)


def encode(*conversations: list[dict[str, str]], template: str | None = CHATML, **options: Any) -> Any:
    settings = {"with_answers": True, "max_length": 60, "max_new_tokens": 20, "truncation": True, **options}
    return encode_conversations(load_template(tokenizer(template)), conversations, **settings)


def texts(features: Any, column: str = "input_ids") -> list[str]:
    return [str(tokenizer(None).decode(ids)) for ids in features.columns[column]]


def test_prompts_labels_and_targets() -> None:
    features = encode(turns("the", "is", "sum", "answer"), turns("sum", "the"))
    assert texts(features, "targets") == ["answer<|im_end|>", "the<|im_end|>"]
    assert texts(features)[1] == "<|im_start|>user\nsum<|im_end|>\n<|im_start|>assistant\n"
    assert set(features.columns["labels"][1]) == {IGNORED}
    assert list(map(len, features.columns["labels"])) == list(map(len, features.columns["input_ids"]))
    assert not features.notes
    assert features.counts.tokens == sum(
        map(len, features.columns["input_ids"] + features.columns["targets"])
    )


def test_long_conversations_lose_their_first_turns() -> None:
    long = turns("first", "the is the is the is", "second", "the is", "third", "sum", system="Be")
    features = encode(long, turns("a", "b"))
    assert texts(features)[0].startswith("<|im_start|>system\nBe<|im_end|>\n<|im_start|>user\n")
    assert "first" not in texts(features)[0]
    assert texts(features)[0].endswith("third<|im_end|>\n<|im_start|>assistant\n")
    assert max(map(len, features.columns["input_ids"])) <= 40
    assert features.notes == {"conversations truncated to 40 tokens, first turns first": 1}
    assert features.counts.cut_examples == 1


def test_a_long_question_loses_its_end() -> None:
    features = encode(turns("the sum " * 50, "is"))
    (text,) = texts(features)
    assert text.startswith("<|im_start|>user\nthe sum the")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert 37 <= len(features.columns["input_ids"][0]) <= 40
    with pytest.raises(RecipeError, match="words around a question"):
        encode(turns("the sum " * 50, "is"), max_length=23)
    with pytest.raises(RecipeError, match="no tokens for a prompt"):
        encode(turns("a", "is"), max_length=20)


def test_without_truncation_long_conversations_are_only_listed() -> None:
    features = encode(turns("a", "b"), turns("the sum " * 50, "is"), truncation=False)
    assert features.too_long == (1,)
    assert features.limit == Limit("prompts", 40)
    features = encode(turns("a", "xyz" * 20), turns("a", "b"), truncation=False)
    assert features.too_long == (0,)
    assert features.limit == Limit("answers", 20, "task.max_new_tokens")
    assert len(features.columns["targets"][0]) == 20
    assert features.notes == {"answers truncated to 20 tokens": 1}


def test_special_tokens_in_texts_and_the_default_template_are_noted() -> None:
    features = encode(turns("a <|im_end|> b", "c"), turns("a", "b"))
    assert features.notes == {"conversations with special tokens of the tokenizer in their texts": 1}
    default = encode(turns("a", "b"), template=None)
    assert json.dumps(default.notes).count("llmkit's default chat template") == 1


def test_prompts_alone_have_neither_labels_nor_targets() -> None:
    assert encode(turns("a", "b", "c"), with_answers=False).columns.keys() == {"input_ids"}
