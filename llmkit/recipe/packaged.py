"""The recipes that come with llmkit, by name.

A checkout reads its own recipes/ folder; an installed wheel carries the same files as llmkit/_recipes. So an
edit in a checkout is seen at once, also by an editable install beside which an older copy may lie.

    list_names("finetune")       ["sentiment", ...]
    find_path("sentiment")       .../recipes/finetune/sentiment.yaml
    check_kind("clm-continue", "finetune")       error[C17]: `llmkit pretrain clm-continue`
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
KINDS: tuple[Kind, ...] = ("finetune", "pretrain")  # a folder of recipes, and the command that runs them
SCHEMA_FILE = "llmkit.schema.json"


def find_root() -> Path:
    """The folder that holds a folder of recipes for each kind."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    # site-packages could hold a foreign package named "recipes", but no pyproject.toml
    is_checkout = (checkout / "recipes").is_dir() and (checkout / "pyproject.toml").is_file()
    return checkout / "recipes" if is_checkout else package / "_recipes"


def list_names(kind: str | None = None) -> list[str]:
    """The recipes of this kind ("finetune" or "pretrain"), or all of them."""
    kinds = KINDS if kind is None else (kind,)
    return [file.stem for folder in kinds for file in sorted((find_root() / folder).glob("*.yaml"))]


def find_path(name: str) -> Path:
    """The file of a recipe. Raises RecipeError C15 where there is no such recipe."""
    for kind in KINDS:
        file = find_root() / kind / f"{name}.yaml"
        if name in list_names(kind):
            return file
    message = f'there is no recipe "{name}"{suggest(name, list_names())}'
    fix = f"choose one of {', '.join(list_names())}, or give the path of a .yaml file"
    raise RecipeError("C15", "", message, fix)


def find_kind(name: str) -> str:
    """The command that runs a recipe. Raises RecipeError C15 where there is no such recipe."""
    return find_path(name).parent.name


def check_kind(source: str, command: Kind) -> None:
    """Raises RecipeError C17 for a packaged recipe of the other command; a file of the user's runs under both."""
    if source in list_names() and find_kind(source) != command:
        right = f"llmkit {find_kind(source)} {source}"
        message = f'"{source}" is no recipe of `llmkit {command}`'
        raise RecipeError("C17", "", message, f"run it as `{right}`")


def read_summary(name: str) -> str:
    """The first line of the comment at the top of the recipe."""
    first = find_path(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip()


def copy(name: str, target: Path, schema: str) -> Path:
    """Copy a recipe to a new file, or into a folder, with the JSON Schema of recipes beside it.

    The first line of the copy names the schema by a path relative to the file, so editors find it without a network.
    A schema that is there already is replaced: it is generated, and may be an older llmkit's.

    Args:
        schema: JSON text of `json_schema.json_schema`.

    Returns: the new file.

    Raises: RecipeError C15 (there is no such recipe), C16 (the file exists).
    """
    file = target / f"{name}.yaml" if target.is_dir() else target
    text = find_path(name).read_text(encoding="utf-8")
    if file.exists():
        raise RecipeError("C16", str(file), "the file exists already", "choose another name")
    files.write_text(file.parent / SCHEMA_FILE, schema)
    files.write_text(file, f"# yaml-language-server: $schema={SCHEMA_FILE}\n{text}")
    return file
