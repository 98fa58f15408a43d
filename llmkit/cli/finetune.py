"""`llmkit finetune RECIPE [KEY=VALUE ...]`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmkit.cli.completion import suggest_recipes

if TYPE_CHECKING:
    from llmkit.recipe.packaged import Kind

__all__ = [
    "AsJson",
    "DryRun",
    "Name",
    "Out",
    "Overrides",
    "Resume",
    "finetune",
    "print_plan",
    "print_result",
    "train",
]

Name = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A packaged recipe (`llmkit recipes list`) or a YAML file.",
        autocompletion=suggest_recipes,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Override recipe settings, e.g. train.learning_rate=3e-5."),
]
Out = Annotated[
    Path | None, typer.Option(help="Output folder for the run (default: a new folder under runs/).")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check recipe and data, print the plan and stop.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


def finetune(
    recipe: Name,
    overrides: Overrides = None,
    out: Out = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a checkpoint on labelled data. The report compares its scores, with intervals, with baselines."""
    train("finetune", recipe, overrides or [], out=out, resume=resume, dry_run=dry_run, as_json=as_json)


def train(
    command: Kind,
    recipe: str,
    overrides: list[str],
    *,
    out: Path | None,
    resume: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a recipe and print the result."""
    from llmkit.base import processes
    from llmkit.cli import show
    from llmkit.commands.finetune import finetune as run

    with show.progress() as progress:
        result = run(
            recipe,
            overrides,
            out=out,
            resume=resume,
            dry_run=dry_run,
            progress=progress,
            command=command,
        )
    if not processes.is_main():
        return
    if as_json:
        show.print_json(result)
    elif dry_run:
        print_plan(result)
    else:
        print_result(result)


def print_result(result: dict[str, Any]) -> None:
    """Print one screen: scores with intervals, comparisons with baselines, cost, and where the files are."""
    from llmkit.cli import show

    names = result["headline"]
    seeds = result.get("seeds") or {}
    best = str(result.get("kept_seed"))
    systems = {f"seed {seed}{', model kept' * (seed == best)}": scores for seed, scores in seeds.items()}
    systems[f"mean of {len(seeds)} seeds" if seeds else "model"] = result["scores"]
    systems |= result.get("baselines", {})
    rows = [
        [name, *(show.score_text(scores.get(metric)) for metric in names)] for name, scores in systems.items()
    ]
    count = result["scores"][names[0]]["n"]
    show.table(f"{result['part']}: {count:,} examples, 95% intervals", ["", *names], rows)
    console = show.console()
    for sentence in result.get("verdict", []):
        console.print(sentence)
    for sample in result.get("samples", [])[:1]:
        console.print(f"\nsample: {sample['beginning']}|{sample['text']}")
    train = result["train"]
    rates = (
        f"{train['examples_per_second']:.1f} examples/s, {train['tokens_per_second']:,.0f} tokens/s, "
        f"peak memory {train['peak_memory_bytes'] / 1e9:.2f} GB"
    )
    console.print(f"\n{train['steps']:,} steps in {train['seconds']:.0f} s: {rates}")
    run = Path(result["run"])
    console.print(f"report   {run / 'report.html'}\nmodel    {run / 'model'}")
    console.print(f'try      llmkit predict {run} "your text"')


def print_plan(plan: dict[str, Any]) -> None:
    """Print one screen: examples and tokens of each split, truncation, and the training schedule."""
    from llmkit.cli import show

    counts = ("rows", "tokens", "cut_examples", "unknown_tokens")
    rows = [[part, *(f"{plan[name][part]:,}" for name in counts)] for part in plan["rows"]]
    size = f", {plan['parameters']:,} parameters" if plan["parameters"] else ""
    show.table(
        f"plan for {plan['model']}{size}",
        ["split", "examples", "tokens", "truncated", "unknown tokens"],
        rows,
    )
    schedule, seeds = plan["schedule"], plan["seeds"]
    prefix = f"{len(seeds)} seeds ({', '.join(map(str, seeds))}), each with " if len(seeds) > 1 else ""
    labels = f"labels: {', '.join(plan['labels'])}\n" if plan["labels"] else ""
    show.console().print(
        f"{labels}{prefix}"
        f"{schedule['total_steps']:,} steps ({schedule['warmup_steps']} of warm-up, then {schedule['kind']}),"
        f" evaluation every {plan['evaluate_every']}, checkpoint every {plan['checkpoint_every']} steps"
    )
