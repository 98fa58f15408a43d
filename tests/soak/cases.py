"""Short runs of every task with random settings; each takes a second or two."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.checkpoints import TINY, write_bert, write_gpt, write_t5
from tests.samples import write_recipe

__all__ = ["Case", "draw_case", "write_checkpoints"]

WRITERS = {"bert": write_bert, "gpt": write_gpt, "t5": write_t5}
DROPOUTS = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "dropout_rate": 0.0}
ROWS = 60
COMMON = (
    "train.epochs=null",
    "evaluate.baselines=false",
    "evaluate.resamples=100",
    "data.validation_share=0.15",
)
NEW = {
    "clm": ("lstm", "gpt2"),
    "classification": ("bert",),
    "mlm": ("bert",),
    "translation": ("bart",),
}


@dataclass(frozen=True)
class Case:
    """A task and its settings.

    Attributes:
        number: Number of the case.
        task: Name of the task.
        recipe: The recipe file.
        overrides: Overrides of the recipe.
    """

    number: int
    task: str
    recipe: Path
    overrides: tuple[str, ...]

    def command(self, folder: Path, *changes: str) -> list[str]:
        """Return the arguments that start or resume the run in folder/run.

        `changes` replace overrides of the same key.
        """
        settings = {text.partition("=")[0]: text for text in (*self.overrides, *changes)}
        return ["finetune", str(self.recipe), *settings.values(), "--out", str(folder / "run"), "--resume"]


def write_checkpoints(folder: Path) -> None:
    """Write checkpoints named bert, gpt and t5, and the same without dropout: bert-no-dropout, ..."""
    for name, write in WRITERS.items():
        for kind in (name, f"{name}-no-dropout"):
            (folder / kind).mkdir(parents=True)
            write(folder / kind)
        config = json.loads((folder / kind / "config.json").read_text())
        changes = {key: value for key, value in DROPOUTS.items() if key in config}
        (folder / kind / "config.json").write_text(json.dumps(config | changes))


def draw_case(
    number: int, task: str, rng: random.Random, folder: Path, models: Path, *, no_dropout: bool = False
) -> Case:
    """Return a case with random settings.

    With `no_dropout`, results do not depend on how a step is split: dropout masks differ between splits.
    """
    case_folder = folder / f"case-{number}"
    case_folder.mkdir(parents=True)
    model = models / (TINY.get(task, "bert") + "-no-dropout" * no_dropout)
    recipe = write_recipe(task, case_folder, model, count=ROWS)
    overrides = [*COMMON, *_draw_settings(rng, task), *(() if no_dropout else _draw_model(rng, task, model))]
    return Case(number, task, recipe, tuple(overrides))


def _draw_settings(rng: random.Random, task: str) -> list[str]:
    from llmkit import tasks

    spec = tasks.load({"name": task}).spec
    best = rng.choice(["loss", *(name for name in spec.metrics[:2] if spec.validation_metrics == ())])
    return [
        f"seed={rng.randrange(1000)}",
        f"train.max_steps={rng.randint(9, 16)}",
        f"train.micro_batch_tokens={rng.choice(['auto', 48, 96])}",
        f"train.early_stopping={rng.choice(['null', 2, 3])}",
        f"train.schedule={rng.choice(['linear', 'cosine', 'constant'])}",
        f"evaluate.best={best}",
        f"evaluate.every_steps={rng.randint(2, 5)}",
        f"checkpoint.every_steps={rng.randint(1, 4)}",
        f"checkpoint.keep={rng.randint(2, 3)}",
    ]


def _draw_model(rng: random.Random, task: str, model: Path) -> Sequence[str]:
    """Return settings that train all weights, an adapter, or a new model."""
    kind = rng.choice(["full", "full", "lora", "new" if task in NEW else "lora"])
    if kind == "full" and needs_adapter(task):
        kind = "lora"
    if kind == "lora":
        return [
            "model.lora.rank=4",
            "model.lora.dropout=0.1",
            f"model.lora.merge={rng.choice(['false'] if needs_adapter(task) else ['true', 'false'])}",
        ]
    if kind == "full":
        return []
    shape = f"model.from_scratch.shape={rng.choice(NEW[task])}"
    return ["model.name=null", f"model.tokenizer={model}", shape, "model.from_scratch.hidden=16"]


def needs_adapter(task: str) -> bool:
    from llmkit import tasks

    return tasks.load({"name": task}).spec.needs_adapter
