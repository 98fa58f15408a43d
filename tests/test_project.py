"""The project files agree with each other: dependencies and versions, make targets, hooks, and the Docker image."""

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
WITHOUT_FLOOR = {"types-pyyaml"}  # a higher version does not mean more features


def read_requirements(*extras: str) -> list[Requirement]:
    """Return the dependencies of the package and of the extras."""
    lines = TABLE["dependencies"] + [line for name in extras for line in TABLE["optional-dependencies"][name]]
    return [Requirement(line) for line in lines]


def parse_versions(text: str) -> dict[str, Version]:
    """Parse lines of the form `name==version`."""
    pairs = (line.split("==") for line in text.splitlines() if "==" in line)
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def test_dependencies_have_only_a_lower_bound() -> None:
    for requirement in read_requirements(*TABLE["optional-dependencies"]):
        expected = [] if requirement.name.lower() in WITHOUT_FLOOR else [">="]
        assert [bound.operator for bound in requirement.specifier] == expected, requirement


def test_pinned_versions_are_allowed_and_complete() -> None:
    versions = parse_versions((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    for requirement in read_requirements("zh", "dev"):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_floors_are_the_lower_bounds() -> None:
    versions = parse_versions("\n".join(floors(PROJECT, [])))
    expected = {
        canonicalize_name(requirement.name) for requirement in read_requirements("zh", "dev")
    } - WITHOUT_FLOOR
    assert set(versions) == expected
    for requirement in read_requirements("zh", "dev"):
        name = canonicalize_name(requirement.name)
        assert name in WITHOUT_FLOOR or str(requirement.specifier) == f">={versions[name]}"


def test_floor_can_be_overridden() -> None:
    assert floors(PROJECT, ["torch==2.13.0"]).count("torch==2.13.0") == 1
    assert (
        parse_versions("\n".join(floors(PROJECT, ["torch==2.13.0"]))).keys()
        == parse_versions("\n".join(floors(PROJECT, []))).keys()
    )


def test_make_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    process = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make (\S+) +\S", process.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(set(phony[1].split()) - {"FORCE"})


def test_quick_names_tests_that_exist() -> None:
    quick = re.search(r"^QUICK := (.*)$", MAKEFILE, re.MULTILINE)
    assert quick
    folders = [word for word in shlex.split(quick[1]) if word.startswith("tests")]
    assert folders and all((ROOT / folder).exists() for folder in folders)


def test_hooks_run_from_the_make_environment_and_download_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [source["repo"] for source in config["repos"]] == ["local"]
    dev = {requirement.name for requirement in read_requirements("dev")}
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
def test_end_of_file_hook_finds_missing_and_extra_newlines(text: str, passes: bool) -> None:
    """pygrep fails if the pattern matches; with --multiline it is matched against the whole file."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (hook,) = (hook for hook in config["repos"][0]["hooks"] if hook["id"] == "end-of-file")
    match = re.search(hook["entry"].encode(), text.encode(), re.MULTILINE | re.DOTALL)
    assert (match is None) == passes


def test_docker_image_copies_only_files_in_its_context() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [word for line in lines if re.match(r"COPY (?!--from)", line) for word in line.split()[1:-1]]
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in allowed, name


def test_docker_image_runs_llmkit_as_another_user_than_root_on_the_lowest_python() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER [1-9]\d*$", text, re.MULTILINE)
    assert 'ENTRYPOINT ["llmkit"]' in text
    lowest = TABLE["requires-python"].removeprefix(">=")
    assert set(re.findall(r"^FROM python:([\d.]+)-", text, re.MULTILINE)) == {lowest}
    assert Version(lowest) <= Version(".".join(map(str, sys.version_info[:2])))
