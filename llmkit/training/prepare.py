"""Prepare a run: check the recipe, read and check the data, tokenize it, and compute the schedule.

Preparation needs no weights and no process group. All processes of a launcher prepare before they join the group, so
that long tokenization cannot hit its time-out. The first process that needs an encoding computes it under a lock, and
the others read it from the cache.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit import tasks
from llmkit.assets import hub, store
from llmkit.base.errors import ErrorDetail, RecipeError, raise_if, shorten_list, suggest
from llmkit.base.progress import Progress
from llmkit.data import corpus
from llmkit.data.encoding import cache
from llmkit.data.encoding.encode import encode
from llmkit.data.encoding.features import Encoded
from llmkit.data.sampler import steps_per_epoch
from llmkit.inference import libraries
from llmkit.recipe.schema import Data, Recipe, Train

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from llmkit.data.corpus import Corpus
    from llmkit.data.encoding.features import Collect, Features
    from llmkit.engine.optim import Schedule
    from llmkit.tasks.protocol import Baseline, Examples, Task

__all__ = ["Prepared", "available_baselines", "encode_rows", "find_unknown_metrics", "prepare", "read_rows"]

DEFAULT_EPOCHS = 3.0


@dataclass(frozen=True)
class Prepared:
    """Everything that training needs except the model.

    Attributes:
        recipe: The resolved recipe.
        task: The task, bound to the model's config and tokenizer.
        base: Folder of the base model, or of the tokenizer where the model is trained from scratch.
        config: The base model's config.json, or the config of the new model.
        tokenizer: The tokenizer.
        examples: Checked examples of all splits.
        encoded: Token ids by split.
        schedule: Learning rate by step.
        evaluate_every: Steps between two validations.
        checkpoint_every: Steps between two checkpoints.
    """

    recipe: Recipe
    task: Task
    base: Path
    config: dict[str, Any]
    tokenizer: PreTrainedTokenizerBase
    examples: Examples
    encoded: dict[str, Encoded]
    schedule: Schedule
    evaluate_every: int
    checkpoint_every: int

    @property
    def encoding_notes(self) -> list[str]:
        """What tokenization reports about each split, such as the number of truncated examples."""
        return [
            f"{split}: {count:,} {note}"
            for split, windows in self.encoded.items()
            for note, count in windows.notes.items()
        ]


def prepare(recipe: Recipe, progress: Progress) -> Prepared:
    """Check the recipe, read and check the data, then tokenize it.

    The data comes first, so that its errors are found in a second, before torch is imported.

    Raises:
        RecipeError: For settings that do not fit the task or the model.
        DataError: For errors in the data.
        ModelError: For a base model or tokenizer that cannot be used.
    """
    if recipe.data.train is None:
        fix = "add data.train=reviews.jsonl, or train: under data: in the recipe"
        raise RecipeError("C11", "data.train", "is missing: nothing to train on", fix)
    task = tasks.load(recipe.task)
    _check_recipe(task, recipe)
    examples = task.check(read_rows(recipe.data, task, progress), recipe.data, recipe.seed)
    if examples.corpus.splits.keys() == {"train"}:
        message = "there is neither a validation nor a test set, so the model could not be evaluated"
        fix = "name a file for data.test, or set data.test_share=0.1"
        raise RecipeError("C10", "data.test_share", message, fix)
    for note in (*examples.corpus.notes, *examples.notes):
        progress.note(note)
    return _tokenize(recipe, task, examples, progress)


def _tokenize(recipe: Recipe, task: Task, examples: Examples, progress: Progress) -> Prepared:
    """Load the tokenizer, check the base model against the task, and encode all splits."""
    libraries.load()
    from llmkit.engine.optim import Schedule
    from llmkit.models import load, scratch

    base = hub.fetch_model(recipe.model.source, progress)
    shape = recipe.model.from_scratch
    tokenizer = load.load_tokenizer(base, weights=shape is None, special=task.spec.special_tokens)
    if shape is None:
        config = load.check_folder(base)
    else:
        scratch.configure_tokenizer(tokenizer, shape, recipe.train.max_length)
        config = scratch.build_config(shape, tokenizer, recipe.train.max_length)
    task = task.bind(config, tokenizer)
    if shape:
        scratch.check_head(config, task.spec.auto_class)
    else:
        head, new_head = task.head(examples.labels).config, recipe.model.new_head
        load.check_head(base, task.spec.auto_class, head, new_head=new_head)
        if task.spec.pretrained and (new_head or not load.has_head(config, task.spec.auto_class)):
            note = f"{recipe.model.name} has no trained head for this task: it gets a new one with random weights"
            progress.note(note)
            examples = replace(examples, notes=(*examples.notes, note))
        longest = load.get_max_length(base, tokenizer)
        if recipe.train.max_length > longest:
            message = f"{recipe.train.max_length} tokens are more than the {longest} positions of {recipe.model.title}"
            raise RecipeError("C09", "train.max_length", message, f"use at most {longest}")
    encoded = {
        split: encode_split(recipe, task, tokenizer, examples, split, progress)
        for split in examples.corpus.splits
    }
    train = recipe.train
    per_epoch = steps_per_epoch(len(encoded["train"]), train.batch_size)
    total = train.max_steps or math.ceil((train.epochs or DEFAULT_EPOCHS) * per_epoch)
    prepared = Prepared(
        recipe=recipe,
        task=task,
        base=base,
        config=config,
        tokenizer=tokenizer,
        examples=examples,
        encoded=encoded,
        schedule=Schedule(train.learning_rate, total, math.ceil(train.warmup_ratio * total), train.schedule),
        evaluate_every=recipe.evaluate.every_steps or per_epoch,
        checkpoint_every=recipe.checkpoint.every_steps or per_epoch,
    )
    for note in prepared.encoding_notes:
        progress.note(note)
    return prepared


def _check_recipe(task: Task, recipe: Recipe) -> None:
    """Raise RecipeError for settings that do not fit the task: adapter (C10), metrics (E01) or baselines (C09)."""
    lora, name = recipe.model.lora, recipe.task["name"]
    if task.spec.needs_adapter and not (lora and not lora.merge):
        message = f"{name} compares the model with the base model, which is the model without its adapter"
        if lora is None:
            fix = "set model.lora={rank: 16, merge: false}; tuning all weights would need a second copy of the model"
            raise RecipeError("C10", "model.lora", f"is off, but {message}", fix)
        message = f"would add the adapter to the weights, but {message}"
        raise RecipeError("C10", "model.lora.merge", message, "set model.lora.merge=false")
    named = {"evaluate.best": [recipe.evaluate.best], "evaluate.metrics": recipe.evaluate.metrics}
    errors = find_unknown_metrics(task, named)
    requested, baselines = recipe.evaluate.baselines, list(available_baselines(task, recipe))
    fix = f"choose from {shorten_list(baselines, 20)}"
    if not baselines:
        fix = "set evaluate.baselines=false: this task has none"
    for name in requested if isinstance(requested, list) else []:
        if name not in baselines:
            message = f'"{name}" is not a baseline of this task{suggest(name, baselines)}'
            errors.append(ErrorDetail("C09", "evaluate.baselines", message, fix))
    raise_if(errors, RecipeError)


def find_unknown_metrics(task: Task, named: Mapping[str, Sequence[str]]) -> list[ErrorDetail]:
    """Return an error for each metric that the task does not have.

    Args:
        task: The task.
        named: Metric names by the place that names them, such as "evaluate.best".
    """
    metrics = ["loss", *task.spec.metrics]
    return [
        ErrorDetail(
            "E01",
            place,
            f'"{name}" is not a metric of this task{suggest(name, metrics)}',
            f"choose from {shorten_list(metrics, 20)}",
        )
        for place, names in named.items()
        for name in names
        if name not in metrics
    ]


def available_baselines(task: Task, recipe: Recipe) -> dict[str, Baseline]:
    """Return the task's baselines by name. A model trained from scratch has no base model to compare with."""
    from_scratch = recipe.model.from_scratch is not None
    return {
        name: baseline
        for name, baseline in task.spec.baselines.items()
        if not (from_scratch and baseline.needs in ("embeddings", "base_model"))
    }


