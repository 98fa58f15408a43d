"""`llmkit evaluate RUN_OR_MODEL [--data FILE]`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

__all__ = ["evaluate"]


def evaluate(
    target: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="A run, a model folder, or a Hub id.")
    ],
    data: Annotated[
        str | None, typer.Option(help="Labelled rows to score on; else the run's own test rows.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="Where the file has it, e.g. text=sentence."),
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Scores to show first; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Score a trained model. On the run's own test rows, or on new data; each score has an interval."""
    from llmkit import processes
    from llmkit.cli import show
    from llmkit.workflows import evaluate as workflow

    with show.progress() as progress:
        result = workflow.evaluate(
            target, data=data, columns=_columns(column or []), metrics=metric or [], progress=progress
        )
    if not processes.is_main():
        return
    if as_json:
        show.print_json(result)
    else:
        _print(result)


def _columns(pairs: list[str]) -> dict[str, str]:
    from llmkit.errors import Problem, RecipeError

    for pair in pairs:
        if "=" not in pair:
            raise RecipeError(Problem("U01", f"--column {pair}", "has no =", "write it as text=sentence"))
    return dict(pair.split("=", 1) for pair in pairs)


def _print(result: dict[str, Any]) -> None:
    from llmkit.cli import show

    scores = result["scores"]
    first = result["headline"]
    names = [*first, *(name for name in scores if name not in first)]
    rows = [[name, show.score_text(scores[name]), scores[name]["method"]] for name in names]
    show.table(
        f"{result['data']}: {scores[names[0]]['n']:,} examples", ["score", "value [95%]", "method"], rows
    )
    if result["unknown_tokens_share"] > 0.05:
        share = result["unknown_tokens_share"]
        show.console().print(f"warning: {share:.1%} of the tokens are unknown to this model's vocabulary")
