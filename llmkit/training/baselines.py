"""Run the baselines that a model is compared with on one split.

    run_neural(training, "test")   ->   {"untuned": ..., "lstm": ...}
    run_simple(prepared, "test")   ->   {"majority": ..., "tfidf": ...}, []

The baselines themselves are in `tasks._shared.baselines`; this module selects them and gives them what they need.
All baselines learn from the training examples of the model and depend on the recipe's `seed` alone, so that several
training seeds are compared with the same baselines. Those that need torch run in all processes together.
Shapes: N examples, D dimensions of an embedding.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmkit.base.progress import SILENT
from llmkit.base.seeds import derive_seed
from llmkit.data.sampler import plan_steps, steps_per_epoch
from llmkit.engine.optim import Schedule, build_adamw
from llmkit.engine.train import train as run_steps
from llmkit.inference.embedding import Embedder, embed_texts
from llmkit.models import load, sentence_embedding
from llmkit.models.lstm_classifier import LstmClassifier, assign_embedding_rows
from llmkit.tasks.protocol import BaselineInputs, take
from llmkit.training.model import load_model
from llmkit.training.prepare import Prepared, available_baselines
from llmkit.training.training_run import TrainingRun
from llmkit.training.validation import tune

if TYPE_CHECKING:
    from torch import nn

    from llmkit.recipe.schema import Recipe
    from llmkit.tasks.protocol import Arrays, Baseline, Examples, Task

__all__ = ["run_neural", "run_simple", "selected"]

SLOW = "lstm"  # runs only if the recipe names it
MAX_EMBEDDED = 2000  # training examples; more would hardly move the class means
MAX_CHARACTERS = 32 << 20  # that simple baselines learn from: their n-grams are held in memory
# Settings of the LSTM baseline, the same for every run.
LEARNING_RATE = 2e-3
BATCH_SIZE = 32
MAX_EPOCHS = 20
PATIENCE = 3  # epochs without a lower validation loss


def selected(task: Task, recipe: Recipe) -> dict[str, Baseline]:
    """Return the baselines that the recipe asks for, by name in the task's order."""
    requested, available = recipe.evaluate.baselines, available_baselines(task, recipe)
    if isinstance(requested, list):
        return {name: baseline for name, baseline in available.items() if name in requested}
    return {name: baseline for name, baseline in available.items() if requested and baseline.needs != SLOW}


def run_simple(prepared: Prepared, split: str) -> tuple[dict[str, Arrays], list[str]]:
    """Run the selected baselines that need no torch.

    Returns:
        Predictions by baseline, and a note where they learned from fewer examples than the model (very large data).
    """
    task, examples, seed = prepared.task, prepared.examples, prepared.recipe.seed
    train = examples.corpus.splits["train"]
    size = sum(len(text) for name in task.spec.inputs for text in train.column(name) if isinstance(text, str))
    notes = []
    if size > MAX_CHARACTERS:
        examples = _sample_training_set(examples, int(len(train) * MAX_CHARACTERS / size), seed, "simple")
        count = len(examples.corpus.splits["train"])
        notes = [f"the simple baselines learned from {count:,} of the {len(train):,} training examples"]
    inputs = BaselineInputs(examples, split, seed)
    return {
        name: baseline.predict(inputs)
        for name, baseline in selected(task, prepared.recipe).items()
        if baseline.needs == "examples" and baseline.predict
    }, notes


def run_neural(training: TrainingRun, split: str) -> dict[str, Arrays]:
    """Run the selected baselines that need the base model or an LSTM. All processes call it together.

    Returns:
        Predictions by baseline.
    """
    prepared = training.prepared
    session = replace(training.session, seed=prepared.recipe.seed)  # the same for every training seed
    training = replace(training, session=session)
    predictions: dict[str, Arrays] = {}
    for name, baseline in selected(prepared.task, prepared.recipe).items():
        if baseline.needs == "base_model":
            model = load_model(prepared, training.progress).to(session.device)
            predictions[name] = training.predict(model, split)
        elif baseline.needs == "embeddings":
            predictions[name] = _predict_from_embeddings(training, split, baseline)
        elif baseline.needs == "lstm":
            predictions[name] = _run_lstm(training, split)
    return predictions


def _sample_training_set(examples: Examples, count: int, seed: int, purpose: str) -> Examples:
    """Keep at most `count` training examples. The same seed and purpose always keep the same ones, in their order."""
    order = np.random.default_rng(derive_seed(seed, purpose)).permutation(
        len(examples.corpus.splits["train"])
    )
    rows = np.sort(order[:count])
    return replace(
        examples,
        corpus=examples.corpus.rearrange({"train": ("train", rows)}),
        references={**examples.references, "train": take(examples.references["train"], rows)},
    )


