"""The packaged recipes: found by name, in a checkout and in a wheel; each loads and round-trips."""

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
    """Stands in for the options of every task: the tasks' own tests check those."""

    model_config = ConfigDict(extra="allow")


class _AnyName(list[str]):
    def __contains__(self, name: object) -> bool:
        return True


def _load(source: str) -> Recipe:
    return load(source, task_names=_AnyName(), task_options=lambda _: _Anything)


@pytest.mark.parametrize("name", packaged.list_names())
def test_a_packaged_recipe_round_trips(name: str, tmp_path: Path) -> None:
    recipe = _load(name)
    (tmp_path / "a.yaml").write_text(dump(recipe), encoding="utf-8")
    assert _load(str(tmp_path / "a.yaml")) == recipe


@pytest.mark.parametrize("name", packaged.list_names())
def test_a_packaged_recipe_says_what_it_is_for(name: str) -> None:
    assert packaged.find_path(name).read_text(encoding="utf-8").startswith("# ")
    assert 20 < len(packaged.read_summary(name)) < 140


def test_names_are_unique_and_listed_by_kind() -> None:
    names = packaged.list_names()
    assert "sentiment" in packaged.list_names("finetune")
    assert len(names) == len(set(names))
    assert names == packaged.list_names("finetune") + packaged.list_names("pretrain")


def test_a_checkout_reads_its_own_files() -> None:
    assert packaged.find_root() == Path(__file__).parents[2] / "recipes"


def _make_package(folder: Path) -> Callable[[], Path]:
    (folder / "llmkit" / "recipe").mkdir(parents=True)
    source = Path(packaged.__file__).read_text(encoding="utf-8")
    file = folder / "llmkit" / "recipe" / "catalog.py"
    namespace: dict[str, Any] = {"__file__": str(file), "__name__": "catalog"}
    exec(compile(source, str(file), "exec"), namespace)  # the module as if it lay there
    root: Callable[[], Path] = namespace["find_root"]
    return root


def test_an_installed_wheel_reads_the_recipes_inside_it(tmp_path: Path) -> None:
    root = _make_package(tmp_path)
    (tmp_path / "recipes").mkdir()  # a foreign package of that name in site-packages
    assert root() == tmp_path / "llmkit" / "_recipes"


def test_a_checkout_wins_over_a_stale_copy_inside_the_package(tmp_path: Path) -> None:
    root = _make_package(tmp_path)
    (tmp_path / "llmkit" / "_recipes").mkdir()
    (tmp_path / "recipes").mkdir()
    (tmp_path / "pyproject.toml").touch()
    assert root() == tmp_path / "recipes"


@pytest.mark.parametrize("name", ["sentimnt", "../finetune/sentiment", ""])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(RecipeError) as caught:
        packaged.find_path(name)
    [problem] = caught.value.details
    assert problem.code == "C15"
    assert problem.message.startswith(f'there is no recipe "{name}"')
    assert "sentiment" in problem.fix


def test_a_copy_is_the_file_and_never_overwrites(tmp_path: Path) -> None:
    target = tmp_path / "new" / "mine.yaml"
    assert packaged.copy("sentiment", target, "{}") == target
    modeline, _, copied = target.read_text(encoding="utf-8").partition("\n")
    assert modeline == f"# yaml-language-server: $schema={packaged.SCHEMA_FILE}"
    assert copied == packaged.find_path("sentiment").read_text(encoding="utf-8")
    assert (tmp_path / "new" / packaged.SCHEMA_FILE).read_text() == "{}"
    target.write_text("changed")
    with pytest.raises(RecipeError, match=r"C16.*mine.yaml: the file exists already"):
        packaged.copy("sentiment", target, "{}")
    assert target.read_text() == "changed"
    assert packaged.copy("sentiment", tmp_path, "{}") == tmp_path / "sentiment.yaml"


def test_the_catalog_needs_neither_pydantic_nor_yaml() -> None:
    code = "import sys, llmkit.recipe.packaged as c; c.list_names(); print(*{'pydantic', 'yaml'} & set(sys.modules))"
    folder = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True
    )
    assert done.stdout.strip() == ""
