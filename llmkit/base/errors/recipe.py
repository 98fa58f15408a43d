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
        "YAML forbids tabs in indentation, because their width is not defined. Indent with two spaces.",
    ),
    "C02": (
        "key given twice",
        "Most YAML readers silently keep the last of two equal keys. llmkit names both places "
        "instead; remove one of them. The same holds for an override given twice on the command line.",
    ),
    "C03": (
        "unknown key",
        "An unknown key would be a setting that is silently not honoured. The line names the nearest "
        "key that exists; `llmkit recipes show --schema` lists all of them. Names of other tools (lr, "
        "num_train_epochs, ...) are pointed to ours.",
    ),
    "C04": (
        "key in the wrong section",
        "The key exists, but under another section. Move it there, or write the full path in an "
        "override: train.learning_rate=3e-5.",
    ),
    "C05": ("hyphens in a key", "Keys are written with underscores: batch_size, not batch-size."),
    "C06": (
        "number in quotes",
        "A quoted number is text. Remove the quotes. 1e-5 without a decimal point is a number here, "
        "as in YAML 1.2.",
    ),
    "C07": (
        "yes/no/on/off for a boolean",
        "Only true and false are booleans. The others are plain words, so that a language code `no` "
        "or a class name `yes` stays what it is.",
    ),
    "C08": (
        "wrong type",
        "The value is of another kind than the key takes, for instance a list where one number belongs.",
    ),
    "C09": (
        "out of range",
        "The value is of the right kind but not allowed: a learning rate of 0, a dropout of 1, a "
        "choice that does not exist. The line states what is allowed.",
    ),
    "C10": (
        "settings that exclude each other",
        "Two settings can't both hold: epochs and max_steps, or a number format that this device "
        "can't compute in. Keep one of them.",
    ),
    "C11": (
        "required key missing",
        "Without this key there is nothing to run. The line shows an example to copy.",
    ),
    "C12": (
        "not a mapping",
        "A recipe is a mapping of sections. The file is empty, holds a list or a single value at the "
        "top, or several documents.",
    ),
    "C13": (
        "syntax error",
        "The file or the override can't be parsed: an unclosed bracket or quote, a byte that is not "
        "UTF-8, an override without `=`. The place is that of the opening where there is one.",
    ),
    "C14": (
        "construct refused for safety",
        "Tags (!!python/...), anchors and aliases, files over 1 MiB and nesting deeper than 32 are "
        "refused: a recipe is data, and these are the ways to make a YAML reader run code or fill the "
        "memory.",
    ),
    "C15": (
        "no such recipe",
        "The name is neither a packaged recipe (`llmkit recipes list`) nor a file that can be read.",
    ),
    "C16": (
        "target exists",
        "`llmkit recipes copy` never overwrites. Name another target or remove the old file.",
    ),
    "C17": (
        "recipe of another command",
        "Packaged recipes for running text are run by `llmkit pretrain`, the others by `llmkit finetune`.",
    ),
    "U01": (
        "wrong command line",
        "An unknown command or option, or arguments that don't go together. --help behind a command "
        "shows what it takes.",
    ),
    "U02": ("unknown error code", "Codes stand in the brackets of an error line, a letter and two digits."),
}
