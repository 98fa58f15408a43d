"""`llmkit compare RUN_A RUN_B [--out DIR]`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmkit.cli.completion import suggest_runs

__all__ = ["compare"]


def compare(
    first: Annotated[
        Path, typer.Argument(metavar="RUN_A", help="A finished run.", autocompletion=suggest_runs)
    ],
    second: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_B", help="Another run, evaluated on the same test set.", autocompletion=suggest_runs
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Output folder for a report on both runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Compare two runs on the same test examples: paired differences with 95% confidence intervals."""
    from llmkit.cli import show
    from llmkit.commands import compare as workflow

    result = workflow.compare(first, second, out=out)
    if as_json:
        show.print_json(result)
        return
    rows = []
    for metric, row in result["differences"].items():
        interval = "" if row["low"] is None else f"[{row['low']:+.4f}, {row['high']:+.4f}]"
        needed = "" if row["examples_needed"] is None else f"{row['examples_needed']:,}"
        rows.append([metric, f"{row['value']:+.4f}", interval, f"{row['p_holm']:.4f}", needed])
    title = f"{result['second']} minus {result['first']}, {result['n']:,} common examples"
    show.table(title, ["score", "difference", "95% interval", "p (Holm)", "examples needed"], rows)
    console = show.console()
    if result["mcnemar_p"] is not None:  # None for tasks without right and wrong predictions
        console.print(f"McNemar's test on accuracy: p = {result['mcnemar_p']:.4f}")
    for sentence in dict.fromkeys(result["verdict"]):  # several metrics can have the same sentence
        console.print(sentence)
    excluded = result["only_in_first"] + result["only_in_second"]
    if excluded:
        console.print(f"{excluded} examples are in one run only and were left out")
    if out is not None:
        console.print(f"report   {out / 'report.html'}")
