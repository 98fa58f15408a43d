"""`llmkit runs list | show RUN`"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmkit.cli.completion import suggest_runs

if TYPE_CHECKING:
    from llmkit.base.run import Run

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

    summaries = [_summarize(run) for run in find_runs(folder)]
    if as_json:
        show.print_json({"runs": summaries})
    elif not summaries:
        typer.echo(f"no runs in {folder}")
    else:
        rows = [
            [summary["run"], _format_state(summary), summary["metric"], show.score_text(summary["score"])]
            for summary in summaries
        ]
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
        show.print_json(_summarize(opened))
    else:
        command = shlex.join(["llmkit", "finetune", str(opened.recipe), "--out", str(run), "--resume"])
        typer.echo(f"{run}: {_format_state(_summarize(opened))}\nresume   {command}")


def _format_state(summary: dict[str, Any]) -> str:
    done = summary.get("seeds_done")
    seeds = (
        "" if done is None else f", {done} seed{'' if done == 1 else 's'}"
    )  # done is None for a run of one seed
    if summary["state"] == "finished":
        return f"finished{seeds}"
    return f"unfinished{seeds and f'{seeds} done'}, step {summary['step']}"


def _summarize(run: Run) -> dict[str, Any]:
    """Describe a run. With several seeds, `step` is the step of the seed in training."""
    seeds = list(run.seeds.values())
    summary: dict[str, Any]
    if run.finished:
        content = run.read_report()
        metric = content["headline"][0]
        summary = {"step": content["train"]["steps"], "metric": metric, "score": content["scores"][metric]}
    else:
        current = next((seed for seed in seeds if not seed.finished), run)
        steps = [line["step"] for line in current.read_log() if line["kind"] == "step"]
        summary = {"step": max(steps, default=0), "metric": "", "score": None}
    state = "finished" if run.finished else "unfinished"
    seeds_done = {"seeds_done": sum(seed.finished for seed in seeds)} if seeds else {}
    return {"run": str(run.path), "state": state, **summary, **seeds_done}
