"""The Chinese ALBERT of the package monpa as a checkpoint: its own files in, a plain `transformers` folder out.

The package holds the weights as a pickled state dict, its own configuration and one character a line. The
pickle is read as tensors only (`weights_only`), so nothing in it can run. Its encoder bears the names of
`transformers.AlbertModel` already; the heads for word boundaries, parts of speech and entities are left out.
Example: `save(weights, config, vocabulary, folder)`, then `AutoModel.from_pretrained(folder)`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import AlbertConfig, PreTrainedTokenizerFast

__all__ = ["read_vocabulary", "save_checkpoint"]

ENCODER = "albert."  # the prefix of the encoder's weights; all others belong to the heads
SPACE = "[SP]"  # how the package writes a space in its vocabulary
LAYER_NORM_EPS = 1e-12  # the default of the package's own AlbertConfig; its file does not name it
SHAPE = (  # what is read of the package's configuration; its other keys never reach the arithmetic
    *("vocab_size", "embedding_size", "hidden_size", "intermediate_size", "hidden_act"),
    *("num_hidden_layers", "num_hidden_groups", "inner_group_num", "num_attention_heads"),
    *("max_position_embeddings", "type_vocab_size", "initializer_range"),
    *("hidden_dropout_prob", "attention_probs_dropout_prob"),
)


def save_checkpoint(weights: Path, config: Path, vocabulary: Path, folder: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer into `folder`.

    The files are pinned, so what torch raises here is never the user's mistake: RuntimeError when a weight is
    missing, left over or of another shape, UnpicklingError when the file holds more than tensors.
    """
    from transformers import AlbertModel

    tokens = read_vocabulary(vocabulary.read_text(encoding="utf-8"))
    shape = _config(json.loads(config.read_text(encoding="utf-8")), tokens)
    model = AlbertModel(shape)
    model.load_state_dict(_encoder(weights))
    model.save_pretrained(folder)
    _tokenizer(tokens, shape.max_position_embeddings).save_pretrained(folder)


def read_vocabulary(lines: str) -> dict[str, int]:
    """Token -> id, as the package counts: the second line of a token takes no id, so later ones move up.

    The file has "1" twice, and by its line numbers every character after it would get its neighbour's vector.
    """
    names = [line.replace("\t", " ").partition(" ")[0] for line in lines.removesuffix("\n").split("\n")]
    tokens = (" " if name == SPACE else name for name in names)
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def _config(own: dict[str, Any], tokens: dict[str, int]) -> AlbertConfig:
    from transformers import AlbertConfig

    return AlbertConfig(
        **{name: own[name] for name in SHAPE},
        layer_norm_eps=LAYER_NORM_EPS,
        pad_token_id=tokens["[PAD]"],
        bos_token_id=tokens["[CLS]"],
        eos_token_id=tokens["[SEP]"],
    )


def _encoder(weights: Path) -> dict[str, Any]:
    """The encoder's tensors under the names of AlbertModel."""
    import torch

    state = torch.load(weights, map_location="cpu", weights_only=True)
    return {name.removeprefix(ENCODER): tensor for name, tensor in state.items() if name.startswith(ENCODER)}


def _tokenizer(tokens: dict[str, int], max_length: int) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=_by_character(tokens),
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "cls", "sep", "mask", "unk")},
    )


def _by_character(tokens: dict[str, int]) -> Tokenizer:
    """One token a character, as the package's own tokenizer makes them: case, width and form stay.

    A space is a token; spaces at the ends and control characters are dropped. One thing differs: an unknown
    character becomes [UNK], where the package takes the token of the space, so that it can be counted.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

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
