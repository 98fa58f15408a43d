"""Load a checkpoint's model and tokenizer. Each problem is an error of one line, and no code of the checkpoint runs.

Only safetensors files are opened, because pickle files can run code. A config that asks for remote code is refused
before transformers reads it (CVE-2026-4372, CVE-2026-5241: a config.json alone could start code from the Hub).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers import AddedToken, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from llmkit.base.errors import ModelError, shorten_list
from llmkit.base.quiet import quiet
from llmkit.base.seeds import derive_seed
from llmkit.models import lstm  # noqa: F401  # registers the LSTM with the Auto classes

__all__ = [
    "check_folder",
    "check_head",
    "get_max_length",
    "has_head",
    "load_pretrained",
    "load_tokenizer",
    "set_bias",
]

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model")
# Other endings of the architecture names of a head.
HEAD_ALIASES = {
    "ForCausalLM": ("LMHeadModel",),
    "ForMaskedLM": ("ForPreTraining",),
    "ForSeq2SeqLM": ("ForConditionalGeneration", "MTModel"),
}
CODE_KEYS = ("auto_map", "trust_remote_code", "custom_pipelines", "_attn_implementation_internal")
NAME_ANOTHER = (
    "name a local folder with config.json, tokenizer.json and *.safetensors, a Hub id, or index:NAME"
)


def load_tokenizer(
    folder: Path, *, weights: bool = True, special: Sequence[str] = ()
) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint.

    A tokenizer without a padding token, as those of many GPT models, uses its end token for padding: padding is masked.

    Args:
        folder: The checkpoint's folder.
        weights: Whether the folder must hold a model; False for the folder of an adapter or of a tokenizer alone.
        special: Special tokens to add, which a task needs.

    Raises:
        ModelError: M01, there is no tokenizer; S07, it has neither a padding nor an end token; and the errors of
            `check_folder`.
    """
    if weights:
        check_folder(folder)
    elif (folder / "config.json").is_file():
        _refuse_code(folder, _read_config(folder))
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError(
            "M01", str(folder), f"contains no tokenizer ({shorten_list(TOKENIZER_FILES)})", NAME_ANOTHER
        )
    try:
        with quiet():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        message = f"contains no tokenizer that can be loaded ({_first_line(error)})"
        raise ModelError("M01", str(folder), message, NAME_ANOTHER) from error
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            message = "the tokenizer has neither a padding token nor an end token"
            raise ModelError("S07", str(folder), message, NAME_ANOTHER)
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_pretrained(
    folder: Path,
    auto_class: str,
    head: Mapping[str, Any],
    *,
    new_head: bool,
    seed: int,
    tokenizer: PreTrainedTokenizerBase,
    bias: Sequence[float] | None = None,
) -> PreTrainedModel:
    """Load a checkpoint in float32 under the head of a task.

    A checkpoint without a padding token gets that of the tokenizer, because GPT-type classification heads read the last
    token before the padding.

    Args:
        folder: The checkpoint's folder.
        auto_class: The Auto class of transformers, such as AutoModelForSequenceClassification.
        head: Entries of the config that describe the head (num_labels, id2label, ...).
        new_head: Whether to replace a head that the checkpoint has.
        seed: Initializes a head the checkpoint lacks, and the embeddings of tokens added to the tokenizer.
        tokenizer: The tokenizer of the checkpoint.
        bias: The initial bias of a new head, one number per output.

    Raises:
        ModelError: L11, the checkpoint has a head for other labels; M01, it cannot be loaded; and the errors of
            `check_folder`.
    """
    check_head(folder, auto_class, head, new_head=new_head)
    torch.manual_seed(derive_seed(seed, "head"))
    try:
        with quiet():
            model: PreTrainedModel = getattr(transformers, auto_class).from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                ignore_mismatched_sizes=new_head,
                local_files_only=True,
                **head,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        message = f"cannot be loaded ({_first_line(error)})"
        raise ModelError("M01", str(folder), message, NAME_ANOTHER) from error
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    _grow_embeddings(model, len(tokenizer), seed)
    if bias is not None and (new_head or not has_head(check_folder(folder), auto_class)):
        set_bias(model, bias)
    return model


def set_bias(model: PreTrainedModel, bias: Sequence[float]) -> None:
    """Set the bias of the last linear layer, the head. Heads of GPT-type models have no bias and stay as they are."""
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    if linear[-1].bias is not None:
        with torch.no_grad():
            linear[-1].bias.copy_(torch.tensor(bias))


