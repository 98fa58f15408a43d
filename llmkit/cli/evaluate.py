"""`llmkit evaluate RUN_OR_MODEL [--data FILE ...]`, or `--predictions FILE --references FILE --metric NAME`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmkit.cli.completion import suggest_runs

__all__ = ["evaluate"]


def evaluate(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN_OR_MODEL", help="A run, a model folder, or a Hub id.", autocompletion=suggest_runs
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Labelled rows to score on; may be repeated. Else the run's own test rows."
        ),
    ] = None,
    predictions: Annotated[
        str | None, typer.Option(metavar="FILE", help="Without a model: what a system wrote.")
    ] = None,
    references: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="What it should be; repeated: several references an example."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN",
            help="Where the file has it, e.g. text=sentence; of files predictions, references, id.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Scores to show first; of files those to compute. May be repeated."),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Of the texts in files, e.g. zh. Else by their script.")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="For BLEU or ROUGE of files.")] = None,
    stemmer: Annotated[bool, typer.Option("--stemmer", help="Porter's, for ROUGE of files.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Entities of files as strict IOB2.")] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="COLUMN",
            help="Score each value of this column too: a column of the rows, or length, label, language (by "
            "script), source (file). May be repeated.",
        ),
    ] = None,
    run_programs: Annotated[
        bool, typer.Option("--run-programs", help="Run programs that the model writes, in a sandbox.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Score it in 8 bits (CPU), and tell what that changed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Score a trained model, or a file of predictions. Each score has an interval.

    A run is scored on its own test rows or on new data; with several --data it shows how far each corpus lies below
    the run's own test rows. Files need no model: `llmkit metrics list` shows what they can be scored by.
    """
    columns, metrics = _columns(column or []), metric or []
    files = {
        "predictions": predictions,
        "references": references,
        "language": language,
        "tokenizer": tokenizer,
        "stemmer": stemmer,
        "strict": strict,
    }
    if not any(files.values()):
        asked = {"data": data, "columns": columns, "metrics": metrics, "slices": by or []}
        _model(_needed(target), {**asked, "run_programs": run_programs, "int8": int8}, as_json)
        return
    of_models = {"RUN_OR_MODEL": target, "--data": data, "--slice": by, "--int8": int8}
    _check_files({**of_models, "--run-programs": run_programs}, files)
    how = {name: files[name] for name in ("language", "tokenizer", "stemmer", "strict")}
    _files(str(predictions), references or [], columns, metrics, how, as_json)


def _needed(target: str | None) -> str:
    from llmkit.base.errors import UserError

    if target is None:
        fix = "name a run or a model, or two files with --predictions and --references"
        raise UserError("U01", "", "nothing to evaluate is named", fix)
    return target


def _check_files(of_models: dict[str, Any], of_files: dict[str, Any]) -> None:
    """Scoring files and scoring a model do not go together. Raises UserError U01."""
    from llmkit.base.errors import UserError

    mixed = next((name for name, value in of_models.items() if value), None)
    used = next(name for name, value in of_files.items() if value)
    missing = next((name for name in ("predictions", "references") if not of_files[name]), None)
    if mixed:
        message = f"does not go with {mixed}: files are scored without a model"
        raise UserError("U01", f"--{used}", message, "leave one of them out")
    if missing:
        message = f"needs --{missing} too"
        fix = "write --predictions FILE --references FILE --metric NAME"
        raise UserError("U01", f"--{used}", message, fix)


def _files(
    predictions: str,
    references: list[str],
    columns: dict[str, str],
    metrics: list[str],
    how: dict[str, Any],
    as_json: bool,
) -> None:
    from llmkit.cli import show
    from llmkit.commands.score import score_files
    from llmkit.metrics.registry import MetricSettings

    with show.progress() as progress:
        result = score_files(
            predictions,
            references,
            metrics,
            settings=MetricSettings(**how),
            columns=columns,
            progress=progress,
        )
    if as_json:
        show.print_json(result)
        return
    title = f"{predictions} against {', '.join(references)}: {result['n']:,} examples"
    _print_scores(title, list(result["scores"]), result["scores"])


def _model(target: str, how: dict[str, Any], as_json: bool) -> None:
    from llmkit.base import processes
    from llmkit.cli import show
    from llmkit.commands import evaluate as workflow

    with show.progress() as progress:
        result = workflow.evaluate(target, **how, progress=progress)
    if not processes.is_main():
        return
    if as_json:
        show.print_json(result)
    elif "corpora" in result:
        _print_corpora(result)
    else:
        _print(result)


def _columns(pairs: list[str]) -> dict[str, str]:
    from llmkit.base.errors import RecipeError

    for pair in pairs:
        if "=" not in pair:
            raise RecipeError("U01", f"--column {pair}", "has no =", "write it as text=sentence")
    return dict(pair.split("=", 1) for pair in pairs)


def _print(result: dict[str, Any]) -> None:
    scores = result["scores"]
    first = result["headline"]
    names = [*first, *(name for name in scores if name not in first)]
    _print_scores(f"{result['data']}: {scores[names[0]]['n']:,} examples", names, scores)
    _print_int8("", result)
    _print_slices("", result)
    _warn("", result["unknown_tokens_share"])


def _print_scores(title: str, names: list[str], scores: dict[str, Any]) -> None:
    from llmkit.cli import show

    rows = [[name, show.score_text(scores[name]), scores[name]["method"]] for name in names]
    show.table(title, ["score", "value [95%]", "method"], rows)


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
        _print_int8(f"{name}: ", corpus)
        _print_slices(f"{name}: ", corpus)
        _warn(f"{name}: ", corpus["unknown_tokens_share"])
    for sentence in result["verdict"]:
        show.console().print(sentence)


def _print_int8(where: str, result: dict[str, Any]) -> None:
    from llmkit.cli import show

    for metric, change in result.get("int8", {}).items():
        show.console().print(f"{where}{metric} in 8 bits minus in 32: {_difference_text(change)}")


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
