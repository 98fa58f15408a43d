"""From a name to a model and its tokenizer, with every doubt said in one line and no code of the checkpoint run.

Only safetensors are opened (pickle can run code), and a config that asks for remote code is refused before
transformers reads it (CVE-2026-4372, CVE-2026-5241: a config.json alone could start code from the Hub).
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

from llmkit.base.errors import ErrorDetail, ModelError, some
from llmkit.base.seeds import derive
from llmkit.models import lstm  # noqa: F401  # the Auto classes then know it
from llmkit.models.quiet import quiet

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
ALSO = {  # other names of a head
    "ForCausalLM": ("LMHeadModel",),
    "ForMaskedLM": ("ForPreTraining",),
    "ForSeq2SeqLM": ("ForConditionalGeneration", "MTModel"),
}
REFUSED = ("auto_map", "trust_remote_code", "custom_pipelines", "_attn_implementation_internal")


def load_tokenizer(
    folder: Path, *, weights: bool = True, special: Sequence[str] = ()
) -> PreTrainedTokenizerBase:
    """The checkpoint's own tokenizer, with the special tokens that a task needs. ModelError M01 when it has none.

    weights is False for a folder of an adapter or a tokenizer, which needs no config of its own.
    """
    if weights:
        check_folder(folder)
    elif (folder / "config.json").is_file():
        _refuse_code(folder, _config(folder))
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError("M01", str(folder), f"holds no tokenizer ({some(TOKENIZER_FILES)})", TRY_ANOTHER)
    try:
        with quiet():
            found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError("M01", str(folder), f"holds no tokenizer ({_short(error)})", TRY_ANOTHER) from error
    found.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return _with_padding(folder, found)


def _with_padding(folder: Path, found: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """GPT-type tokenizers often have no padding token; their end token serves, as it is masked anyway."""
    if found.pad_token is None:
        if found.eos_token is None:
            problem = ErrorDetail(
                "S07", str(folder), "the tokenizer has neither a padding nor an end token", TRY_ANOTHER
            )
            raise ModelError.of(problem)
        found.pad_token = found.eos_token
    return found


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
    """The checkpoint under this task's head, in float32; head goes to its config (num_labels, id2label ...).

    The padding token is told to checkpoints that don't know theirs: GPT-type heads read the last token before the
    padding. A head that the checkpoint lacks is drawn from the seed, and so are the embeddings of tokens that the
    tokenizer has been given. bias: what a drawn head answers before it is trained, one number for each output.
    Raises ModelError L11 when it has a head for other labels.
    """
    check_head(folder, auto_class, head, new_head=new_head)
    torch.manual_seed(derive(seed, "head"))
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
        raise ModelError("M01", str(folder), f"can't be loaded ({_short(error)})", TRY_ANOTHER) from error
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    _grow(model, len(tokenizer), seed)
    if bias is not None and (new_head or not has_head(check_folder(folder), auto_class)):
        set_bias(model, bias)
    return model


def set_bias(model: PreTrainedModel, bias: Sequence[float]) -> None:
    """The head is the last linear layer; that of GPT types has no bias."""
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    if linear[-1].bias is not None:
        with torch.no_grad():
            linear[-1].bias.copy_(torch.tensor(bias))


def _grow(model: PreTrainedModel, tokens: int, seed: int) -> None:
    """Rows for tokens beyond the embedding, each number drawn with the mean and deviation of the known ones.

    transformers draws them with a variance scaled by 1e-9, so that all new tokens would begin as the same one.
    """
    known = int(model.get_input_embeddings().num_embeddings)  # type: ignore[arg-type]
    if tokens <= known:
        return
    torch.manual_seed(derive(seed, "tokens"))
    with quiet():
        model.resize_token_embeddings(tokens, mean_resizing=False)
    rows = model.get_input_embeddings().weight
    assert isinstance(rows, torch.Tensor)
    with torch.no_grad():
        spread, mean = torch.std_mean(rows[:known], dim=0)
        rows[known:] = mean + spread * torch.randn_like(rows[known:])


def has_head(config: dict[str, Any], auto_class: str) -> bool:
    """Whether the checkpoint was saved with a head of this kind."""
    kind = auto_class.removeprefix("AutoModel")
    ends = (kind, *ALSO.get(kind, ()))
    return any(name.endswith(ends) for name in config.get("architectures") or [])


def check_folder(folder: Path) -> dict[str, Any]:
    """Look at the files before transformers does; returns config.json.

    Raises ModelError: M01 no model there, M02 only pickle weights, M03 damaged weights, M06 wants to run its own code.
    """
    config = _config(folder)
    _refuse_code(folder, config)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for kind in ("*.bin", "*.pt", "*.pth") for path in folder.glob(kind))
        if pickles:
            raise ModelError(
                "M02",
                str(folder),
                f"has weights as pickle only ({some(pickles)}), which can run code",
                PICKLE,
            )
        raise ModelError("M01", str(folder), "has no *.safetensors weights", TRY_ANOTHER)
    for path in weights:
        _check_weights(path)
    return config


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise ModelError(
            "M01", str(folder), f"is no model folder (config.json: {_short(error)})", TRY_ANOTHER
        ) from error
    return config


TRY_ANOTHER = (
    "name a local folder with config.json, tokenizer.json and *.safetensors, a Hub id, or index:NAME"
)
PICKLE = (
    "convert it on a machine you trust (model.save_pretrained writes safetensors) and name the new folder"
)


def get_max_length(folder: Path, found: PreTrainedTokenizerBase) -> int:
    """The most tokens (special ones included) that this checkpoint's positions reach."""
    config = check_folder(folder)
    positions = config.get("max_position_embeddings") or config.get("n_positions") or sys.maxsize
    return min(int(positions), int(found.model_max_length))


def _refuse_code(folder: Path, config: dict[str, Any]) -> None:
    asked = [key for key in REFUSED if config.get(key)]
    attention = config.get("_attn_implementation")
    if isinstance(attention, str) and "/" in attention:
        asked.append("_attn_implementation")
    if asked:
        raise ModelError(
            "M06",
            str(folder / "config.json"),
            f"asks to run code that comes with the checkpoint ({some(asked)}), which llmkit never does",
            "use a checkpoint of an architecture that transformers has built in",
        )


def _check_weights(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        raise ModelError(
            "M03", str(path), f"is damaged or cut short ({_short(error)})", "fetch or copy it again"
        ) from error


def check_head(folder: Path, auto_class: str, head: Mapping[str, Any], *, new_head: bool) -> None:
    """Raises ModelError L11 when the checkpoint has a head for other labels and no new one is asked for.

    head: the config entries that the task wants; without num_labels any head of the class fits.
    """
    config = check_folder(folder)
    if new_head or not has_head(config, auto_class) or "num_labels" not in head:
        return
    found, wanted = _outputs(config), _outputs(head)
    if found != wanted:
        raise ModelError(
            "L11",
            str(folder),
            f"has a head for {_counted(found)}, the data has {_counted(wanted)}",
            "name the data's classes in that order with data.labels, or set model.new_head=true for a new head",
        )


def _outputs(config: Mapping[str, Any]) -> list[str]:
    """Names of a head's outputs; LABEL_0 ... where the config has none."""
    named = list((config.get("id2label") or {}).values())
    return named or [f"LABEL_{number}" for number in range(config.get("num_labels", 2))]


def _counted(labels: Sequence[str]) -> str:
    return f"{len(labels)} labels ({some(labels)})" if len(labels) != 1 else f"1 output ({labels[0]})"


def _short(error: Exception) -> str:
    """The first line of a library's message, without its full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]
