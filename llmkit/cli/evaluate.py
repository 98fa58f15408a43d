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
    file_options = {
        "predictions": predictions,
        "references": references,
        "language": language,
        "tokenizer": tokenizer,
        "stemmer": stemmer,
        "strict": strict,
    }
    if any(file_options.values()):
        model_options = {"RUN_OR_MODEL": target, "--data": data, "--slice": by, "--int8": int8}
        _check_file_options(file_options, {**model_options, "--run-programs": run_programs})
        from llmkit.metrics.settings import MetricSettings

        settings = MetricSettings(language=language, tokenizer=tokenizer, stemmer=stemmer, strict=strict)
        score_and_print(str(predictions), references or [], metrics, columns, settings, as_json)
        return
    options = {"data": data, "columns": columns, "metrics": metrics, "slices": by or []}
    _evaluate_model(target, {**options, "run_programs": run_programs, "int8": int8}, as_json)


def _check_file_options(file_options: dict[str, Any], model_options: dict[str, Any]) -> None:
    """Raise UserError U01 where options for files are incomplete, or mixed with options for models."""
    from llmkit.base.errors import UserError

    mixed = next((name for name, value in model_options.items() if value), None)
    used = next(name for name, value in file_options.items() if value)
    missing = next((name for name in ("predictions", "references") if not file_options[name]), None)
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
        _print_data_sets(result)
    else:
        scores, headline = result["scores"], result["headline"]
        names = [*headline, *(name for name in scores if name not in headline)]
        print_scores(f"{result['data']}: {scores[names[0]]['n']:,} examples", names, scores)
        _print_details("", result)


def _print_data_sets(result: dict[str, Any]) -> None:
    """Print the scores of each data set, then by how much each is worse than the in-domain test set.

    A drop in the result is in-domain minus data set. For metrics where lower is better the table shows the opposite.
    """
    from llmkit.cli import show

    corpora, in_domain = result["corpora"], result["home"]
    names = next(iter(corpora.values()))["headline"]
    rows = [
        [name, f"{corpus['n']:,}", *(show.score_text(corpus["scores"][metric]) for metric in names)]
        for name, corpus in corpora.items()
    ]
    if in_domain:
        texts = (show.score_text(in_domain["scores"].get(metric)) for metric in names)
        rows.insert(0, [f"in-domain ({in_domain['part']})", f"{in_domain['n']:,}", *texts])
    show.table(f"scores, {_percent(result)} intervals", ["corpus", "n", *names], rows)
    if in_domain:
        reversed_names = result["lower_is_better"]
        rows = [
            [name, *(_drop_text(corpus["drop"].get(metric), metric in reversed_names) for metric in names)]
            for name, corpus in corpora.items()
        ]
        heads = [f"{metric} {'higher' if metric in reversed_names else 'lower'} by" for metric in names]
        title = f"\nworse than the in-domain test set by (negative: better), {_percent(result)} intervals"
        show.table(title, ["corpus", *heads], rows)
    for name, corpus in corpora.items():
        _print_details(f"{name}: ", corpus)
    for sentence in result["verdict"]:
        show.console().print(sentence)


def _print_details(prefix: str, result: dict[str, Any]) -> None:
    """Print the cost of int8, a row per slice with its difference from all other examples, and unknown tokens."""
    from llmkit.cli import show

    console = show.console()
    for metric, change in result.get("int8", {}).items():
        console.print(f"{prefix}{metric} with int8 minus float32 weights: {_difference_text(change)}")
    slices = result.get("slices")
    if slices is not None:
        rows = [
            [
                f"{item['grouping']}: {item['value']}",
                f"{item['score']['n']:,}",
                item["metric"],
                show.score_text(item["score"]),
                _difference_text(item["difference"]),
                "" if item["p_holm"] is None else f"{item['p_holm']:.4f}",
            ]
            for item in slices["slices"]
        ]
        head = ["slice", "n", "score", f"value [{_percent(slices)}]", "minus others", "p (Holm)"]
        show.table(f"\n{prefix}slices, worst first", head, rows)
        if slices["left_out"]:
            console.print(
                f"{slices['left_out']} slices were left out: too small, or from a column with too many values"
            )
    share = result["unknown_tokens_share"]
    if share > 0.05:
        console.print(f"warning: {prefix}{share:.1%} of the tokens are not in the model's vocabulary")


def _difference_text(difference: dict[str, Any]) -> str:
    return _drop_text(difference, lower_is_better=False)


def _drop_text(drop: dict[str, Any] | None, lower_is_better: bool) -> str:
    """Format a drop and its interval as `+0.081 [+0.050, +0.113]`, with the sign changed if lower is better."""
    if drop is None:
        return ""
    sign = -1 if lower_is_better else 1
    value = f"{sign * drop['value'] + 0.0:+.3f}"  # + 0.0 turns -0.0 into 0.0
    if drop["low"] is None:
        return value
    low, high = sorted([sign * drop["low"], sign * drop["high"]])
    return f"{value} [{low:+.3f}, {high:+.3f}]"


def _percent(result: dict[str, Any]) -> str:
    return f"{100 * result['confidence']:g}%"
