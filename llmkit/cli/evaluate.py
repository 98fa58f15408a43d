"""`llmkit evaluate RUN_OR_MODEL [--data FILE ...]`, or `--predictions FILE --references FILE --metric NAME`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmkit.cli.completion import suggest_runs
from llmkit.cli.score import parse_columns, print_scores, score_and_print

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
            metavar="FILE",
            help="Labelled data to evaluate on; repeat for several data sets (default: the run's own test set).",
        ),
    ] = None,
    predictions: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Score this file of predictions instead of a model (same as `llmkit score`)."
        ),
    ] = None,
    references: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Reference file for --predictions. Repeat the option to give several references per example.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN",
            help="Column to read as NAME, e.g. text=sentence (with --predictions: predictions, references or id).",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Metric to report first; repeat for more. With --predictions: the metrics to compute."
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            help="Language of the texts of --predictions, e.g. zh (default: detected from their script)."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Tokenizer for BLEU or ROUGE with --predictions.")
    ] = None,
    stemmer: Annotated[
        bool, typer.Option("--stemmer", help="Use Porter stemming for ROUGE with --predictions.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Read tags of --predictions as strict IOB2.")
    ] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="COLUMN",
            help="Also report scores for each value of a column, or by length, label, language (by script) or source "
            "(file); repeat for more.",
        ),
    ] = None,
    run_programs: Annotated[
        bool, typer.Option("--run-programs", help="Run the programs that the model generates, in a sandbox.")
    ] = False,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Evaluate with int8 weights (CPU) and report the change of each score."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Evaluate a trained model on labelled data. Each score has a 95% confidence interval.

    Without --data a run is evaluated on its own test set. With several data sets the result shows how far each score
    drops below the in-domain test set. To score a file of predictions, use `llmkit score`.
    """
    columns, metrics = parse_columns(column or []), metric or []
    files = {
        "predictions": predictions,
        "references": references,
        "language": language,
        "tokenizer": tokenizer,
        "stemmer": stemmer,
        "strict": strict,
    }
    if any(files.values()):
        models = {"RUN_OR_MODEL": target, "--data": data, "--slice": by, "--int8": int8}
        _check_files({**models, "--run-programs": run_programs}, files)
        from llmkit.metrics.settings import MetricSettings

        settings = MetricSettings(language=language, tokenizer=tokenizer, stemmer=stemmer, strict=strict)
        score_and_print(str(predictions), references or [], metrics, columns, settings, as_json)
        return
    options = {"data": data, "columns": columns, "metrics": metrics, "slices": by or []}
    _evaluate_model(target, {**options, "run_programs": run_programs, "int8": int8}, as_json)


def _check_files(of_models: dict[str, Any], of_files: dict[str, Any]) -> None:
    """Raise UserError U01 where options for files and options for models are mixed."""
    from llmkit.base.errors import UserError

    mixed = next((name for name, value in of_models.items() if value), None)
    used = next(name for name, value in of_files.items() if value)
    missing = next((name for name in ("predictions", "references") if not of_files[name]), None)
    if mixed:
        message = f"cannot be combined with {mixed}: files are scored without a model"
        raise UserError("U01", f"--{used}", message, "leave one of them out")
    if missing:
        message = f"also needs --{missing}"
        fix = "write --predictions FILE --references FILE --metric NAME"
        raise UserError("U01", f"--{used}", message, fix)


def _evaluate_model(target: str | None, options: dict[str, Any], as_json: bool) -> None:
    from llmkit.base import processes
    from llmkit.base.errors import UserError
    from llmkit.cli import show
    from llmkit.commands.evaluate import evaluate as run

    if target is None:
        fix = "name a run or a model, or score two files with `llmkit score`"
        raise UserError("U01", "", "no model and no predictions to evaluate", fix)
    with show.progress() as progress:
        result = run(target, **options, progress=progress)
    if not processes.is_main():
        return
    if as_json:
        show.print_json(result)
    elif "corpora" in result:
        _print_corpora(result)
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    scores = result["scores"]
    first = result["headline"]
    names = [*first, *(name for name in scores if name not in first)]
    print_scores(f"{result['data']}: {scores[names[0]]['n']:,} examples", names, scores)
    _print_int8("", result)
    _print_slices("", result)
    _warn("", result["unknown_tokens_share"])


def _print_corpora(result: dict[str, Any]) -> None:
    """Print the scores of each data set, then their drops from the in-domain test set."""
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
                f"in-domain ({home['part']})",
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
        show.console().print(f"{where}{metric} with int8 minus float32 weights: {_difference_text(change)}")


def _print_slices(where: str, result: dict[str, Any]) -> None:
    """Print one row per slice, with the difference from all other examples."""
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
    head = ["slice", "n", "score", f"value [{_percent(found)}]", "minus others", "p (Holm)"]
    show.table(f"\n{where}slices, worst first", head, rows)
    if found["left_out"]:
        show.console().print(
            f"{found['left_out']} slices were left out: too small, or from a column with too many values"
        )


def _difference_text(difference: dict[str, Any]) -> str:
    return _drop_text(difference, less_is_better=False)


def _print_drops(result: dict[str, Any], names: list[str]) -> None:
    """Print by how much each data set is worse than the in-domain test set.

    A drop in the result is in-domain minus data set. For metrics where lower is better the table shows the opposite.
    """
    from llmkit.cli import show

    less = result["lower_is_better"]
    rows = [
        [name, *(_drop_text(corpus["drop"].get(metric), metric in less) for metric in names)]
        for name, corpus in result["corpora"].items()
    ]
    heads = [f"{metric} {'higher' if metric in less else 'lower'} by" for metric in names]
    title = f"\nworse than the in-domain test set by (negative: better), {_percent(result)} intervals"
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
        show.console().print(f"warning: {where}{share:.1%} of the tokens are not in the model's vocabulary")
