"""Errors of evaluation (E) and of running generated programs (X)."""

from __future__ import annotations

__all__ = ["EXPLANATIONS"]


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "E01": (
        "unknown metric",
        "There is no metric of this name for this task or these files. The message lists the available ones. "
        "`llmkit metrics list` shows what each metric compares.",
    ),
    "E02": (
        "nothing to compare",
        "The references hold no text, or nothing is left of them after tokenization: a tokenizer for English "
        "drops every Chinese character and would score identical texts 0. Name the language (--language zh) or "
        "another tokenizer.",
    ),
    "E03": (
        "missing package",
        "This tokenizer or metric needs a package that llmkit does not install by itself. The message names it.",
    ),
    "E04": (
        "different numbers of predictions and references",
        "The files of predictions and references must have the same number of lines, one per example, in the same "
        "order. A blank line counts as an empty text.",
    ),
    "E05": (
        "ids without a counterpart",
        "Predictions and references are matched by their ids, and some ids occur on one side only. Scoring only "
        "the others would give the score of a different test set.",
    ),
    "E06": ("duplicate id", "Two rows of a file have the same id, so it is not clear which one counts."),
    "E07": (
        "value of the wrong kind for the metric",
        "The metric compares numbers, labels, texts, answers or tags, and this value is something else, or does "
        "not match the reference. `llmkit metrics show NAME` says what the metric compares.",
    ),
    "E08": (
        "two metrics with the same score key",
        "Both metrics would write their score under the same key. Compute them in two commands.",
    ),
    "E09": (
        "unusable metric module",
        "The folder or name given to --metric is not a metric module of the `evaluate` library, or its code "
        "failed.",
    ),
    "E10": (
        "unusable tokenizer for a metric",
        "There is no tokenizer of this name, its model could not be loaded, or it can't split these texts into "
        "words. A tokenizer for English takes a Chinese sentence for a single word and would score identical "
        "texts 0. Name the language (--language zh) or another tokenizer.",
    ),
    "X01": (
        "no sandbox for generated programs",
        "llmkit runs programs that a model generated only if the kernel can isolate them: Linux 5.13 or later on "
        "x86_64, with Landlock and seccomp. The message says what is missing. No program was run.",
    ),
    "X02": (
        "no program or no tests",
        "The solution of a row must be a Python program, and its tests a list of Python statements that run "
        "without an error if the program is correct. Correct the row, or remove it. Tests can be left out unless "
        "task.run_programs=true.",
    ),
}
