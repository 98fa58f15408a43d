"""What pydantic finds wrong, in the words of a recipe: a code, a place and a fix for each mistake.

error[C05] a.yaml:9:3: train has no key "batch-size". Fix: write batch_size
error[C09] a.yaml:9:15: train.batch_size is 0. Fix: give a whole number of at least 1
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from llmkit.base.errors import ErrorDetail, suggest
from llmkit.recipe.describe import Sections, accepts_null, describe_field, describe_item, list_choices
from llmkit.recipe.yaml import KeyPath, parse_scalar

__all__ = ["FOREIGN", "Context", "Place", "report_missing_key", "translate_validation_error"]

YES, NO = {"yes", "y", "on"}, {"no", "n", "off"}
NUMBER = {"int_type", "float_type", "int_from_float"}
RANGE = {
    "finite_number",
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "string_too_short",
    "too_long",
    "too_short",
}
EXAMPLES: dict[KeyPath, str] = {
    ("task",): "task: {name: classification}",
    ("task", "name"): "name: classification",
    ("model",): "model: {name: index:all-MiniLM-L6-v2}",
    ("model", "name"): "name: index:all-MiniLM-L6-v2",
}
# What other tools call our keys.
FOREIGN = {
    "adapter": "model.lora",
    "base_model": "model.name",
    "model_name": "model.name",
    "model_name_or_path": "model.name",
    "pretrained_model_name_or_path": "model.name",
    "lora_r": "model.lora.rank",
    "r": "model.lora.rank",
    "lora_alpha": "model.lora.alpha",
    "lora_dropout": "model.lora.dropout",
    "lora_target_modules": "model.lora.targets",
    "target_modules": "model.lora.targets",
    "train_file": "data.train",
    "dev": "data.validation",
    "eval": "data.validation",
    "valid": "data.validation",
    "validation_file": "data.validation",
    "test_file": "data.test",
    "n_epochs": "train.epochs",
    "num_epochs": "train.epochs",
    "num_train_epochs": "train.epochs",
    "max_train_steps": "train.max_steps",
    "num_steps": "train.max_steps",
    "total_steps": "train.max_steps",
    "bs": "train.batch_size",
    "global_batch_size": "train.batch_size",
    "gradient_accumulation_steps": "train.batch_size",
    "micro_batch_size": "train.batch_size",
    "per_device_train_batch_size": "train.batch_size",
    "train_batch_size": "train.batch_size",
    "lr": "train.learning_rate",
    "lr_scheduler": "train.schedule",
    "lr_scheduler_type": "train.schedule",
    "scheduler": "train.schedule",
    "wd": "train.weight_decay",
    "clip_grad": "train.max_grad_norm",
    "grad_clip": "train.max_grad_norm",
    "gradient_clip_val": "train.max_grad_norm",
    "block_size": "train.max_length",
    "cutoff_len": "train.max_length",
    "max_len": "train.max_length",
    "max_seq_len": "train.max_length",
    "max_seq_length": "train.max_length",
    "sequence_len": "train.max_length",
    "bf16": "train.precision",
    "fp16": "train.precision",
    "mixed_precision": "train.precision",
    "torch_compile": "train.compile",
    "early_stopping_patience": "train.early_stopping",
    "patience": "train.early_stopping",
    "metric_for_best_model": "evaluate.best",
    "eval_steps": "evaluate.every_steps",
    "save_steps": "checkpoint.every_steps",
    "save_total_limit": "checkpoint.keep",
    "random_seed": "seed",
}


@dataclass(frozen=True, order=True)
class Place:
    """KeyPath something stands: file before command line, then top to bottom."""

    order: tuple[int, int, int]
    text: str


@dataclass(frozen=True)
class Context:
    """What a translation looks things up in.

    place(where, of_key) is the place of a key or of its value; for what is missing, the place of its section.
    """

    content: dict[str, Any]
    sections: Sections
    place: Callable[[KeyPath, bool], Place]


def translate_validation_error(
    error: ValidationError, prefix: KeyPath, context: Context
) -> Iterator[tuple[Place, ErrorDetail]]:
    """One problem for each wrong key or value; pydantic has one for each branch of a union."""
    groups: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        where = _where((*prefix, *detail["loc"]), detail["type"], context.content)
        groups.setdefault(where, []).append(detail)
    for where, details in groups.items():
        # in a union, the branch that got deepest is the one that was meant
        if not any(other[: len(where)] == where for other in groups if other != where):
            yield _problem(where, details, context)


def report_missing_key(where: KeyPath, context: Context) -> tuple[Place, ErrorDetail]:
    section, key = where[:-1], str(where[-1])
    line = EXAMPLES.get(where) or f"{key}: ... ({describe_field(context.sections[section], key)})"
    place = context.place(where, True)
    return place, ErrorDetail(
        "C11", place.text, f"{_name(where)} is missing", f'add "{line}"{_under(section)}'
    )


def _problem(where: KeyPath, details: list[ErrorDetails], context: Context) -> tuple[Place, ErrorDetail]:
    kinds = {detail["type"] for detail in details}
    if "extra_forbidden" in kinds:
        return _unknown_key(where, context)
    if "missing" in kinds:
        return report_missing_key(where, context)
    if "value_error" in kinds:
        return _broken_rule(where, details[0], context)
    place = context.place(where, False)
    code, message, fix = _wrong_value(where, kinds, details[0]["input"], context.sections)
    return place, ErrorDetail(code, place.text, message, fix)


def _wrong_value(where: KeyPath, kinds: set[str], value: Any, sections: Sections) -> tuple[str, str, str]:
    """Code, message and fix. `where` leads to a field of a section, or to an item of such a field."""
    depth = max(
        len(section) for section in sections if len(section) < len(where) and where[: len(section)] == section
    )
    model, key, is_item = sections[where[:depth]], str(where[depth]), len(where) > depth + 1
    belongs = describe_item(model, key) if is_item else describe_field(model, key)
    message = f"{_name(where)} is {_shown(value)}"
    if isinstance(value, str):
        if _was_quoted(value, kinds, not is_item and accepts_null(model, key)):
            return "C06", message, "remove the quotes"
        if "bool_type" in kinds and value.lower() in YES | NO:
            right = "true" if value.lower() in YES else "false"
            return "C07", message, f"write {right} (booleans are true and false)"
    if kinds & RANGE or kinds == {"literal_error"}:
        return "C09", message + suggest(str(value), list_choices(model, key)), f"give {belongs}"
    return "C08", message, _fix_of_type(value, kinds, belongs)


def _fix_of_type(value: Any, kinds: set[str], belongs: str) -> str:
    if isinstance(value, float) and value.is_integer() and kinds & NUMBER:
        return f"write {int(value)}"
    if isinstance(value, (bool, int, float)) and "string_type" in kinds:
        return "put it in quotes"
    if value is None and "model_type" in kinds:
        return "write its keys below it, or remove the line"
    return f"give {belongs}"


def _was_quoted(value: str, kinds: set[str], null: bool) -> bool:
    """Would the text fit without its quotes? (Without quotes it would not have arrived as text.)"""
    plain = parse_scalar(value)
    if isinstance(plain, bool):
        return "bool_type" in kinds
    if plain is None:
        return null and value != ""
    return isinstance(plain, (int, float)) and bool(kinds & NUMBER)


def _broken_rule(where: KeyPath, detail: ErrorDetails, context: Context) -> tuple[Place, ErrorDetail]:
    """A section's own rule about several keys; its ValueError says `what is wrong; what to do`."""
    text = str(detail.get("ctx", {}).get("error", detail["msg"]))
    message, _, fix = text.partition("; ")
    place = context.place(where, True)
    return place, ErrorDetail("C10", place.text, f"{_name(where)}: {message}", fix)