def read_rows(data: Data, task: Task, progress: Progress) -> Corpus:
    """Read the rows of all splits, with the task's column names.

    Raises:
        RecipeError: C03 or C10 for `data.columns` that do not fit the task.
        DataError: For files that cannot be read.
        AssetError: For data that cannot be fetched.
    """
    notes: list[str] = []

    def resolve_index(name: str, progress: Progress) -> Path:
        path = store.fetch_data_file(name, progress)
        counts = store.read_about(path)[
            "rows"
        ]  # rows that the conversion of the asset kept and left out, by reason
        texts = (f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.items())
        notes.append(f"index:{name}: " + ", ".join(texts))
        return path

    _check_columns(data, task)
    columns = {**task.spec.columns, **data.columns}  # optional columns only where the recipe names them
    rows = corpus.read(
        data,
        columns=columns,
        progress=progress,
        resolve_index=resolve_index,
        resolve_hub=hub.fetch_dataset,
        recognize=task.spec.recognize,
    )
    return replace(rows, notes=(*notes, *rows.notes))


def _check_columns(data: Data, task: Task) -> None:
    """Raise RecipeError where data.columns names an unknown column (C03) or uses one column twice (C10)."""
    columns = {**task.spec.columns, **task.spec.optional_columns}
    errors = [
        ErrorDetail(
            "C03",
            f"data.columns.{name}",
            f'the task has no column "{name}"{suggest(name, columns)}',
            f"choose from {shorten_list(columns)}",
        )
        for name in data.columns
        if name not in columns
    ]
    used = list({**task.spec.columns, **data.columns}.values())
    errors += [
        ErrorDetail(
            "C10", "data.columns", f'column "{name}" of the file is used twice', "use each column once"
        )
        for name in sorted({name for name in used if used.count(name) > 1})
    ]
    raise_if(errors, RecipeError)


