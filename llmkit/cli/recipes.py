"""`llmkit recipes list | show NAME | copy NAME`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmkit.cli.completion import suggest_recipes

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["app"]

app = typer.Typer(
    help="List, show or copy the packaged recipes.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_recipes(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """List the packaged recipes: name, the command that runs it, and purpose."""
    from llmkit.cli import show
    from llmkit.recipe import packaged

    summaries = {name: packaged.read_summary(name) for name in packaged.list_names()}
    if as_json:
        show.print_json({"recipes": summaries})
        return
    width = max(map(len, summaries))
    for name, summary in summaries.items():
        typer.echo(f"{name:{width}}  {packaged.find_kind(name):8}  {summary}")


@app.command("show")
def show_recipe(
    name: Annotated[
        str | None, typer.Argument(help="A packaged recipe or a YAML file.", autocompletion=suggest_recipes)
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Show every key with its type, default and meaning instead.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; with --schema, the JSON Schema of recipes.")
    ] = False,
) -> None:
    """Print a recipe with all its defaults, or with --schema every recipe key."""
    from llmkit import tasks
    from llmkit.base.errors import RecipeError
    from llmkit.cli import show
    from llmkit.recipe import load

    if schema and as_json:
        typer.echo(_format_json_schema(), nl=False)
    elif schema:
        typer.echo(load.format_schema(_task_options()))
    elif name is None:
        raise RecipeError("U01", "", "no recipe was named", "run `llmkit recipes list` to see the names")
    else:
        recipe = load.load(name, task_names=tasks.names(), task_options=tasks.options)
        if as_json:
            show.print_json(recipe.model_dump(mode="json"))
        else:
            typer.echo(load.dump(recipe), nl=False)


@app.command("copy")
def copy_recipe(
    name: Annotated[str, typer.Argument(help="A packaged recipe.", autocompletion=suggest_recipes)],
    target: Annotated[
        Path | None, typer.Argument(help="Path of the copy (default: NAME.yaml in the working directory).")
    ] = None,
) -> None:
    """Copy a recipe to edit it. Run the copy by its path, as in `llmkit finetune ./NAME.yaml`.

    A JSON Schema is written next to it, with which editors complete and check the keys.
    """
    from llmkit.recipe import packaged

    typer.echo(f"copied to {packaged.copy(name, target or Path(f'{name}.yaml'), _format_json_schema())}")


def _task_options() -> dict[str, type[BaseModel]]:
    from llmkit import tasks

    return {name: tasks.options(name) for name in tasks.names()}


def _format_json_schema() -> str:
    """Return the JSON Schema of recipes as text."""
    from llmkit.recipe.json_schema import build_json_schema

    return json.dumps(build_json_schema(_task_options()), indent=2, ensure_ascii=False) + "\n"
