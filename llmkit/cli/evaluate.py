"""`llmkit evaluate RUN_OR_MODEL [--data FILE ...]`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

__all__ = ["evaluate"]


def evaluate(
    target: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="A run, a model folder, or a Hub id.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Labelled rows to score on; may be repeated. Else the run's own test rows."
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="Where the file has it, e.g. text=sentence."),
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Scores to show first; may be repeated.")] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="COLUMN",
            help="Score each value of this column too: a column of the rows, or length, label, language (by "
            "script), source (file). May be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Score a trained model. On the run's own test rows, or on new data; each score has an interval.

    With several --data it shows how far each corpus lies below the run's own test rows.
    """
    from llmkit import processes
    from llmkit.cli import show
    from llmkit.workflows import evaluate as workflow

    with show.progress() as progress:
        result = workflow.evaluate(
            target,
            data=data,
            columns=_columns(column or []),
            metrics=metric or [],
            slices=by or [],
            progress=progress,
        )
    if not processes.is_main():
        return
    if as_json:
        show.print_json(result)
    elif "corpora" in result:
        _print_corpora(result)
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
    _print_slices("", result)
    _warn("", result["unknown_tokens_share"])


def _print_corpora(result: dict[str, Any]) -> None:
    """One row a corpus: its scores, then their drops from the run's own test rows."""
    from llmkit.cli import show

    corpora, home = result["corpora"], result["home"]
    names = next(iter(corpora.values()))["headline"]
    rows = [
        [name, f"{corpus['n']:,}", *(show.score_text(corpus["scores"][metric]) for metric in names)]
        for name, corpus in corpora.items()
    ]
    if home:
        own = home["scores"]
        rows.insert(
            0,
            [
                f"home ({home['part']})",
                f"{home['n']:,}",
                *(show.score_text(own.get(metric)) for metric in names),
            ],
        )
    show.table(f"scores, {_percent(result)} intervals", ["corpus", "n", *names], rows)
    if home:
        _print_drops(result, names)
    for name, corpus in corpora.items():
        _print_slices(f"{name}: ", corpus)
        _warn(f"{name}: ", corpus["unknown_tokens_share"])
    for sentence in result["verdict"]:
        show.console().print(sentence)


def _print_slices(where: str, result: dict[str, Any]) -> None:
    """One row a slice, and the difference from all other rows."""
    from llmkit.cli import show

    found = result.get("slices")
    if found is None:
        return
    rows = [
        [
            f"{one['grouping']}: {one['value']}",
            f"{one['score']['n']:,}",
            one["metric"],
            show.score_text(one["score"]),
            _difference_text(one["difference"]),
            "" if one["p_holm"] is None else f"{one['p_holm']:.4f}",
        ]
        for one in found["slices"]
    ]
    head = ["slice", "n", "score", f"value [{_percent(found)}]", "minus the rest", "p (Holm)"]
    show.table(f"\n{where}slices, the worst first", head, rows)
    if found["left_out"]:
        show.console().print(f"{found['left_out']} slices were too small to be judged, or of too many values")


def _difference_text(difference: dict[str, Any]) -> str:
    return _drop_text(difference, less_is_better=False)


def _print_drops(result: dict[str, Any], names: list[str]) -> None:
    """The drop is home minus corpus; of a score of which less is better the table shows corpus minus home."""
    from llmkit.cli import show

    less = result["lower_is_better"]
    rows = [
        [name, *(_drop_text(corpus["drop"].get(metric), metric in less) for metric in names)]
        for name, corpus in result["corpora"].items()
    ]
    heads = [f"{metric} {'higher' if metric in less else 'lower'} by" for metric in names]
    title = f"\nworse than at home by (below zero: better), {_percent(result)} intervals"
    show.table(title, ["corpus", *heads], rows)


def _drop_text(drop: dict[str, Any] | None, less_is_better: bool) -> str:
    """`+0.081 [+0.050, +0.113]`"""
    if drop is None:
        return ""
    sign = -1 if less_is_better else 1
    value = f"{sign * drop['value'] + 0.0:+.3f}"  # + 0.0: no -0.000 of an exact zero
    if drop["low"] is None:
        return value
    low, high = sorted([sign * drop["low"], sign * drop["high"]])
    return f"{value} [{low:+.3f}, {high:+.3f}]"


def _percent(result: dict[str, Any]) -> str:
    return f"{100 * result['confidence']:g}%"


def _warn(where: str, share: float) -> None:
    from llmkit.cli import show

    if share > 0.05:
        show.console().print(
            f"warning: {where}{share:.1%} of the tokens are unknown to this model's vocabulary"
        )
