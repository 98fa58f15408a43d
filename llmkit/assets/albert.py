"""Convert the Chinese ALBERT of the package monpa to a checkpoint that transformers opens.

The package contains the weights as a pickled state dict, its own configuration, and a vocabulary with one character per
line. The pickle is loaded with `weights_only`, so no code in it can run. The encoder's weights already have the names
of `transformers.AlbertModel`; the heads for word boundaries, parts of speech and entities are left out.

Example: `save_checkpoint(weights, config, vocabulary, folder)`, then `AutoModel.from_pretrained(folder)`.
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

__all__ = ["read_vocabulary", "save_checkpoint"]

ENCODER = "albert."  # prefix of the encoder's weights; all other weights belong to the heads
SPACE = "[SP]"  # how the package's vocabulary writes a space
LAYER_NORM_EPS = 1e-12  # default of the package's AlbertConfig; the configuration file does not contain it
CONFIG_KEYS = (  # the keys of the package's configuration that affect the computation
    *("vocab_size", "embedding_size", "hidden_size", "intermediate_size", "hidden_act"),
    *("num_hidden_layers", "num_hidden_groups", "inner_group_num", "num_attention_heads"),
    *("max_position_embeddings", "type_vocab_size", "initializer_range"),
    *("hidden_dropout_prob", "attention_probs_dropout_prob"),
)


def save_checkpoint(weights: Path, config: Path, vocabulary: Path, folder: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer into a folder.

    The files are pinned, so errors are never the user's mistake and keep their Python types.

    Args:
        weights: The pickled state dict.
        config: The package's configuration in JSON.
        vocabulary: The package's vocabulary.
        folder: The folder to write to.

    Raises:
        RuntimeError: A weight is missing, unexpected, or has the wrong shape.
        UnpicklingError: The pickle contains more than tensors.
    """
    import torch
    from transformers import AlbertConfig, AlbertModel, PreTrainedTokenizerFast

    tokens = read_vocabulary(vocabulary.read_text(encoding="utf-8"))
    package_config = json.loads(config.read_text(encoding="utf-8"))
    albert_config = AlbertConfig(
        **{name: package_config[name] for name in CONFIG_KEYS},
        layer_norm_eps=LAYER_NORM_EPS,
        pad_token_id=tokens["[PAD]"],
        bos_token_id=tokens["[CLS]"],
        eos_token_id=tokens["[SEP]"],
    )
    state = torch.load(weights, map_location="cpu", weights_only=True)
    model = AlbertModel(albert_config)
    model.load_state_dict(
        {name.removeprefix(ENCODER): tensor for name, tensor in state.items() if name.startswith(ENCODER)}
    )
    model.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=_make_tokenizer(tokens),
        model_max_length=albert_config.max_position_embeddings,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "cls", "sep", "mask", "unk")},
    )
    tokenizer.save_pretrained(folder)


def read_vocabulary(lines: str) -> dict[str, int]:
    """Return token -> id, numbered as the package does: the second line of a repeated token gets no id.

    The file contains "1" twice. Numbering by lines would give every later character the vector of its neighbour.
    """
    names = [line.replace("\t", " ").partition(" ")[0] for line in lines.removesuffix("\n").split("\n")]
    tokens = (" " if name == SPACE else name for name in names)
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def _make_tokenizer(tokens: dict[str, int]) -> Tokenizer:
    """Make a tokenizer with one token per character, like the package's own; it changes no case, width or form.

    A space is a token. Leading and trailing spaces and control characters are dropped. One thing differs from the
    package: an unknown character becomes [UNK] instead of the space's token, so that unknown characters can be counted.
    """
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Strip(),
            normalizers.Replace(Regex(r"[\t\n\r\p{Zs}]"), " "),
            normalizers.Replace(Regex(r"[\p{Cc}\p{Cf}\x{FFFD}]"), ""),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokens[name]) for name in ("[CLS]", "[SEP]")],
    )
    return tokenizer
