"""Errors of recipes (C) and of the command line (U)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "RecipeError"]


class RecipeError(UserError):
    """A recipe, an override or a command-line option is wrong."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "C01": (
        "tab in the indentation",
        "YAML forbids tabs in indentation, because their width is not defined. Indent with spaces.",
    ),
    "C02": (
        "key given twice",
        "A section has two equal keys. Most YAML readers silently keep the last one; llmkit reports both places. "
        "Remove one of them. The same applies to two overrides of one key on the command line.",
    ),
    "C03": (
        "unknown key",
        "Recipes have no such key, so the setting would have no effect. The message suggests the most similar "
        "key, also for the names of other tools (lr, num_train_epochs, ...). `llmkit recipes show --schema` lists "
        "all keys.",
    ),
    "C04": (
        "key in the wrong section",
        "The key belongs to another section. Move it there. In an override, write the full path: "
        "train.learning_rate=3e-5.",
    ),
    "C05": ("hyphen in a key", "Keys are written with underscores: batch_size, not batch-size."),
    "C06": (
        "number in quotes",
        "A number or boolean in quotes is a string. Remove the quotes. Numbers follow YAML 1.2, so 1e-5 without a "
        "decimal point is a number too.",
    ),
    "C07": (
        "yes/no/on/off for a boolean",
        "Only true and false are booleans. The other words are strings, so that a language code `no` or a class "
        "name `yes` keeps its meaning.",
    ),
    "C08": (
        "wrong type",
        "The value has another type than the key takes, for example a list instead of a number.",
    ),
    "C09": (
        "value not allowed",
        "The value has the right type but is not allowed, for example a learning rate of 0, a dropout of 1 or an "
        "unknown choice. The message says what is allowed.",
    ),
    "C10": (
        "conflicting settings",
        "Two settings contradict each other, such as train.epochs and train.max_steps, or a setting contradicts "
        "the model, the data or the device. Change one of them.",
    ),
    "C11": (
        "required key missing",
        "The recipe lacks a key that every run needs. The message shows a line to add.",
    ),
    "C12": (
        "not a mapping",
        "A recipe must be one mapping of sections. The file is empty, holds a list or a single value at the top "
        "level, or holds several YAML documents.",
    ),
    "C13": (
        "syntax error",
        "The file or the override can't be parsed, for example because of an unclosed bracket or quote, a byte "
        "that is not UTF-8, or an override without `=`. For a bracket or quote, the place is where it was opened.",
    ),
    "C14": (
        "unsafe YAML",
        "Recipes must not contain tags (!!python/...), anchors or aliases, be larger than 1 MiB, or be nested "
        "deeper than 32 levels. Through these a YAML file can make a reader run code or fill the memory.",
    ),
    "C15": (
        "recipe not found",
        "The name is neither a packaged recipe (see `llmkit recipes list`) nor a file that can be read.",
    ),
    "C16": (
        "target exists",
        "`llmkit recipes copy` never overwrites a recipe. Choose another name, or delete the old file.",
    ),
    "C17": (
        "recipe of another command",
        "`llmkit pretrain` runs the packaged recipes for pretraining, and `llmkit finetune` runs the others.",
    ),
    "U01": (
        "wrong command line",
        "The command or an option is unknown, or the arguments don't fit together. Run the command with --help to "
        "see what it accepts.",
    ),
    "U02": (
        "unknown error code",
        "An error code is a letter and two digits, such as L05. It stands in brackets at the beginning of an "
        "error message.",
    ),
}
