"""A model with new weights: its config from a recipe and a tokenizer, its weights from a seed.

    made = config(Scratch(shape="llama", layers=4, hidden=128), tokenizer, max_length=256)
    fresh = model(made, "AutoModelForCausalLM", {}, seed=1)

Sizes that the recipe does not name follow from it as in the papers: feed-forward layers 4 times as wide as the states
(Llama's three matrices 8/3, so that they have as many weights), embeddings tied to the output layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    BartConfig,
    BertConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
)

from llmkit.base.errors import RecipeError
from llmkit.base.seeds import derive
from llmkit.models.load import set_bias
from llmkit.models.lstm import LSTMConfig
from llmkit.models.quiet import quiet
from llmkit.recipe.schema import Scratch

__all__ = ["build_config", "build_model", "check_head", "configure_tokenizer", "count_parameters"]

Tokens = dict[str, Any]  # size of the vocabulary, ids of the special tokens

UNLIMITED = int(1e30)  # tokens: what transformers' tokenizers say
ENDLESS = ("t5", "lstm")  # no table of positions
MULTIPLE = 8  # of which llama's feed-forward width is one


def configure_tokenizer(tokenizer: PreTrainedTokenizerBase, scratch: Scratch, max_length: int) -> None:
    """Make the tokenizer, whoever it was made for, give what this model takes."""
    types = ["token_type_ids"] * (scratch.shape == "bert")
    tokenizer.model_input_names = ["input_ids", *types, "attention_mask"]
    tokenizer.model_max_length = UNLIMITED if scratch.shape in ENDLESS else max_length


def build_config(scratch: Scratch, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, Any]:
    """config.json of the model, as far as its head has no part in it. max_length: tokens that its positions reach."""
    tokens: Tokens = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    dropout = scratch.dropout if scratch.dropout is not None else 0.0 if scratch.shape == "llama" else 0.1
    made: dict[str, Any] = SHAPES[scratch.shape](scratch, tokens, dropout, max_length).to_dict()
    return made


def _bert(scratch: Scratch, tokens: Tokens, dropout: float, max_length: int) -> PreTrainedConfig:
    return BertConfig(
        **tokens,
        hidden_size=scratch.hidden,
        num_hidden_layers=scratch.layers,
        num_attention_heads=scratch.attention_heads,
        intermediate_size=4 * scratch.hidden,
        max_position_embeddings=max_length,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )


def _gpt2(scratch: Scratch, tokens: Tokens, dropout: float, max_length: int) -> PreTrainedConfig:
    return GPT2Config(
        **tokens,
        n_embd=scratch.hidden,
        n_layer=scratch.layers,
        n_head=scratch.attention_heads,
        n_positions=max_length,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
    )


def _llama(scratch: Scratch, tokens: Tokens, dropout: float, max_length: int) -> PreTrainedConfig:
    return LlamaConfig(
        **tokens,
        hidden_size=scratch.hidden,
        num_hidden_layers=scratch.layers,
        num_attention_heads=scratch.attention_heads,
        intermediate_size=-(-8 * scratch.hidden // (3 * MULTIPLE)) * MULTIPLE,  # rounded up
        max_position_embeddings=max_length,
        attention_dropout=dropout,
        tie_word_embeddings=True,
    )


def _t5(scratch: Scratch, tokens: Tokens, dropout: float, _: int) -> PreTrainedConfig:
    start: dict[str, Any] = {
        "decoder_start_token_id": tokens["pad_token_id"]
    }  # not among its declared fields
    return T5Config(
        **tokens,
        **start,
        d_model=scratch.hidden,
        num_layers=scratch.layers,
        num_decoder_layers=scratch.layers,
        num_heads=scratch.attention_heads,
        d_kv=scratch.hidden // scratch.attention_heads,
        d_ff=4 * scratch.hidden,
        dropout_rate=dropout,
    )


def _bart(scratch: Scratch, tokens: Tokens, dropout: float, max_length: int) -> PreTrainedConfig:
    return BartConfig(
        **tokens,
        d_model=scratch.hidden,
        encoder_layers=scratch.layers,
        decoder_layers=scratch.layers,
        encoder_attention_heads=scratch.attention_heads,
        decoder_attention_heads=scratch.attention_heads,
        encoder_ffn_dim=4 * scratch.hidden,
        decoder_ffn_dim=4 * scratch.hidden,
        max_position_embeddings=max_length,
        dropout=dropout,
        decoder_start_token_id=tokens["eos_token_id"],
        forced_eos_token_id=None,
    )


def _lstm(scratch: Scratch, tokens: Tokens, dropout: float, _: int) -> PreTrainedConfig:
    return LSTMConfig(**tokens, hidden_size=scratch.hidden, num_hidden_layers=scratch.layers, dropout=dropout)


SHAPES = {"bert": _bert, "gpt2": _gpt2, "llama": _llama, "t5": _t5, "bart": _bart, "lstm": _lstm}


def check_head(made: Mapping[str, Any], auto_class: str) -> None:
    """Raises RecipeError C10 where transformers has no such head for this shape."""
    kinds = getattr(transformers, auto_class)._model_mapping
    if type(AutoConfig.for_model(**made)) not in kinds:
        head = auto_class.removeprefix("AutoModelFor")
        message = f"{made['model_type']} has no head for this task ({head})"
        raise RecipeError("C10", "model.from_scratch.shape", message, "choose another shape")


def build_model(
    made: Mapping[str, Any],
    auto_class: str,
    head: Mapping[str, Any],
    *,
    seed: int,
    bias: Sequence[float] | None = None,
) -> PreTrainedModel:
    """The model of this config under this task's head, in float32: equal for equal seeds, whatever ran before.

    head goes to its config (num_labels, id2label ...); bias: what the head answers before it is trained.
    """
    torch.manual_seed(derive(seed, "weights"))
    found = _built(made, auto_class, head)
    if bias is not None:
        set_bias(found, bias)
    return found


def count_parameters(made: Mapping[str, Any], auto_class: str, head: Mapping[str, Any]) -> int:
    """Parameters of the model, without making it; tied ones once."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in _built(made, auto_class, head).parameters())


def _built(made: Mapping[str, Any], auto_class: str, head: Mapping[str, Any]) -> PreTrainedModel:
    with quiet():
        found: PreTrainedModel = getattr(transformers, auto_class).from_config(
            AutoConfig.for_model(**{**made, **head}), dtype=torch.float32
        )
    return found
