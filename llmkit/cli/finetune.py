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
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Changes, e.g. train.learning_rate=3e-5")
]
Out = Annotated[Path | None, typer.Option(help="Run folder; else a new one in runs/.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check recipe and data, print the plan, stop.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


def finetune(
    recipe: Name,
    overrides: Overrides = None,
    out: Out = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train a checkpoint on labelled data. Scores come with intervals, beside baselines, in a report."""
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
    """Run a recipe and print what came out."""
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
    """One screen: what came out, how sure it is, beside what, and where the rest is."""
    from llmkit.cli import show

    names = result["headline"]
    systems = [*_own_scores(result), *result.get("baselines", {}).items()]
    rows = [[name, *(show.score_text(scores.get(metric)) for metric in names)] for name, scores in systems]
    count = result["scores"][names[0]]["n"]
    show.table(f"{result['part']}: {count:,} examples, 95% intervals", ["", *names], rows)
    console = show.console()
    for sentence in result.get("verdict", []):
        console.print(sentence)
    for sample in result.get("samples", [])[:1]:
        console.print(f"\nit writes: {sample['beginning']}|{sample['text']}")
    train = result["train"]
    rates = (
        f"{train['examples_per_second']:.1f} examples/s, {train['tokens_per_second']:,.0f} tokens/s, "
        f"peak memory {train['peak_memory_bytes'] / 1e9:.2f} GB"
    )
    console.print(f"\n{train['steps']:,} steps in {train['seconds']:.0f} s: {rates}")
    run = Path(result["run"])
    console.print(f"report   {run / 'report.html'}\nmodel    {run / 'model'}")
    console.print(f'try      llmkit predict {run} "a text of yours"')


def _own_scores(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The model's; of several seeds each one's, then the means over them."""
    seeds = result.get("seeds")
    if not seeds:
        return [("model", result["scores"])]
    kept = str(result["kept_seed"])
    each = [(f"seed {seed}{', model kept' * (seed == kept)}", scores) for seed, scores in seeds.items()]
    return [*each, (f"mean of {len(seeds)} seeds", result["scores"])]


def print_plan(plan: dict[str, Any]) -> None:
    """One screen: how many rows and tokens there are, what was cut, and how long training would go on."""
    from llmkit.cli import show

    counts = ("rows", "tokens", "cut_examples", "unknown_tokens")
    rows = [[part, *(f"{plan[name][part]:,}" for name in counts)] for part in plan["rows"]]
    size = f", {plan['parameters']:,} parameters" if plan["parameters"] else ""
    show.table(
        f"plan for {plan['model']}{size}", ["part", "rows", "tokens", "texts cut", "unknown tokens"], rows
    )
    schedule, seeds = plan["schedule"], plan["seeds"]
    each = f"{len(seeds)} seeds ({', '.join(map(str, seeds))}), for each " if len(seeds) > 1 else ""
    labels = f"labels: {', '.join(plan['labels'])}\n" if plan["labels"] else ""
    show.console().print(
        f"{labels}{each}"
        f"{schedule['total_steps']:,} steps ({schedule['warmup_steps']} of warm-up, then {schedule['kind']}),"
        f" evaluation every {plan['evaluate_every']}, checkpoint every {plan['checkpoint_every']} steps"
    )
