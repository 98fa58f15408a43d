"""What a model is compared with: the task's simple baselines, what the checkpoint knew before, and an LSTM.

    simple(prepared, "test")  ->  {"majority": answers, "tfidf": answers, ...}, notes
    learned(session, prepared, "test", progress)  ->  {"untuned": answers, "lstm": answers}

All learn from the training rows of the model and depend on the recipe's seed alone. Those that need torch are
`learned`, by all processes together.
Shapes: N rows, D numbers of an embedding.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.progress import SILENT, Progress
from llmkit.base.seeds import derive
from llmkit.tasks.protocol import take
from llmkit.training.loop import batches_of, predict_part, tuned
from llmkit.training.prepare import Prepared, baselines_of

if TYPE_CHECKING:
    from llmkit.engine.session import Session
    from llmkit.recipe.schema import Recipe
    from llmkit.tasks.protocol import Arrays, Task

__all__ = ["chosen", "learned", "simple"]

SLOW = ("lstm",)  # only where the recipe names them
MOST_EMBEDDED = 2000  # training rows; more would hardly move the class means
MOST_TEXT = 32 << 20  # characters that simple baselines learn from: their n-grams are held in memory
# Of the LSTM, the same for everyone.
LEARNING_RATE = 2e-3
BATCH_SIZE = 32
MOST_EPOCHS = 20
PATIENCE = 3  # epochs without a lower validation loss


def chosen(task: Task, recipe: Recipe) -> list[str]:
    """Names of the baselines that the recipe asks for, in the task's order."""
    asked, known = recipe.evaluate.baselines, baselines_of(task, recipe)
    if isinstance(asked, list):
        return [name for name in known if name in asked]
    return [name for name in known if name not in SLOW] if asked else []


def simple(prepared: Prepared, part: str) -> tuple[dict[str, Arrays], list[str]]:
    """The task's own baselines: name -> answers to the rows of this part, and a note where they saw fewer rows."""
    task, examples, seed = prepared.task, prepared.examples, prepared.recipe.seed
    train = examples.corpus.splits["train"]
    size = sum(len(text) for name in task.inputs for text in train.column(name) if isinstance(text, str))
    if size <= MOST_TEXT:
        return task.baselines(examples, part, seed), []
    rows = _drawn(len(train), int(len(train) * MOST_TEXT / size), seed, "simple")
    golds = {**examples.golds, "train": take(examples.golds["train"], rows)}
    fewer = replace(examples, corpus=examples.corpus.rearrange({"train": ("train", rows)}), golds=golds)
    note = f"the simple baselines learned from {len(rows):,} of the {len(train):,} training rows"
    return task.baselines(fewer, part, seed), [note]


def _drawn(total: int, count: int, seed: int, purpose: str) -> NDArray[np.int64]:
    """So many of the rows, ascending; one seed, one choice."""
    drawn = np.random.default_rng(derive(seed, purpose)).permutation(total)
    return np.sort(drawn[:count])


def learned(session: Session, prepared: Prepared, part: str, progress: Progress) -> dict[str, Arrays]:
    """The answers of the chosen ones to the rows of this part: name -> answers."""
    names = chosen(prepared.task, prepared.recipe)
    session = replace(
        session, seed=prepared.recipe.seed
    )  # of several training seeds each has the same baselines
    made = {"untuned": _untuned, "lstm": _lstm}
    return {name: made[name](session, prepared, part, progress) for name in names if name in made}


def _untuned(session: Session, prepared: Prepared, part: str, progress: Progress) -> Arrays:
    """As the checkpoint comes, where it can answer; else by embeddings: no gradient, so the time of a prediction."""
    from llmkit.training.model import load_model

    task, examples = prepared.task, prepared.examples
    if task.pretrained:
        model = load_model(prepared, progress).to(session.device)
        return predict_part(session, prepared, model, part, progress)
    rows = {name: np.arange(len(own)) for name, own in examples.corpus.splits.items()}
    rows["train"] = _drawn(len(rows["train"]), MOST_EMBEDDED, prepared.recipe.seed, "embedded")
    golds = {name: take(own, rows[name]) for name, own in examples.golds.items()}
    parts = dict.fromkeys(["train", part, *(["validation"] if "thresholds" in task.tuned else [])])
    texts = {
        name: [list(examples.corpus.splits[name].select(rows[name]).column(text)) for text in task.inputs]
        for name in parts
    }
    return task.untuned(_vectors(session, prepared, texts, progress), golds, part, examples.labels)