def _unknown_key(where: KeyPath, context: Context) -> tuple[Place, ErrorDetail]:
    section, key = where[:-1], str(where[-1])
    place = context.place(where, True)
    word = key.replace("-", "_")
    code = "C05" if "-" in key else "C03"
    known = _known(section, context.sections)
    owners = [other for other in context.sections if word in _known(other, context.sections)]
    message = f'{_name(section) or "a recipe"} has no key "{key}"'
    fix = ""
    if section in owners:
        fix = f"write {word}"
    elif word.lower() in FOREIGN:
        target = tuple(FOREIGN[word.lower()].split("."))
        fix = f"write {target[-1]}" + ("" if target[:-1] == section else _under(target[:-1]))
    elif owners:
        code = "C04" if word == key else "C05"
        verb = "it belongs" if word == key else f"write {word}"
        fix = verb + " or".join(map(_under, owners))
    elif near := suggest(word, known):
        message += near
    else:
        fix = f"choose one of {', '.join(known)}"
    return place, ErrorDetail(code, place.text, message, fix)


def _known(section: KeyPath, sections: Sections) -> list[str]:
    fields = list(sections[section].model_fields)
    return ["name", *fields] if section == ("task",) else fields


def _where(loc: KeyPath, kind: str, content: Any) -> KeyPath:
    """The steps of pydantic's location that lead through the content; the others name branches of a union."""
    where: KeyPath = ()
    for step in loc:
        is_key = isinstance(content, dict) and step in content
        if is_key or (isinstance(content, list) and isinstance(step, int)):
            content = content[step]
            where = (*where, step)
    return (*where, loc[-1]) if kind == "missing" else where


def _name(where: KeyPath) -> str:
    *start, last = where or ("",)
    if isinstance(last, int):
        return f"item {last + 1} of {_name(tuple(start))}"
    return ".".join(map(str, where))


def _under(section: KeyPath) -> str:
    return f" under {_name(section)}:" if section else " at the top level"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'the text "{value[:40]}{"..." if len(value) > 40 else ""}"'
    if value is None:
        return "empty (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return "a list" if isinstance(value, list) else "a section"
    return str(value)
