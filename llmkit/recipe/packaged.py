"""Find, list and copy the recipes that come with llmkit.

A checkout reads its own recipes/ folder; an installed wheel contains the same files as llmkit/_recipes. So an edit in a
checkout takes effect at once, also for an editable install next to which an older copy may exist.

    list_names("finetune")                       ["sentiment", ...]
    find_path("sentiment")                       .../recipes/finetune/sentiment.yaml
    check_kind("clm-continue", "finetune")       error[C17]: run it as `llmkit pretrain clm-continue`
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from llmkit.base import files
from llmkit.base.errors import RecipeError, suggest

__all__ = [
    "KINDS",
    "SCHEMA_FILE",
    "Kind",
    "check_kind",
    "copy",
    "find_kind",
    "find_path",
    "find_root",
    "list_names",
    "read_summary",
]

Kind = Literal["finetune", "pretrain"]
KINDS: tuple[Kind, ...] = ("finetune", "pretrain")  # both a folder of recipes and the command that runs them
SCHEMA_FILE = "llmkit.schema.json"


def find_root() -> Path:
    """Return the folder that holds one folder of recipes per kind."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    # site-packages could hold another package named "recipes", but no pyproject.toml
    is_checkout = (checkout / "recipes").is_dir() and (checkout / "pyproject.toml").is_file()
    return checkout / "recipes" if is_checkout else package / "_recipes"


def list_names(kind: str | None = None) -> list[str]:
    """Return the names of the recipes of this kind ("finetune" or "pretrain"), or of all recipes."""
    kinds = KINDS if kind is None else (kind,)
    return [file.stem for folder in kinds for file in sorted((find_root() / folder).glob("*.yaml"))]


def find_path(name: str) -> Path:
    """Return the file of a recipe. Raises RecipeError C15 if there is no recipe of this name."""
    for kind in KINDS:
        file = find_root() / kind / f"{name}.yaml"
        if name in list_names(kind):
            return file
    message = f'there is no recipe "{name}"{suggest(name, list_names())}'
    fix = f"choose one of {', '.join(list_names())}, or give the path of a .yaml file"
    raise RecipeError("C15", "", message, fix)


def find_kind(name: str) -> str:
    """Return the command that runs a recipe. Raises RecipeError C15 if there is no recipe of this name."""
    return find_path(name).parent.name


def check_kind(source: str, command: Kind) -> None:
    """Raise RecipeError C17 if a packaged recipe belongs to the other command. Both commands run a user's own file."""
    if source in list_names() and find_kind(source) != command:
        message = f'"{source}" is not a recipe of `llmkit {command}`'
        raise RecipeError("C17", "", message, f"run it as `llmkit {find_kind(source)} {source}`")


def read_summary(name: str) -> str:
    """Return the first line of the comment at the top of the recipe."""
    first = find_path(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip()


def copy(name: str, target: Path, schema: str) -> Path:
    """Copy a packaged recipe to a new file, and write the JSON Schema of recipes next to it.

    The first line of the copy refers to the schema by a relative path, so editors find it without a network. An
    existing schema file is replaced, because it may come from an older version of llmkit.

    Args:
        name: Name of the recipe.
        target: The new file, or an existing folder to put it in.
        schema: The JSON text of `json_schema.build_json_schema`.

    Returns:
        The path of the new file.

    Raises:
        RecipeError: C15 if there is no recipe of this name, C16 if the target file exists.
    """
    file = target / f"{name}.yaml" if target.is_dir() else target
    text = find_path(name).read_text(encoding="utf-8")
    if file.exists():
        raise RecipeError("C16", str(file), "the file already exists", "choose another name")
    files.write_text(file.parent / SCHEMA_FILE, schema)
    files.write_text(file, f"# yaml-language-server: $schema={SCHEMA_FILE}\n{text}")
    return file