def _vectors(
    session: Session, prepared: Prepared, texts: dict[str, list[list[str]]], progress: Progress
) -> dict[str, NDArray[np.float64]]:
    """(N, D) of each part; texts: part -> the columns of one or two texts a row."""
    from llmkit.inference.embedding import Embedder, vectors
    from llmkit.models import load, sentence_embedding

    count = sum(len(column) for columns in texts.values() for column in columns)
    progress.note(f"embedding {count:,} texts with the untuned checkpoint")
    body: Any = sentence_embedding.load_body(prepared.base)
    # Without the tokens that a task has added: the checkpoint has no embeddings of them.
    embedder = Embedder(
        body.to(session.device), load.load_tokenizer(prepared.base), prepared.recipe.train.max_length
    )

    def embedded(part: str, column: list[str]) -> NDArray[np.float64]:
        def so_far(done: int, total: int) -> None:
            progress.advance(f"embedding {part}", done, total, "texts")

        return vectors(session, embedder, column, so_far)[0].astype(np.float64)

    return {part: _as_one(*(embedded(part, column) for column in columns)) for part, columns in texts.items()}


def _as_one(first: NDArray[np.float64], second: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Of a pair (u, v) where they differ and what they share: |u - v| and u * v, of Conneau et al. 2017 (InferSent)."""
    return first if second is None else np.hstack([np.abs(first - second), first * second])


def _lstm(session: Session, prepared: Prepared, part: str, progress: Progress) -> Arrays:
    """Trained by the task's own loss on the model's token ids, with embeddings that begin at random."""
    import torch

    from llmkit.models.lstm_classifier import LstmClassifier, assign_embedding_rows

    task, examples, encoded = prepared.task, prepared.examples, prepared.encoded["train"]
    torch.manual_seed(derive(prepared.recipe.seed, "lstm"))
    model = LstmClassifier(
        assign_embedding_rows(encoded.ragged["input_ids"].flat, len(prepared.tokenizer)),
        task.config(examples.labels)["num_labels"],
        task.bias(examples.golds["train"]),
    )
    _train(session, prepared, model.to(session.device), progress)
    return predict_part(session, tuned(session, prepared, model, SILENT), model, part, SILENT)


def _train(session: Session, prepared: Prepared, model: Any, progress: Progress) -> None:
    """Leaves the weights of the epoch with the lowest validation loss; without validation rows those of the last."""
    from llmkit.data.sampler import plan_steps, steps_per_epoch
    from llmkit.engine.optim import Schedule, build_adamw
    from llmkit.engine.train import train

    task, examples = prepared.task, prepared.examples
    rows = len(prepared.encoded["train"])
    epoch = steps_per_epoch(rows, BATCH_SIZE)
    schedule = Schedule(LEARNING_RATE, MOST_EPOCHS * epoch, epoch // 2, "linear")
    best, least, misses = copy.deepcopy(model.state_dict()), math.inf, 0
    progress.note(f"training an LSTM on {rows:,} rows, at most {MOST_EPOCHS} epochs")
    for step in train(
        session,
        model,
        session.accelerator.prepare_optimizer(build_adamw(model, weight_decay=0.01)),
        batches_of(session, prepared, "train"),
        task.loss(examples.golds["train"], len(examples.labels)),
        plan_steps(rows, BATCH_SIZE, session.seed, total=schedule.total_steps),
        schedule=schedule,
        max_grad_norm=1.0,
    ):
        progress.advance(
            "training an LSTM", step.step, schedule.total_steps, "steps", f"loss {step.loss:.4f}"
        )
        if step.step % epoch:
            continue
        loss = _validation_loss(session, prepared, model)
        misses += 1
        if loss <= least:
            best, least, misses = copy.deepcopy(model.state_dict()), loss, 0
        if misses == PATIENCE:
            break
    model.load_state_dict(best)


def _validation_loss(session: Session, prepared: Prepared, model: Any) -> float:
    """0 without validation rows: then no epoch is worse than the one before."""
    if "validation" not in prepared.encoded:
        return 0.0
    answers = predict_part(session, prepared, model, "validation", SILENT)
    examples = prepared.examples
    return prepared.task.values(examples.golds["validation"], answers, examples.labels)["loss"]
