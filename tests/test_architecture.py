"""The layers: arrows point down only, and light modules stay light. Parsed, not imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "llmkit"

# A package may import from packages on lower rows, and from itself. Two packages of one row never import each other.
LAYERS = [
    {"cli"},
    {"commands"},
    {"training", "explain", "stress", "export", "serve", "tuning"},
    {"quality", "privacy", "planning"},
    {"inference"},
    {"tasks"},
    {"engine", "models", "data"},
    {"report", "recipe", "assets"},
    {"metrics", "text", "sandbox"},
    {"base"},
]
HEIGHT = {name: len(LAYERS) - row for row, layer in enumerate(LAYERS) for name in layer}
MOST_FILES = 24  # in a folder; cli and commands hold one file per command
WIDE = {"cli", "commands"}
HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "accelerate",
    "peft",
    "evaluate",
    "sklearn",
    "matplotlib",
    "rich",
}
HEAVY_ALLOWED = {"engine", "models"}  # heavy by nature
PURE = {"metrics", "text"}  # numpy and the standard library; no disk
PURE_FORBIDDEN = {"llmkit.base.files", "pathlib", "shutil", "torch"}


@dataclass(frozen=True)
class Import:
    module: str
    at_top: bool


def imports(path: Path, *, types: bool = False) -> Iterator[Import]:
    """Yield every import that runs, at module level or inside a function, and with `types` those for type checkers."""

    def walk(node: ast.AST, at_top: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if not types and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, at_top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                yield from (Import(f"{child.module}.{alias.name}", at_top) for alias in child.names)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, at_top and not inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True)


def part_of(module: str) -> str | None:
    """`llmkit.data.corpus` -> data; None outside llmkit and for llmkit itself."""
    pieces = module.split(".")
    return pieces[1] if pieces[0] == "llmkit" and len(pieces) > 1 and pieces[1] in HEIGHT else None


def layer_faults(path: Path, root: Path = PACKAGE) -> list[str]:
    own = path.relative_to(root).parts[0].removesuffix(".py")
    if own in ("__init__", "__main__"):
        return []
    faults = []
    for found in imports(path):
        other = part_of(found.module)
        if other and other != own and HEIGHT[other] >= HEIGHT[own]:
            faults.append(f"{path.name} ({own}) imports {found.module}")
        top = found.module.split(".")[0]
        heavy_ok = own in HEAVY_ALLOWED or path.name == "plots.py"
        if found.at_top and top in HEAVY and not heavy_ok:
            faults.append(f"{path.name} imports {top} at its top")
        if own in PURE and (top in HEAVY or any(found.module.startswith(name) for name in PURE_FORBIDDEN)):
            faults.append(f"{path.name} is pure, but imports {found.module}")
    return faults


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_and_stay_light(path: Path) -> None:
    assert not layer_faults(path)


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert parts - {"__init__", "__main__"} <= set(HEIGHT)


@pytest.mark.parametrize(
    ("part", "line", "caught"),
    [
        ("metrics", "import torch", True),
        ("metrics", "from llmkit.base.files import sha256", True),
        ("data", "from llmkit.engine import train", True),
        ("data", "def f():\n    from llmkit.models import load", True),
        ("base", "import torch", True),
        ("base", "def f():\n    import torch", False),
        ("recipe", "from llmkit.base.errors import ErrorDetail", False),
        ("tasks", "from llmkit.training import loop", True),
    ],
)
def test_the_rule_catches_planted_imports(tmp_path: Path, part: str, line: str, caught: bool) -> None:
    path = tmp_path / part / "planted.py"
    path.parent.mkdir()
    path.write_text(line, encoding="utf-8")
    assert bool(layer_faults(path, tmp_path)) is caught


def import_graph(root: Path = PACKAGE) -> dict[str, set[str]]:
    """Return module -> modules that it imports: at its top, inside a function, or for type checkers only."""
    modules = {
        ".".join(("llmkit", *path.relative_to(root).with_suffix("").parts)): path
        for path in sorted(root.rglob("*.py"))
        if path.name != "__init__.py"
    }
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        names = (found.module for found in imports(path, types=True))
        targets = (module if module in modules else module.rpartition(".")[0] for module in names)
        graph[name] = {target for target in targets if target in modules and target != name}
    return graph


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """A cycle of imports as the modules along it, or [] where there is none."""
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done:
            return []
        for target in sorted(graph[module]):
            if cycle := visit(target, [*trail, module]):
                return cycle
        done.add(module)
        return []

    return next((cycle for module in sorted(graph) if (cycle := visit(module, []))), [])


def test_modules_do_not_import_each_other_in_a_cycle() -> None:
    assert find_cycle(import_graph()) == []


def test_a_planted_cycle_is_found(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "first.py").write_text("from llmkit.data import second", encoding="utf-8")
    (tmp_path / "data" / "second.py").write_text(
        "def f():\n    from llmkit.data.first import g", encoding="utf-8"
    )
    assert find_cycle(import_graph(tmp_path)) == [
        "llmkit.data.first",
        "llmkit.data.second",
        "llmkit.data.first",
    ]


# Inside llmkit.data a subpackage may import the subpackages before it, never those after it.
DATA_ORDER = ["reading", "checks", "encoding"]


def data_order_faults(path: Path, root: Path = PACKAGE) -> list[str]:
    pieces = path.relative_to(root).parts
    if pieces[0] != "data" or pieces[1] not in DATA_ORDER:
        return []
    later = DATA_ORDER[DATA_ORDER.index(pieces[1]) + 1 :]
    return [
        f"{path.name} (data/{pieces[1]}) imports {found.module}"
        for found in imports(path)
        if any(found.module.startswith(f"llmkit.data.{name}.") for name in later)
    ]


def test_data_flows_from_reading_to_checks_to_encoding() -> None:
    assert [fault for path in MODULES for fault in data_order_faults(path)] == []


@pytest.mark.parametrize(
    ("folder", "line", "caught"),
    [
        ("checks", "from llmkit.data.encoding import encode", True),
        ("checks", "def f():\n    from llmkit.data.encoding.encode import encode", True),
        ("reading", "from llmkit.data.checks.labels import read_labels", True),
        ("checks", "from llmkit.data.reading.sources import SPLITS", False),
        ("encoding", "from llmkit.data.checks.conversations import Message", False),
    ],
)
def test_an_import_against_the_order_of_data_is_found(
    tmp_path: Path, folder: str, line: str, caught: bool
) -> None:
    path = tmp_path / "data" / folder / "planted.py"
    path.parent.mkdir(parents=True)
    path.write_text(line, encoding="utf-8")
    assert bool(data_order_faults(path, tmp_path)) is caught


def test_a_cycle_through_types_is_found(tmp_path: Path) -> None:
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from llmkit.data.first import T"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "first.py").write_text("from llmkit.data.second import f", encoding="utf-8")
    (tmp_path / "data" / "second.py").write_text(typed, encoding="utf-8")
    assert find_cycle(import_graph(tmp_path)) == [
        "llmkit.data.first",
        "llmkit.data.second",
        "llmkit.data.first",
    ]


def test_folders_stay_small() -> None:
    counts = {folder: len(list(folder.glob("*.py"))) for folder in {path.parent for path in MODULES}}
    assert not [folder for folder, count in counts.items() if count > MOST_FILES and folder.name not in WIDE]


def test_only_files_py_writes() -> None:
    """open(..., "w"), write_text, write_bytes, unlink, rename and the like stand in files.py alone."""
    writers = {
        "write_text",
        "write_bytes",
        "unlink",
        "rename",
        "rmtree",
        "mkdir",
        "touch",
        "replace_file",
        "symlink_to",
    }
    faults = []
    for path in MODULES:
        if path.name == "files.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in writers
            ):
                owner = node.func.value
                if not (isinstance(owner, ast.Name) and owner.id == "files"):
                    faults.append(f"{path.relative_to(PACKAGE)}:{node.lineno} {node.func.attr}")
    assert not faults


def test_each_module_has_a_mirrored_test() -> None:
    exempt = {"__init__.py", "__main__.py", "progress.py"}
    missing = [
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if path.name not in exempt
        and (path.parent.name != "errors" or path.name == "_base.py")  # families: one test for all of them
        and not (ROOT / "tests" / path.relative_to(PACKAGE).with_name(f"test_{path.name}")).exists()
    ]
    assert not missing


def test_modules_export_what_they_define() -> None:
    """Every public name in __all__ exists; ruff's RUF022 keeps the list sorted."""
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = next(
            (ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign) and _is_all(n)), None
        )
        if names is None:
            continue
        assert set(names) <= _defined(tree) | {
            *("compare", "embed", "evaluate", "finetune", "predict", "pretrain")
        }, path


def _is_all(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {
                leaf.id for target in node.targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)
            }
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names
