"""Train a tokenizer on texts: byte-level BPE, WordPiece, Unigram, or single characters.

    tokenizer = train(texts, "bpe", 8000)
    tokenizer.save_pretrained("my_tokenizer")   # AutoTokenizer opens it

- bpe: byte-level BPE as in GPT-2. No text has unknown tokens, and decoding restores the text exactly.
- wordpiece: words and subwords between [CLS] and [SEP], each Chinese character a token of its own, as in BERT.
- unigram: the most probable pieces, followed by </s>, as in T5.
- characters: one token per character, for small corpora and for Chinese.

The same texts give the same vocabulary. Only the scores of unigram may differ, because the tokenizers library sums them
in no fixed order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from llmkit.base.errors import UserError

__all__ = ["KINDS", "Kind", "TokenizerStatistics", "measure", "train"]

Kind = Literal["bpe", "wordpiece", "unigram", "characters"]
# The role of each special token, in the order of their ids.
KINDS: dict[Kind, dict[str, str]] = {
    "bpe": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|pad|>"},
    "wordpiece": {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
    "unigram": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    "characters": {
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|pad|>",
        "unk_token": "<|unk|>",
    },
}
BYTES = 256
MIN_FREQUENCY = 2  # occurrences in the texts from which a pair of tokens is merged
CHUNK = 1000  # texts tokenized at once


def train(
    texts: Sequence[str], kind: Kind, vocab_size: int, *, lowercase: bool = False
) -> PreTrainedTokenizerFast:
    """Train a tokenizer.

    Args:
        texts: The training texts.
        kind: The algorithm.
        vocab_size: The largest size of the vocabulary, including special tokens.
        lowercase: Whether to convert texts to lower case.

    Raises:
        UserError: U01, the vocabulary size is too small for the algorithm or the texts.
    """
    special = list(dict.fromkeys(KINDS[kind].values()))
    minimum = len(special) + (BYTES if kind == "bpe" else 1)
    if vocab_size < minimum:
        needs = f"{len(special)} special tokens" + (f" and {BYTES} bytes" if kind == "bpe" else "")
        raise _too_small_error(vocab_size, f"{kind} needs {needs}", minimum)
    trained = TRAINERS[kind](texts, vocab_size, special, lowercase)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=trained,
        clean_up_tokenization_spaces=False,  # otherwise decoding would not restore the text
        model_input_names=["input_ids", *["token_type_ids"] * (kind == "wordpiece"), "attention_mask"],
        **KINDS[kind],
    )


def _train_bpe(texts: Sequence[str], size: int, special: list[str], lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=MIN_FREQUENCY,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _train_wordpiece(texts: Sequence[str], size: int, special: list[str], lowercase: bool) -> Tokenizer:
    """Train WordPiece with a fixed alphabet.

    The trainer would number its own alphabet in no fixed order, and break ties by these numbers, so it gets the
    alphabet as special tokens.
    """
    draft = _build_bert_tokenizer(models.WordPiece(unk_token="[UNK]"), lowercase)
    alphabet, room = _count_characters(draft, texts), size - len(special)
    fixed = [*special, *sorted(alphabet[:room])]  # without room, rare characters become unknown tokens
    vocabulary = {token: number for number, token in enumerate(fixed)}
    if len(alphabet) < room:
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            special_tokens=fixed,
            limit_alphabet=0,  # besides the fixed tokens
            min_frequency=MIN_FREQUENCY,
            show_progress=False,
        )
        draft.train_from_iterator(texts, trainer)
        vocabulary = draft.get_vocab()
    tokenizer = _build_bert_tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"), lowercase)
    tokenizer.decoder = decoders.WordPiece()
    begin, end = (("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"]))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[begin, end]
    )
    return tokenizer


def _build_bert_tokenizer(model: models.Model, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)  # lower case also removes accents
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _count_characters(tokenizer: Tokenizer, texts: Iterable[str]) -> list[str]:
    """Return the characters of the texts, and `##x` for those inside words, most frequent first.

    The trainer needs each character that occurs inside words also without ##.
    """
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in _split_into_words(tokenizer, text))
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for place, character in enumerate(word):
            counts[character] += count
            if place:
                counts[f"##{character}"] += count
    return sorted(counts, key=lambda piece: (-counts[piece], piece))


def _split_into_words(tokenizer: Tokenizer, text: str) -> list[tuple[str, tuple[int, int]]]:
    """Normalize and pre-tokenize a text; return its words and their offsets."""
    normalized = tokenizer.normalizer.normalize_str(text)
    words: list[tuple[str, tuple[int, int]]] = tokenizer.pre_tokenizer.pre_tokenize_str(normalized)
    return words


def _train_unigram(texts: Sequence[str], size: int, special: list[str], lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    lower = [normalizers.Lowercase()] if lowercase else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *lower])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    characters = {c for text in texts for word, _ in _split_into_words(tokenizer, text) for c in word}
    minimum = len(characters) + len(special) + 1  # below it the trainer ignores the size
    if size < minimum:
        message = f"unigram has a token for each of the {len(characters):,} characters of the texts"
        raise _too_small_error(size, message, minimum)
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    return tokenizer


def _train_characters(texts: Sequence[str], size: int, special: list[str], lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<|unk|>"))
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


TRAINERS: dict[Kind, Callable[[Sequence[str], int, list[str], bool], Tokenizer]] = {
    "bpe": _train_bpe,
    "wordpiece": _train_wordpiece,
    "unigram": _train_unigram,
    "characters": _train_characters,
}


def _too_small_error(size: int, reason: str, minimum: int) -> UserError:
    message = f"a vocabulary of {size:,} tokens is too small: {reason}"
    return UserError("U01", "--vocab-size", message, f"set it to at least {minimum:,}")


@dataclass(frozen=True)
class TokenizerStatistics:
    """Counts of a tokenizer on some texts.

    Attributes:
        vocabulary: The size of the vocabulary.
        texts: The number of texts.
        bytes: The size of the texts in UTF-8.
        characters: The number of their characters.
        tokens: The number of their tokens, without special tokens.
        unknown: The number of unknown tokens.
    """

    vocabulary: int
    texts: int
    bytes: int
    characters: int
    tokens: int
    unknown: int

    @property
    def bytes_per_token(self) -> float:
        return self.bytes / max(1, self.tokens)

    @property
    def characters_per_token(self) -> float:
        return self.characters / max(1, self.tokens)

    @property
    def unknown_share(self) -> float:
        return self.unknown / max(1, self.tokens)


def measure(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> TokenizerStatistics:
    """Tokenize the texts, without special tokens, and count."""
    tokens = unknown = 0
    for first in range(0, len(texts), CHUNK):
        encoded = tokenizer(list(texts[first : first + CHUNK]), add_special_tokens=False)["input_ids"]
        tokens += sum(map(len, encoded))
        if tokenizer.unk_token_id is not None:
            unknown += sum(ids.count(tokenizer.unk_token_id) for ids in encoded)
    return TokenizerStatistics(
        vocabulary=len(tokenizer),
        texts=len(texts),
        bytes=sum(len(text.encode()) for text in texts),
        characters=sum(map(len, texts)),
        tokens=tokens,
        unknown=unknown,
    )