def _predict_from_embeddings(training: TrainingRun, split: str, baseline: Baseline) -> Arrays:
    """Predict with a classifier on the base model's embeddings. No gradients: it costs about one prediction pass."""
    assert baseline.predict, "a baseline on embeddings is a function"
    prepared, seed = training.prepared, training.prepared.recipe.seed
    examples = _sample_training_set(prepared.examples, MAX_EMBEDDED, seed, "embedded")
    splits = dict.fromkeys(["train", split, *(["validation"] if baseline.needs_validation else [])])
    texts = {
        name: [list(examples.corpus.splits[name].column(column)) for column in prepared.task.spec.inputs]
        for name in splits
    }
    return baseline.predict(BaselineInputs(examples, split, seed, _embed(training, texts)))


def _embed(training: TrainingRun, texts: dict[str, list[list[str]]]) -> dict[str, NDArray[np.float64]]:
    """Embed texts with the base model.

    Args:
        training: The run.
        texts: By split, the one or two text columns of its examples.

    Returns:
        Embeddings by split, (N, D) for single texts and (N, 2 D) for pairs.
    """
    prepared, progress = training.prepared, training.progress
    count = sum(len(column) for columns in texts.values() for column in columns)
    progress.note(f"embedding {count:,} texts with the base model")
    body = sentence_embedding.load_body(prepared.base)
    body.to(training.session.device)  # type: ignore[arg-type]  # the decorated method loses its type
    # The base model's own tokenizer: it has no embeddings of tokens that a task has added.
    tokenizer = load.load_tokenizer(prepared.base)
    embedder = Embedder(body, tokenizer, prepared.recipe.train.max_length)

    def embed(split: str, column: list[str]) -> NDArray[np.float64]:
        def advance(done: int, total: int) -> None:
            progress.advance(f"embedding {split}", done, total, "texts")

        return embed_texts(training.session, embedder, column, advance)[0].astype(np.float64)

    embeddings = {}
    for split, columns in texts.items():
        u, *others = (embed(split, column) for column in columns)
        embeddings[split] = _represent_pair(u, *others) if others else u
    return embeddings


def _represent_pair(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Represent pairs of embeddings by |u - v| and u * v, as in Conneau et al. 2017 (InferSent)."""
    return np.hstack([np.abs(u - v), u * v])


def _run_lstm(training: TrainingRun, split: str) -> Arrays:
    """Train an LSTM with the task's loss on the model's token ids, from random embeddings, and predict with it."""
    import torch

    prepared = training.prepared
    task, examples, encoded = prepared.task, prepared.examples, prepared.encoded["train"]
    head = task.head(examples.labels, examples.references["train"])
    torch.manual_seed(derive_seed(prepared.recipe.seed, "lstm"))
    model = LstmClassifier(
        assign_embedding_rows(encoded.ragged["input_ids"].flat, len(prepared.tokenizer)),
        head.config["num_labels"],
        head.bias,
    )
    _train_lstm(training, model.to(training.session.device))
    silent = replace(training, progress=SILENT)
    return replace(silent, prepared=tune(silent, model)).predict(model, split)


def _train_lstm(training: TrainingRun, model: nn.Module) -> None:
    """Train the LSTM and keep the weights of the epoch with the lowest validation loss, or else of the last one."""
    session, prepared, progress = training.session, training.prepared, training.progress
    examples, size = prepared.examples, len(prepared.encoded["train"])
    epoch_steps = steps_per_epoch(size, BATCH_SIZE)
    schedule = Schedule(LEARNING_RATE, MAX_EPOCHS * epoch_steps, epoch_steps // 2, "linear")
    best, lowest, misses = copy.deepcopy(model.state_dict()), math.inf, 0
    progress.note(f"training an LSTM on {size:,} examples, at most {MAX_EPOCHS} epochs")
    for step in run_steps(
        session,
        model,
        session.accelerator.prepare_optimizer(build_adamw(model, weight_decay=0.01)),
        training.batches("train"),
        prepared.task.loss(examples.references["train"], len(examples.labels)),
        plan_steps(size, BATCH_SIZE, session.seed, total=schedule.total_steps),
        schedule=schedule,
        max_grad_norm=1.0,
    ):
        progress.advance(
            "training an LSTM", step.step, schedule.total_steps, "steps", f"loss {step.loss:.4f}"
        )
        if step.step % epoch_steps:
            continue
        loss = _validation_loss(training, model)
        misses += 1
        if loss <= lowest:
            best, lowest, misses = copy.deepcopy(model.state_dict()), loss, 0
        if misses == PATIENCE:
            break
    model.load_state_dict(best)


def _validation_loss(training: TrainingRun, model: nn.Module) -> float:
    """Return the loss on the validation set; 0 without one, so that the last epoch is kept."""
    if "validation" not in training.prepared.encoded:
        return 0.0
    examples = training.prepared.examples
    predictions = replace(training, progress=SILENT).predict(model, "validation")
    task, labels = training.prepared.task, examples.labels
    return task.score(examples.references["validation"], predictions, labels, resampling=None).values["loss"]