def encode_split(
    recipe: Recipe,
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    examples: Examples,
    split: str,
    progress: Progress,
) -> Encoded:
    """Encode one split, or load it from the cache when the same rows were encoded with the same settings before."""
    return cache.load_or_encode(
        lambda collect: encode_rows(recipe.train, task, tokenizer, examples, split, progress, collect),
        rows=examples.corpus.fingerprint,
        part=split,
        task=recipe.task,
        tuned=dict(task.spec.tuned),
        head=task.spec.auto_class,
        labels=examples.labels,
        tokenizer=cache.digest_tokenizer(tokenizer),
        max_length=recipe.train.max_length,
        truncation=recipe.train.truncation,
    )


def encode_rows(
    train: Train,
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    examples: Examples,
    split: str,
    progress: Progress,
    collect: Collect | None = None,
) -> Encoded:
    """Encode one split without the cache.

    Args:
        train: Provides `max_length` and `truncation`.
        task: The task, bound to the tokenizer.
        tokenizer: The tokenizer.
        examples: Examples of all splits.
        split: The split to encode.
        progress: Receives the number of rows done.
        collect: Takes the encoded batches, for instance to write them to a file; None keeps them in memory.
    """
    rows, references = examples.corpus.splits[split], examples.references[split]

    def to_features(columns: Mapping[str, list[Any]], span: slice) -> Features:
        span_references = {name: values[span] for name, values in references.items()}
        return task.encode(
            columns,
            span_references,
            tokenizer,
            max_length=train.max_length,
            truncation=train.truncation,
            training=split == "train",
        )

    return encode(
        rows,
        to_features,
        place=rows.place,
        max_length=train.max_length,
        progress=progress,
        split=split,
        collect=collect or Encoded.from_batches,
    )
