"""Print the lowest version that pyproject.toml allows of each dependency, as constraints for pip.

    python tools/floors.py > floors.txt; pip install --constraint floors.txt '.[dev]'

Dependencies of dependencies are not listed: pip takes their newest, as it does for a user. Arguments replace a floor,
e.g. `torch==2.13.0` where only that version has a build without CUDA.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = ("zh", "dev")
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+)")


def floors(project: str, replaced: list[str]) -> list[str]:
    """Return `name==version` lines. Requirements without a floor are left out.

    Args:
        project: the text of pyproject.toml.
        replaced: `name==version` lines to use instead of the floors of these names.
    """
    table = tomllib.loads(project)["project"]
    requirements = table["dependencies"] + [
        line for name in EXTRAS for line in table["optional-dependencies"][name]
    ]
    pairs = (match.groups() for line in requirements if (match := REQUIREMENT.fullmatch(line)))
    found = {name: f"{name}=={version}" for name, version in pairs}
    return list({**found, **{line.partition("==")[0]: line for line in replaced}}.values())


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in floors(PROJECT.read_text(encoding="utf-8"), sys.argv[1:]))
