"""Build a model with new weights: its config from a recipe and a tokenizer, its weights from a seed.

    config = build_config(Scratch(shape="llama", layers=4, hidden=128), tokenizer, max_length=256)
    model = build_model(config, "AutoModelForCausalLM", {}, seed=1)

Sizes that the recipe does not give follow the papers: feed-forward layers are 4 times as wide as the hidden states (8/3
times in Llama, whose three matrices then have as many weights), and embeddings are tied to the output layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transformers
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from llmkit.base.errors import RecipeError
from llmkit.base.quiet import quiet
from llmkit.base.seeds import derive_seed
from llmkit.models import lstm  # noqa: F401  # registers the LSTM with the Auto classes
from llmkit.models.load import set_bias
from llmkit.recipe.schema import Scratch

__all__ = ["build_config", "build_model", "check_head", "configure_tokenizer", "count_parameters"]

UNLIMITED = int(1e30)  # tokens: the value of transformers' tokenizers
WITHOUT_POSITIONS = ("t5", "lstm")  # no table of positions, so no limit of the length
LLAMA_MULTIPLE = 8  # Llama's feed-forward width is a multiple of this


def configure_tokenizer(tokenizer: PreTrainedTokenizerBase, scratch: Scratch, max_length: int) -> None:
    """Set which inputs the tokenizer returns and its longest input, as the new model needs them.

    Args:
        tokenizer: Any tokenizer, also one made for another architecture.
        scratch: The recipe's settings of the new model.
        max_length: The largest number of tokens of an input; shapes without positions have no limit.
    """
    types = ["token_type_ids"] * (scratch.shape == "bert")
    tokenizer.model_input_names = ["input_ids", *types, "attention_mask"]
    tokenizer.model_max_length = UNLIMITED if scratch.shape in WITHOUT_POSITIONS else max_length


def build_config(scratch: Scratch, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, Any]:
    """Build the content of config.json, without the entries of a head.

    Args:
        scratch: The recipe's settings of the new model.
        tokenizer: The tokenizer, for the size of the vocabulary and the special tokens.
        max_length: The number of positions, in tokens.
    """
    tokens: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if scratch.shape == "t5":
        tokens["decoder_start_token_id"] = tokenizer.pad_token_id
    if scratch.shape == "bart":
        tokens |= {"decoder_start_token_id": tokenizer.eos_token_id, "forced_eos_token_id": None}
    sizes = _get_sizes(scratch, max_length)
    config: dict[str, Any] = AutoConfig.for_model(scratch.shape, **tokens, **sizes).to_dict()
    return config


def _get_sizes(scratch: Scratch, max_length: int) -> dict[str, Any]:
    """Return the sizes and the dropout of the model under the names that its config class has for them."""
    hidden, layers, heads = scratch.hidden, scratch.layers, scratch.attention_heads
    dropout = scratch.dropout if scratch.dropout is not None else 0.0 if scratch.shape == "llama" else 0.1
    match scratch.shape:
        case "bert":
            return {
                "hidden_size": hidden,
                "num_hidden_layers": layers,
                "num_attention_heads": heads,
                "intermediate_size": 4 * hidden,
                "max_position_embeddings": max_length,
                "hidden_dropout_prob": dropout,
                "attention_probs_dropout_prob": dropout,
            }
        case "gpt2":
            sizes = {"n_embd": hidden, "n_layer": layers, "n_head": heads, "n_positions": max_length}
            return {**sizes, "resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
        case "llama":
            return {
                "hidden_size": hidden,
                "num_hidden_layers": layers,
                "num_attention_heads": heads,
                "intermediate_size": -(-8 * hidden // (3 * LLAMA_MULTIPLE)) * LLAMA_MULTIPLE,  # rounded up
                "max_position_embeddings": max_length,
                "attention_dropout": dropout,
                "tie_word_embeddings": True,
            }
        case "t5":
            return {
                "d_model": hidden,
                "num_layers": layers,
                "num_decoder_layers": layers,
                "num_heads": heads,
                "d_kv": hidden // heads,
                "d_ff": 4 * hidden,
                "dropout_rate": dropout,
            }
        case "bart":
            both = {"layers": layers, "attention_heads": heads, "ffn_dim": 4 * hidden}
            sizes = {f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in both.items()}
            return {"d_model": hidden, **sizes, "max_position_embeddings": max_length, "dropout": dropout}
        case "lstm":
            return {"hidden_size": hidden, "num_hidden_layers": layers, "dropout": dropout}


def check_head(config: Mapping[str, Any], auto_class: str) -> None:
    """Raise RecipeError C10 when transformers has no head of this Auto class for the architecture."""
    classes = getattr(transformers, auto_class)._model_mapping
    if type(AutoConfig.for_model(**config)) not in classes:
        head = auto_class.removeprefix("AutoModelFor")
        message = f"{config['model_type']} has no head for this task ({head})"
        raise RecipeError("C10", "model.from_scratch.shape", message, "choose another shape")


def build_model(
    config: Mapping[str, Any],
    auto_class: str,
    head: Mapping[str, Any],
    *,
    seed: int,
    bias: Sequence[float] | None = None,
) -> PreTrainedModel:
    """Build a model in float32. The weights depend only on the seed.

    Args:
        config: The config from `build_config`.
        auto_class: The Auto class of transformers.
        head: Entries of the config that describe the head (num_labels, id2label, ...).
        seed: Initializes the weights.
        bias: The initial bias of the head, one number per output.
    """
    torch.manual_seed(derive_seed(seed, "weights"))
    model = _instantiate(config, auto_class, head)
    if bias is not None:
        set_bias(model, bias)
    return model


def count_parameters(config: Mapping[str, Any], auto_class: str, head: Mapping[str, Any]) -> int:
    """Return the number of parameters without allocating them; tied parameters count once."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in _instantiate(config, auto_class, head).parameters())


def _instantiate(config: Mapping[str, Any], auto_class: str, head: Mapping[str, Any]) -> PreTrainedModel:
    with quiet():
        model: PreTrainedModel = getattr(transformers, auto_class).from_config(
            AutoConfig.for_model(**{**config, **head}), dtype=torch.float32
        )
    return model
