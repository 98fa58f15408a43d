"""`llmkit doctor`"""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["doctor"]


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Check this machine: versions, devices, measured speed, access to the Hub and the package index, cache."""
    from llmkit.base import environment
    from llmkit.cli import show
    from llmkit.commands import doctor as workflow

    with show.progress() as progress:
        state = workflow.doctor(progress)
    if as_json:
        show.print_json(state)
        return
    cache = state["cache"]
    machine = ("platform", "processor", "cores", "device", "threads")
    tables = {
        "versions": [[name, str(state[name])] for name in ("python", *environment.PACKAGES)],
        "machine": [[name, str(state[name])] for name in machine],
        "matrix products, GFLOP/s": [
            *([name, f"{speed:,.1f}"] for name, speed in state["gigaflops"].items()),
            ["train.precision=auto", state["precision_auto"]],
        ],
        "network": [["package index", state["index"]], ["Hub", state["hub"]]],
        "cache": [
            [cache["folder"], f"{cache['bytes'] / 1e6:,.0f} MB, {cache['free_bytes'] / 1e9:,.0f} GB free"],
            *([f"index:{name}", asset_state] for name, asset_state in cache["assets"].items()),
        ],
    }
    for title, rows in tables.items():
        show.table(title, ["", ""], rows)
        typer.echo("")
