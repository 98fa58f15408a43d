"""llmkit: fine-tune and pretrain BERT- and GPT-type checkpoints, with results you can trust.

Every command of the `llmkit` command line is also a Python function:

    import llmkit
    result = llmkit.finetune("sentiment", ["train.epochs=1"])
    result["scores"]["accuracy"]      # {'value': ..., 'low': ..., 'high': ..., 'n': ..., 'method': ...}

The functions are loaded on first use, so `import llmkit` loads neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "embed", "evaluate", "finetune", "predict", "pretrain"]

MODULES = {
    "finetune": "llmkit.commands.finetune",
    "pretrain": "llmkit.commands.finetune",
    "evaluate": "llmkit.commands.evaluate",
    "predict": "llmkit.commands.predict",
    "compare": "llmkit.commands.compare",
    "embed": "llmkit.commands.embed",
}


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in MODULES:
        raise AttributeError(f"module 'llmkit' has no attribute {name!r}")
    function: Callable[..., Any] = getattr(import_module(MODULES[name]), name)
    return function
