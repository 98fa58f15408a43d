"""llmkit: fine-tune and pretrain BERT- and GPT-type checkpoints, with results you can trust.

The command line is `llmkit`; the same from Python:

    import llmkit
    result = llmkit.finetune("sentiment", ["train.epochs=1"])
    result["scores"]["accuracy"]      # {'value': ..., 'low': ..., 'high': ..., 'n': ..., 'method': ...}

Names are loaded when first used, so that `import llmkit` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "embed", "evaluate", "finetune", "predict", "pretrain"]

_HOMES = {
    "finetune": "llmkit.commands.finetune",
    "pretrain": "llmkit.commands.finetune",
    "evaluate": "llmkit.commands.evaluate",
    "predict": "llmkit.commands.predict",
    "compare": "llmkit.commands.compare",
    "embed": "llmkit.commands.embed",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'llmkit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
