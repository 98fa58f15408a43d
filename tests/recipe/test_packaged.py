"""The packaged recipes: finding them in a checkout and in a wheel, loading and copying them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from llmkit.base.errors import RecipeError
from llmkit.recipe import packaged
from llmkit.recipe.load import dump, load
from llmkit.recipe.schema import Recipe


class _Anything(BaseModel):
    """Accepts any task options. The tests of the tasks check the options."""

    model_config = ConfigDict(extra="allow")


class _AnyName(list[str]):
    def __contains__(self, name: object) -> bool:
        return True


def _load(source: str) -> Recipe:
    return load(source, task_names=_AnyName(), task_options=lambda _: _Anything)


@pytest.mark.parametrize("name", packaged.list_names())
def test_packaged_recipe_survives_dump_and_load(name: str, tmp_path: Path) -> None:
    recipe = _load(name)
    (tmp_path / "a.yaml").write_text(dump(recipe), encoding="utf-8")
    assert _load(str(tmp_path / "a.yaml")) == recipe


@pytest.mark.parametrize("name", packaged.list_names())
def test_packaged_recipe_begins_with_a_one_line_summary(name: str) -> None:
    assert packaged.find_path(name).read_text(encoding="utf-8").startswith("# ")
    assert 20 < len(packaged.read_summary(name)) < 140


def test_names_are_unique_and_listed_by_kind() -> None:
    names = packaged.list_names()
    assert "sentiment" in packaged.list_names("finetune")
    assert len(names) == len(set(names))
    assert names == packaged.list_names("finetune") + packaged.list_names("pretrain")


def test_checkout_reads_its_own_recipes_folder() -> None:
    assert packaged.find_root() == Path(__file__).parents[2] / "recipes"


def _make_package(folder: Path) -> Callable[[], Path]:
    """Execute the module as if it were in a package in this folder; return its `find_root`."""
    (folder / "llmkit" / "recipe").mkdir(parents=True)
    source = Path(packaged.__file__).read_text(encoding="utf-8")
    file = folder / "llmkit" / "recipe" / "packaged.py"
    namespace: dict[str, Any] = {"__file__": str(file), "__name__": "packaged"}
    exec(compile(source, str(file), "exec"), namespace)  # the module as if it were in this folder
    find_root: Callable[[], Path] = namespace["find_root"]
    return find_root


def test_installed_wheel_reads_the_recipes_inside_it(tmp_path: Path) -> None:
    find_root = _make_package(tmp_path)
    (tmp_path / "recipes").mkdir()  # another package named recipes in site-packages
    assert find_root() == tmp_path / "llmkit" / "_recipes"


def test_checkout_takes_precedence_over_a_copy_inside_the_package(tmp_path: Path) -> None:
    find_root = _make_package(tmp_path)
    (tmp_path / "llmkit" / "_recipes").mkdir()
    (tmp_path / "recipes").mkdir()
    (tmp_path / "pyproject.toml").touch()
    assert find_root() == tmp_path / "recipes"


@pytest.mark.parametrize("name", ["sentimnt", "../finetune/sentiment", ""])
def test_unknown_name_is_an_error_that_lists_the_names(name: str) -> None:
    with pytest.raises(RecipeError) as caught:
        packaged.find_path(name)
    [error] = caught.value.details
    assert error.code == "C15"
    assert error.message.startswith(f'there is no recipe "{name}"')
    assert "sentiment" in error.fix


def test_copy_adds_the_schema_line_and_never_overwrites(tmp_path: Path) -> None:
    target = tmp_path / "new" / "mine.yaml"
    assert packaged.copy("sentiment", target, "{}") == target
    modeline, _, copied = target.read_text(encoding="utf-8").partition("\n")
    assert modeline == f"# yaml-language-server: $schema={packaged.SCHEMA_FILE}"
    assert copied == packaged.find_path("sentiment").read_text(encoding="utf-8")
    assert (tmp_path / "new" / packaged.SCHEMA_FILE).read_text() == "{}"
    target.write_text("changed")
    with pytest.raises(RecipeError, match=r"C16.*mine.yaml: the file already exists"):
        packaged.copy("sentiment", target, "{}")
    assert target.read_text() == "changed"
    assert packaged.copy("sentiment", tmp_path, "{}") == tmp_path / "sentiment.yaml"


def test_listing_recipes_imports_neither_pydantic_nor_yaml() -> None:
    code = "import sys, llmkit.recipe.packaged as c; c.list_names(); print(*{'pydantic', 'yaml'} & set(sys.modules))"
    folder = Path(__file__).parents[2]
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True
    )
    assert process.stdout.strip() == ""