def _grow_embeddings(model: PreTrainedModel, tokens: int, seed: int) -> None:
    """Add embeddings up to `tokens`, drawn with the mean and the standard deviation of the existing ones.

    transformers scales the variance of new embeddings by 1e-9, so that all new tokens would begin almost identical.
    """
    existing = int(model.get_input_embeddings().num_embeddings)  # type: ignore[arg-type]
    if tokens <= existing:
        return
    torch.manual_seed(derive_seed(seed, "tokens"))
    with quiet():
        model.resize_token_embeddings(tokens, mean_resizing=False)
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    with torch.no_grad():
        deviation, mean = torch.std_mean(weight[:existing], dim=0)
        weight[existing:] = mean + deviation * torch.randn_like(weight[existing:])


def has_head(config: Mapping[str, Any], auto_class: str) -> bool:
    """Return whether the checkpoint with this config was saved with the head of an Auto class."""
    suffix = auto_class.removeprefix("AutoModel")
    endings = (suffix, *HEAD_ALIASES.get(suffix, ()))
    return any(name.endswith(endings) for name in config.get("architectures") or [])


def check_folder(folder: Path) -> dict[str, Any]:
    """Check the files of a checkpoint before transformers opens them, and return its config.json.

    Raises:
        ModelError: M01, the folder is no model; M02, its weights are pickle files; M03, its weights are damaged;
            M06, its config asks to run code.
    """
    config = _read_config(folder)
    _refuse_code(folder, config)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for kind in ("*.bin", "*.pt", "*.pth") for path in folder.glob(kind))
        if pickles:
            raise ModelError(
                "M02",
                str(folder),
                f"has its weights only as pickle files ({shorten_list(pickles)}), which can run code",
                "convert it on a machine you trust (model.save_pretrained writes safetensors), "
                "then name the new folder",
            )
        raise ModelError("M01", str(folder), "has no *.safetensors weights", NAME_ANOTHER)
    for path in weights:
        try:
            with safe_open(path, framework="pt") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            message = f"is damaged or incomplete ({_first_line(error)})"
            raise ModelError("M03", str(path), message, "download or copy it again") from error
    return config


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        message = f"is not a model folder (config.json: {_first_line(error)})"
        raise ModelError("M01", str(folder), message, NAME_ANOTHER) from error
    return config


def get_max_length(folder: Path, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the largest number of tokens, including special tokens, that the checkpoint's positions allow."""
    config = check_folder(folder)
    positions = config.get("max_position_embeddings") or config.get("n_positions") or sys.maxsize
    return min(int(positions), int(tokenizer.model_max_length))


def _refuse_code(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise ModelError M06 when the config asks to run code."""
    keys = [key for key in CODE_KEYS if config.get(key)]
    attention = config.get("_attn_implementation")
    if isinstance(attention, str) and "/" in attention:  # the name of a kernel on the Hub
        keys.append("_attn_implementation")
    if keys:
        raise ModelError(
            "M06",
            str(folder / "config.json"),
            f"asks to run code that comes with the checkpoint ({shorten_list(keys)}), which llmkit never does",
            "use a checkpoint whose architecture is part of transformers",
        )


def check_head(folder: Path, auto_class: str, head: Mapping[str, Any], *, new_head: bool) -> None:
    """Raise ModelError L11 when the checkpoint has a head for other labels and no new head is wanted.

    Args:
        folder: The checkpoint's folder.
        auto_class: The Auto class of transformers.
        head: Entries of the config that describe the task's head; without num_labels any head of the class fits.
        new_head: Whether to replace a head that the checkpoint has.
    """
    config = check_folder(folder)
    if new_head or not has_head(config, auto_class) or "num_labels" not in head:
        return
    outputs, required = _get_output_names(config), _get_output_names(head)
    if outputs != required:
        raise ModelError(
            "L11",
            str(folder),
            f"has a head for {_describe_outputs(outputs)}, but the data has {_describe_outputs(required)}",
            "list the data's classes in the head's order in data.labels, or set model.new_head=true for a new head",
        )


def _get_output_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of a head's outputs: LABEL_0, LABEL_1, ... where the config names none."""
    names = list((config.get("id2label") or {}).values())
    return names or [f"LABEL_{number}" for number in range(config.get("num_labels", 2))]


def _describe_outputs(names: Sequence[str]) -> str:
    return f"{len(names)} labels ({shorten_list(names)})" if len(names) != 1 else f"1 output ({names[0]})"


def _first_line(error: Exception) -> str:
    """Return the first line of a library's message, at most 200 characters, without a full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]
