"""Errors of evaluation (E) and of running generated programs (X)."""

from __future__ import annotations

__all__ = ["EXPLANATIONS"]


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "E01": (
        "unknown metric",
        "There is no score of that name here. The line lists those there are; `llmkit metrics list` shows what "
        "each of them compares.",
    ),
    "E02": (
        "nothing to compare",
        "Split as this metric splits texts, nothing is left: a tokenizer made for English drops every Chinese "
        "character, and would score identical texts 0. Name the language (--language zh) or another tokenizer.",
    ),
    "E03": (
        "a package is missing",
        "This tokenizer or metric needs a package that llmkit does not install by itself. The line says which.",
    ),
    "E04": (
        "another number of predictions than of references",
        "Line by line both files must tell of the same examples. A blank line counts as an empty text.",
    ),
    "E05": (
        "examples that stand on one side only",
        "Predictions and references are paired by their ids, and these ids have no counterpart. A score over the "
        "rest alone would be one of other examples than the file's.",
    ),
    "E06": ("id given twice", "Two rows have the same id, so it is not clear which of them counts."),
    "E07": (
        "not what the metric compares",
        "The metric takes numbers, labels, texts, answers or tags, and this value is none; or the two files have "
        "other words at this place. `llmkit metrics show NAME` says what it takes.",
    ),
    "E08": (
        "two metrics with one score key",
        "Both metrics would write their score under the same name. Ask for them one by one.",
    ),
    "E09": (
        "a metric module that can't be used",
        "The folder or name given to --metric is no module of the `evaluate` library, or its code failed.",
    ),
    "E10": (
        "a tokenizer that can't be used",
        "There is no tokenizer of that name, its model could not be loaded, or it can't divide these texts into words: "
        "one made for English takes a Chinese sentence for a single word and would score identical texts 0. "
        "Name the language (--language zh) or another tokenizer.",
    ),
    "X01": (
        "no sandbox for a model's programs",
        "Programs that a model wrote are run only where the kernel can lock them in: Linux 5.13 or later on x86_64, "
        "with Landlock and seccomp. The line says what is missing. Nothing was run.",
    ),
    "X02": (
        "no program, or no tests",
        "A row's solution must be Python, and its tests a list of Python statements that run through when a program is "
        "right. Correct the row, or remove it. Without task.run_programs tests can be left out.",
    ),
}
