"""`llmkit runs list | show RUN`"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from llmkit.cli.completion import suggest_runs

__all__ = ["app"]

app = typer.Typer(help="List runs, or show the result of one.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """List the runs below a folder, oldest first, with their state and first score."""
    from llmkit.base.run import find_runs
    from llmkit.cli import show

    found = [_summary(run) for run in find_runs(folder)]
    if as_json:
        show.print_json({"runs": found})
    elif not found:
        typer.echo(f"no runs in {folder}")
    else:
        rows = [[run["run"], _state(run), run["metric"], show.score_text(run["score"])] for run in found]
        show.table("", ["run", "state", "score", "value [95%]"], rows)


@app.command("show")
def show_run(
    run: Annotated[Path, typer.Argument(help="A run folder.", autocompletion=suggest_runs)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Show the result of a finished run, or the progress of an unfinished one."""
    from llmkit.base.run import Run
    from llmkit.cli import show
    from llmkit.cli.finetune import print_result

    opened = Run.open(run)
    if opened.finished:
        content = opened.read_report()
        show.print_json(content) if as_json else print_result(content)
    elif as_json:
        show.print_json(_summary(opened))
    else:
        command = shlex.join(["llmkit", "finetune", str(opened.recipe), "--out", str(run), "--resume"])
        typer.echo(f"{run}: {_state(_summary(opened))}\nresume   {command}")


def _state(summary: dict[str, Any]) -> str:
    done = summary.get("seeds_done")
    seeds = "" if done is None else f", {done} seed{'' if done == 1 else 's'}"
    if summary["state"] == "finished":
        return f"finished{seeds}"
    return f"unfinished{seeds and f'{seeds} done'}, step {summary['step']}"


def _summary(run: Any) -> dict[str, Any]:
    """Describe a run. With several seeds, `step` is that of the seed in training."""
    begun = list(run.seeds.values())
    going = next((own for own in begun if not own.finished), run)
    seeds = {"seeds_done": sum(own.finished for own in begun)} if begun else {}
    return {**_own_summary(run, going), **seeds}


def _own_summary(run: Any, going: Any) -> dict[str, Any]:
    if run.finished:
        content = run.read_report()
        metric = content["headline"][0]
        return {
            "run": str(run.path),
            "state": "finished",
            "step": content["train"]["steps"],
            "metric": metric,
            "score": content["scores"][metric],
        }
    steps = [line["step"] for line in going.read_log() if line["kind"] == "step"]
    return {
        "run": str(run.path),
        "state": "unfinished",
        "step": max(steps, default=0),
        "metric": "",
        "score": None,
    }
