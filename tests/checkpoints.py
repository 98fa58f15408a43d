"""Write tiny checkpoints (2 layers, hidden size 32, 50 words) with their tokenizers; a forward takes milliseconds."""

from __future__ import annotations

from pathlib import Path

from tests.samples import BAD, GOOD, NEUTRAL

__all__ = ["TINY", "WORDS", "save_tokenizer", "write_bert", "write_gpt", "write_t5"]

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *NEUTRAL, *"0123456789", *".,!?"]

# The kind of checkpoint for each task; bert for all others.
TINY = {**dict.fromkeys(("chat", "clm", "code", "dpo", "summarization"), "gpt"), "translation": "t5"}


def write_bert(folder: Path, *, positions: int = 64) -> None:
    """Write a BERT checkpoint whose longest input is `positions` tokens, with its tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=positions,
    )
    BertModel(config).save_pretrained(folder)
    save_tokenizer(folder, positions=positions)


def write_gpt(folder: Path, *, positions: int = 64) -> None:
    """Write a Llama checkpoint whose longest input is `positions` tokens, with its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=positions,
        bos_token_id=WORDS.index("[CLS]"),
        eos_token_id=WORDS.index("[SEP]"),
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    save_tokenizer(folder, positions=positions, bos_token="[CLS]", eos_token="[SEP]")


def write_t5(folder: Path) -> None:
    """Write a T5 checkpoint with its tokenizer."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(WORDS),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=WORDS.index("[PAD]"),
        eos_token_id=WORDS.index("[SEP]"),
        decoder_start_token_id=WORDS.index("[PAD]"),
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    save_tokenizer(folder, eos_token="[SEP]")


def save_tokenizer(folder: Path, *, positions: int = 64, **special: str) -> None:
    """Write a word-level BERT tokenizer over WORDS. special: further roles of its special tokens, such as eos_token."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ids = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=positions,
        **special,
    ).save_pretrained(folder)
