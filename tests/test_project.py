"""The files around the package agree: dependencies and their versions, make targets, hooks, and the Docker image."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.floors import floors

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
TABLE: dict[str, Any] = tomllib.loads(PROJECT)["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WITHOUT_FLOOR = {"types-pyyaml"}  # its versions follow no order of features


def requirements(*extras: str) -> list[Requirement]:
    """The dependencies, and those of the extras."""
    lines = TABLE["dependencies"] + [line for name in extras for line in TABLE["optional-dependencies"][name]]
    return [Requirement(line) for line in lines]


def pinned(text: str) -> dict[str, Version]:
    """Versions by name of `name==version` lines."""
    pairs = (line.split("==") for line in text.splitlines() if "==" in line)
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def test_every_dependency_has_a_lower_bound_and_no_other() -> None:
    for requirement in requirements(*TABLE["optional-dependencies"]):
        expected = [] if requirement.name.lower() in WITHOUT_FLOOR else [">="]
        assert [part.operator for part in requirement.specifier] == expected, requirement


def test_the_pinned_versions_are_allowed_and_complete() -> None:
    versions = pinned((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    for requirement in requirements("zh", "dev"):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_floors_are_the_lower_bounds() -> None:
    versions = pinned("\n".join(floors(PROJECT, [])))
    expected = {canonicalize_name(own.name) for own in requirements("zh", "dev")} - WITHOUT_FLOOR
    assert set(versions) == expected
    for requirement in requirements("zh", "dev"):
        name = canonicalize_name(requirement.name)
        assert name in WITHOUT_FLOOR or str(requirement.specifier) == f">={versions[name]}"


def test_a_floor_can_be_replaced() -> None:
    assert floors(PROJECT, ["torch==2.13.0"]).count("torch==2.13.0") == 1
    assert (
        pinned("\n".join(floors(PROJECT, ["torch==2.13.0"]))).keys()
        == pinned("\n".join(floors(PROJECT, []))).keys()
    )


def test_make_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make (\S+) +\S", shown.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(set(phony[1].split()) - {"FORCE"})


def test_quick_names_tests_that_exist() -> None:
    quick = re.search(r"^QUICK := (.*)$", MAKEFILE, re.MULTILINE)
    assert quick
    folders = [word for word in shlex.split(quick[1]) if word.startswith("tests")]
    assert folders and all((ROOT / folder).exists() for folder in folders)


def test_hooks_run_from_the_environment_of_make_and_fetch_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [source["repo"] for source in config["repos"]] == ["local"]
    dev = {requirement.name for requirement in requirements("dev")}
    for hook in config["repos"][0]["hooks"]:
        if hook["language"] == "system":
            program = Path(hook["entry"].split()[0])
            assert (program.parent, program.name in dev) == (Path(".venv/bin"), True)
        else:
            assert hook["language"] == "pygrep"  # part of pre-commit


@pytest.mark.parametrize(
    ("text", "passes"),
    [("a\n", True), ("", True), ("a\n\nb\n", True), ("a", False), ("a\n\n", False), ("\na\n", False)],
)
def test_the_hook_for_ends_of_files_finds_missing_and_superfluous_lines(text: str, passes: bool) -> None:
    """pygrep fails where the pattern is found; with --multiline it is searched in the whole file."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (hook,) = (hook for hook in config["repos"][0]["hooks"] if hook["id"] == "end-of-file")
    found = re.search(hook["entry"].encode(), text.encode(), re.MULTILINE | re.DOTALL)
    assert (found is None) == passes


def test_the_image_copies_files_that_its_context_has() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [word for line in lines if re.match(r"COPY (?!--from)", line) for word in line.split()[1:-1]]
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in allowed, name


def test_the_image_runs_llmkit_without_root_rights_on_the_python_of_the_tests() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER [1-9]\d*$", text, re.MULTILINE)
    assert 'ENTRYPOINT ["llmkit"]' in text
    lowest = TABLE["requires-python"].removeprefix(">=")
    assert set(re.findall(r"^FROM python:([\d.]+)-", text, re.MULTILINE)) == {lowest}
    assert Version(lowest) <= Version(".".join(map(str, sys.version_info[:2])))
