"""Translate the errors of pydantic into recipe errors, each with a code, a place and a fix.

error[C05] a.yaml:9:3: train has no key "batch-size". Fix: write batch_size
error[C09] a.yaml:9:15: train.batch_size is 0. Fix: give an integer of at least 1
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

__all__ = [
    "FOREIGN",
    "Context",
    "Place",
    "PlacedError",
    "report_missing_key",
    "translate_validation_error",
]

YES, NO = {"yes", "y", "on"}, {"no", "n", "off"}
# Types of pydantic errors: a value that is not a number, and a value out of range.
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
# Lines to add for keys that every recipe needs.
EXAMPLES: dict[KeyPath, str] = {
    ("task",): "task: {name: classification}",
    ("task", "name"): "name: classification",
    ("model",): "model: {name: index:all-MiniLM-L6-v2}",
    ("model", "name"): "name: index:all-MiniLM-L6-v2",
}
# Names of these settings in other tools.
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
    """A position in the file or on the command line. Sorts the file before the command line, then from top to bottom.

    Attributes:
        order: (0, line, column) in the file, (1, number of the override, 0) on the command line.
        text: The place as messages show it, such as `a.yaml:9:3` or `train.epochs=0`.
    """

    order: tuple[int, int, int]
    text: str

    def error(self, code: str, message: str, fix: str) -> PlacedError:
        """Return an error at this place."""
        return PlacedError(self, ErrorDetail(code, self.text, message, fix))


@dataclass(frozen=True)
class PlacedError:
    """An error and the place by which errors are sorted."""

    place: Place
    detail: ErrorDetail


@dataclass(frozen=True)
class Context:
    """What translating an error needs to know about the recipe.

    Attributes:
        content: The recipe as plain values: the file with the overrides applied.
        sections: The pydantic model of every section, by its key path.
        find_place: Returns the place of a key (if the second argument is true) or of its value. For a missing key it
            returns the place of the section.
    """

    content: dict[str, Any]
    sections: Sections
    find_place: Callable[[KeyPath, bool], Place]


def translate_validation_error(
    error: ValidationError, prefix: KeyPath, context: Context
) -> Iterator[PlacedError]:
    """Yield one error for each wrong key or value. pydantic reports one for each alternative type of a value.

    Args:
        error: What pydantic raised for a section.
        prefix: Key path of that section in the recipe.
        context: The recipe.
    """
    details_by_path: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        path = _trim_location((*prefix, *detail["loc"]), detail["type"], context.content)
        details_by_path.setdefault(path, []).append(detail)
    for path, details in details_by_path.items():
        if any(other[: len(path)] == path for other in details_by_path if other != path):
            continue  # of several alternative types, the user meant the one whose errors are deepest
        types = {detail["type"] for detail in details}
        if "extra_forbidden" in types:
            yield _report_unknown_key(path, context)
        elif "missing" in types:
            yield report_missing_key(path, context)
        elif "value_error" in types:
            # A rule about several keys of a section. Its ValueError has the form `message; fix`.
            text = str(details[0].get("ctx", {}).get("error", details[0]["msg"]))
            message, _, fix = text.partition("; ")
            yield context.find_place(path, True).error("C10", f"{_format_path(path)}: {message}", fix)
        else:
            explanation = _explain_value(path, types, details[0]["input"], context.sections)
            yield context.find_place(path, False).error(*explanation)


def report_missing_key(path: KeyPath, context: Context) -> PlacedError:
    """Return error C11 for a required key, with a line to add."""
    section, key = path[:-1], str(path[-1])
    line = EXAMPLES.get(path) or f"{key}: ... ({describe_field(context.sections[section], key)})"
    fix = f'add "{line}"{_format_section(section)}'
    return context.find_place(path, True).error("C11", f"{_format_path(path)} is missing", fix)


def _explain_value(path: KeyPath, types: set[str], value: Any, sections: Sections) -> tuple[str, str, str]:
    """Return code, message and fix for the wrong value of a field, or of an item of a field."""
    depth = max(
        len(section) for section in sections if len(section) < len(path) and path[: len(section)] == section
    )
    model, key, is_item = sections[path[:depth]], str(path[depth]), len(path) > depth + 1
    expected = describe_item(model, key) if is_item else describe_field(model, key)
    message = f"{_format_path(path)} is {_format_value(value)}"
    if isinstance(value, str):
        if _fits_without_quotes(value, types, not is_item and accepts_null(model, key)):
            return "C06", message, "remove the quotes"
        if "bool_type" in types and value.lower() in YES | NO:
            boolean = "true" if value.lower() in YES else "false"
            return "C07", message, f"write {boolean} (booleans are true and false)"
    if types & RANGE or types == {"literal_error"}:
        return "C09", message + suggest(str(value), list_choices(model, key)), f"give {expected}"
    if isinstance(value, float) and value.is_integer() and types & NUMBER:
        return "C08", message, f"write {int(value)}"
    if isinstance(value, (bool, int, float)) and "string_type" in types:
        return "C08", message, "put it in quotes"
    if value is None and "model_type" in types:
        return "C08", message, "write its keys below it, or remove the line"
    return "C08", message, f"give {expected}"


def _fits_without_quotes(value: str, types: set[str], nullable: bool) -> bool:
    """Return whether a string would be a valid value without its quotes. Unquoted, it would not have been a string."""
    plain = parse_scalar(value)
    if isinstance(plain, bool):
        return "bool_type" in types
    if plain is None:
        return nullable and value != ""
    return isinstance(plain, (int, float)) and bool(types & NUMBER)


def _report_unknown_key(path: KeyPath, context: Context) -> PlacedError:
    """Return an error for a key that its section does not have, with the key that was probably meant.

    C03: an unknown key; C04: a key of another section; C05: hyphens instead of underscores.
    """

    def list_keys(section: KeyPath) -> list[str]:
        keys = list(context.sections[section].model_fields)
        return ["name", *keys] if section == ("task",) else keys

    section, key = path[:-1], str(path[-1])
    word = key.replace("-", "_")
    code = "C05" if "-" in key else "C03"
    owners = [other for other in context.sections if word in list_keys(other)]
    message = f'{_format_path(section) or "a recipe"} has no key "{key}"'
    fix = ""
    if section in owners:
        fix = f"write {word}"
    elif word.lower() in FOREIGN:
        *target_section, target_key = FOREIGN[word.lower()].split(".")
        same_section = tuple(target_section) == section
        fix = f"write {target_key}" + ("" if same_section else _format_section(tuple(target_section)))
    elif owners:
        code = "C04" if word == key else "C05"
        verb = "it belongs" if word == key else f"write {word}"
        fix = verb + " or".join(map(_format_section, owners))
    elif suggestion := suggest(word, list_keys(section)):
        message += suggestion
    else:
        fix = f"choose one of {', '.join(list_keys(section))}"
    return context.find_place(path, True).error(code, message, fix)


def _trim_location(location: KeyPath, error_type: str, content: Any) -> KeyPath:
    """Remove from a location of pydantic the steps that name alternative types: only keys and list indices stay."""
    path: KeyPath = ()
    for step in location:
        is_key = isinstance(content, dict) and step in content
        if is_key or (isinstance(content, list) and isinstance(step, int)):
            content = content[step]
            path = (*path, step)
    return (*path, location[-1]) if error_type == "missing" else path


def _format_path(path: KeyPath) -> str:
    *start, last = path or ("",)
    if isinstance(last, int):
        return f"item {last + 1} of {_format_path(tuple(start))}"
    return ".".join(map(str, path))


def _format_section(section: KeyPath) -> str:
    return f" under {_format_path(section)}:" if section else " at the top level"


def _format_value(value: Any) -> str:
    if isinstance(value, str):
        return f'the string "{value[:40]}{"..." if len(value) > 40 else ""}"'
    if value is None:
        return "empty (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return "a list" if isinstance(value, list) else "a section"
    return str(value)
