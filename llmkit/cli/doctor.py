"""`llmkit doctor`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

__all__ = ["doctor"]


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Check this machine: versions, devices, measured speed, access to Hub and package index, cache."""
    from llmkit.cli import show
    from llmkit.commands import doctor as workflow

    with show.progress() as progress:
        found = workflow.doctor(progress)
    if as_json:
        show.print_json(found)
        return
    for title, rows in _sections(found).items():
        show.table(title, ["", ""], rows)
        typer.echo("")


def _sections(found: dict[str, Any]) -> dict[str, list[list[str]]]:
    from llmkit.base import environment

    cache = found["cache"]
    return {
        "versions": [[name, str(found[name])] for name in ("python", *environment.PACKAGES)],
        "machine": [
            [name, str(found[name])] for name in ("platform", "processor", "cores", "device", "threads")
        ],
        "matrix products, GFLOP/s": [
            *([name, f"{speed:,.1f}"] for name, speed in found["gigaflops"].items()),
            ["train.precision=auto", found["precision_auto"]],
        ],
        "network": [["package index", found["index"]], ["Hub", found["hub"]]],
        "cache": [
            [cache["folder"], f"{cache['bytes'] / 1e6:,.0f} MB, {cache['free_bytes'] / 1e9:,.0f} GB free"],
            *([f"index:{name}", state] for name, state in cache["assets"].items()),
        ],
    }
