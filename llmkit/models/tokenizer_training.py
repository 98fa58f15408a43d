"""Vocabularies from one's own texts: byte-level BPE, WordPiece, Unigram, or single characters.

    trained = train(texts, "bpe", 8000)
    trained.save_pretrained("my_tokenizer")   # AutoTokenizer opens it

bpe: any text, nothing unknown, decoded to the byte (as GPT-2). wordpiece: words and pieces between [CLS] and [SEP],
each Chinese character alone (as BERT). unigram: the likeliest pieces, with </s> behind (as T5). characters: one token a
character, for small corpora and Chinese. The same texts give the same vocabulary, but for the scores of unigram,
which the tokenizers library sums in no fixed order.
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
# What each special token is for, in the order of their ids.
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
REPEATED = 2  # times that a pair must stand in the texts to become a token
CHUNK = 1000  # texts


def train(
    texts: Sequence[str], kind: Kind, vocab_size: int, *, lowercase: bool = False
) -> PreTrainedTokenizerFast:
    """A tokenizer of at most vocab_size tokens, special ones included. Raises UserError U01 where that is too few."""
    special = list(dict.fromkeys(KINDS[kind].values()))
    least = len(special) + (BYTES if kind == "bpe" else 1)
    if vocab_size < least:
        needs = f"{len(special)} special tokens" + (f" and {BYTES} bytes" if kind == "bpe" else "")
        raise _too_small(vocab_size, f"{kind} has {needs}", least)
    made = MAKERS[kind](texts, vocab_size, special, lowercase)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=made,
        clean_up_tokenization_spaces=False,  # else decoding would not give the text back
        model_input_names=["input_ids", *["token_type_ids"] * (kind == "wordpiece"), "attention_mask"],
        **KINDS[kind],
    )


def _bpe(texts: Sequence[str], size: int, special: list[str], lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=REPEATED,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _wordpiece(texts: Sequence[str], size: int, special: list[str], lowercase: bool) -> Tokenizer:
    """The trainer gets its alphabet as special tokens: it would number it in no fixed order, and break ties by that."""
    learner = _bert_like(models.WordPiece(unk_token="[UNK]"), lowercase)
    alphabet, room = _alphabet(learner, texts), size - len(special)
    known = [*special, *sorted(alphabet[:room])]  # rare characters may have no room: unknown
    vocabulary = {token: number for number, token in enumerate(known)}
    if len(alphabet) < room:
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            special_tokens=known,
            limit_alphabet=0,  # beside those
            min_frequency=REPEATED,
            show_progress=False,
        )
        learner.train_from_iterator(texts, trainer)
        vocabulary = learner.get_vocab()
    tokenizer = _bert_like(models.WordPiece(vocabulary, unk_token="[UNK]"), lowercase)
    tokenizer.decoder = decoders.WordPiece()
    begin, end = (("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"]))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[begin, end]
    )
    return tokenizer


def _bert_like(model: models.Model, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=lowercase
    )  # and accents off, when in lower case
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _alphabet(tokenizer: Tokenizer, texts: Iterable[str]) -> list[str]:
    """Characters at the beginning of words, and as `##x` within them, the most frequent first.

    The trainer wants each of those within words at the beginning too.
    """
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in _words(tokenizer, text))
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for place, character in enumerate(word):
            counts[character] += count
            if place:
                counts[f"##{character}"] += count
    return sorted(counts, key=lambda piece: (-counts[piece], piece))


def _words(tokenizer: Tokenizer, text: str) -> list[tuple[str, tuple[int, int]]]:
    normal = tokenizer.normalizer.normalize_str(text)
    found: list[tuple[str, tuple[int, int]]] = tokenizer.pre_tokenizer.pre_tokenize_str(normal)
    return found


def _unigram(texts: Sequence[str], size: int, special: list[str], lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    folded = [normalizers.Lowercase()] if lowercase else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *folded])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    characters = {c for text in texts for word, _ in _words(tokenizer, text) for c in word}
    if size < (least := len(characters) + len(special) + 1):  # without one more the trainer keeps no limit
        message = f"each of the {len(characters):,} characters of the texts is a token of unigram"
        raise _too_small(size, message, least)
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    return tokenizer


def _characters(texts: Sequence[str], size: int, special: list[str], lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<|unk|>"))
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


MAKERS: dict[Kind, Callable[[Sequence[str], int, list[str], bool], Tokenizer]] = {
    "bpe": _bpe,
    "wordpiece": _wordpiece,
    "unigram": _unigram,
    "characters": _characters,
}


def _too_small(size: int, message: str, least: int) -> UserError:
    fix = f"give at least {least:,}"
    return UserError("U01", "--vocab-size", f"{size:,} are too few tokens: {message}", fix)


@dataclass(frozen=True)
class TokenizerStatistics:
    """What a tokenizer makes of some texts."""

    vocabulary: int
    texts: int
    bytes: int  # of UTF-8
    characters: int
    tokens: int
    unknown: int  # tokens

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
    """Counts over the texts, without the special tokens around each."""
    tokens = unknown = 0
    for first in range(0, len(texts), CHUNK):
        found = tokenizer(list(texts[first : first + CHUNK]), add_special_tokens=False)["input_ids"]
        tokens += sum(map(len, found))
        if tokenizer.unk_token_id is not None:
            unknown += sum(ids.count(tokenizer.unk_token_id) for ids in found)
    return TokenizerStatistics(
        vocabulary=len(tokenizer),
        texts=len(texts),
        bytes=sum(len(text.encode()) for text in texts),
        characters=sum(map(len, texts)),
        tokens=tokens,
        unknown=unknown,
    )
