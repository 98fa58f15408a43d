"""`llmkit recipes list | show NAME | copy NAME`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmkit.cli.completion import suggest_recipes

__all__ = ["app"]

app = typer.Typer(
    help="List, show or copy the packaged recipes.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_recipes(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Names of the packaged recipes, the command that runs each, and what it is for."""
    from llmkit.cli import show
    from llmkit.recipe import packaged

    summaries = {name: packaged.summary(name) for name in packaged.names()}
    if as_json:
        show.print_json({"recipes": summaries})
        return
    width = max(map(len, summaries))
    for name, summary in summaries.items():
        typer.echo(f"{name:{width}}  {packaged.kind(name):8}  {summary}")


@app.command("show")
def show_recipe(
    name: Annotated[
        str | None, typer.Argument(help="A packaged recipe or a YAML file.", autocompletion=suggest_recipes)
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Every key with its type, default and meaning.")
    ] = False,
) -> None:
    """Print a recipe with all its defaults. With --schema, every key there is."""
    from llmkit import tasks
    from llmkit.base.errors import RecipeError
    from llmkit.recipe import load

    if schema:
        typer.echo(load.schema_text({task: tasks.options(task) for task in tasks.names()}))
    elif name is None:
        raise RecipeError("U01", "", "which recipe?", "`llmkit recipes list` shows them")
    else:
        recipe = load.load(name, task_names=tasks.names(), task_options=tasks.options)
        typer.echo(load.dump(recipe), nl=False)


@app.command("copy")
def copy_recipe(
    name: Annotated[str, typer.Argument(help="A packaged recipe.", autocompletion=suggest_recipes)],
    target: Annotated[Path | None, typer.Argument(help="Where to; else NAME.yaml here.")] = None,
) -> None:
    """Copy a recipe, to be edited. The copy is run by its path, as in `llmkit finetune ./NAME.yaml`."""
    from llmkit.recipe import packaged

    typer.echo(f"copied to {packaged.copy(name, target or Path(f'{name}.yaml'))}")
