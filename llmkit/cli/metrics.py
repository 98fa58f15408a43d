"""`llmkit metrics list | show NAME | export NAME FOLDER`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    help="List and describe the metrics of `llmkit score`, or export one for the `evaluate` library.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_metrics(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """List the metrics with a short description of each."""
    from llmkit.cli import show
    from llmkit.metrics.registry import ENTRIES

    if as_json:
        show.print_json({"metrics": {name: metric.summary for name, metric in ENTRIES.items()}})
        return
    width = max(map(len, ENTRIES))
    for name, metric in ENTRIES.items():
        typer.echo(f"{name:{width}}  {metric.summary}")


@app.command("show")
def show_metric(
    name: Annotated[str, typer.Argument(help="A metric from `llmkit metrics list`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Show the input that a metric needs, the scores it computes and its options."""
    from llmkit.cli import show
    from llmkit.metrics.registry import KINDS, find_entry

    metric = find_entry(name)
    settings = [f"--{setting}" for setting in metric.settings]
    if as_json:
        about = {"name": name, "summary": metric.summary, "kind": metric.kind, "keys": metric.keys}
        show.print_json({**about, "options": settings})
        return
    typer.echo(f"{name}: {metric.summary}")
    typer.echo(f"example  {KINDS[metric.kind]}")
    typer.echo(f"scores   {', '.join(metric.keys)}")
    typer.echo(f"options  {', '.join(settings) or 'none'}")


@app.command("export")
def export_metric(
    name: Annotated[str, typer.Argument(help="A metric from `llmkit metrics list`.")],
    folder: Annotated[
        Path, typer.Argument(help="Parent folder; the metric is written to FOLDER/NAME.")
    ] = Path(),
) -> None:
    """Export a metric as a module of the `evaluate` library, for evaluate.load("FOLDER/NAME")."""
    from llmkit.commands.metric_export import export

    typer.echo(f"written to {export(name, folder)}")
