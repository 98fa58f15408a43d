"""The pages of the documentation and their fenced blocks, for the tests beside this module.

A block that a test cannot run (it needs a cluster, a GPU, the network or a person) has the comment
`<!-- not run: REASON -->` on the line above its fence.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from typer.main import get_command

from llmkit import cli, tasks
from llmkit.base.errors import RecipeError
from llmkit.recipe import packaged
from llmkit.recipe.load import load
from llmkit.recipe.schema import Recipe

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
READMES = (ENGLISH, CHINESE)
GENERATED = DOCS / "reference"

FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<language>\w*)(?: title=\"(?P<title>[^\"\n]+)\")?\n"
    r"(?P<content>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SPAN = re.compile(r"`([^`\n]+)`")
ENVIRONMENT = re.compile(r"[A-Z_]+=\S*")
LAUNCHERS = {"torchrun", "accelerate"}

Command = list[str]


@dataclass(frozen=True)
class Block:
    """A fenced block; reason says why a test does not run it."""

    language: str
    title: str | None
    content: str
    reason: str | None

    @property
    def commands(self) -> list[Command]:
        """The lines of a bash block as words, without comments."""
        if self.language != "bash":
            return []
        return [words for line in self.content.splitlines() if (words := shlex.split(line, comments=True))]


def pages() -> list[Path]:
    """All pages that people write, in the order of the navigation; the READMEs first."""
    order = re.findall(r"[\w/-]+\.md$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    return [*READMES, *(DOCS / name for name in order if not name.startswith("reference/"))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT) if page.is_relative_to(ROOT) else page)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", text_of(page))


def blocks(page: Path) -> list[Block]:
    return [
        Block(found["language"], found["title"], found["content"], found["reason"])
        for found in FENCE.finditer(text_of(page))
    ]


def commands(page: Path) -> list[Command]:
    """The command lines of the page's bash blocks."""
    return [words for block in blocks(page) for words in block.commands]


def spans(page: Path) -> list[Command]:
    """The commands in the running text, complete or only named."""
    found = [span for span in SPAN.findall(prose_of(page)) if span.startswith(("llmkit ", "make "))]
    return [shlex.split(span) for span in found]


def llmkit_arguments(words: Command) -> Command | None:
    """What follows `llmkit` in a line, with a launcher or without; None for lines of other programs."""
    words = [word for number, word in enumerate(words) if number or not ENVIRONMENT.fullmatch(word)]
    if words[0] in LAUNCHERS:
        assert words.count("-m") == 1, words
        words = words[words.index("-m") + 1 :]
    return words[1:] if words[0] == "llmkit" else None


def command_of(arguments: Command) -> tuple[list[str], Any, Command]:
    """The command's name, the command, and what follows its name."""
    command: Any = get_command(cli.app)
    names: list[str] = []
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        assert name in command.commands, f"no command {' '.join([*names, name])}"
        names.append(name)
        command = command.commands[name]
    return names, command, arguments


def parse(arguments: Command) -> tuple[str, dict[str, Any]]:
    """The command's name and parameters. Raises a usage error for an unknown option or argument."""
    names, command, rest = command_of(arguments)
    with command.make_context(" ".join(names), rest) as context:
        return " ".join(names), dict(context.params)


def is_mention(arguments: Command) -> bool:
    """Whether the text only names a command, perhaps with an option, as in `llmkit compare --out`."""
    return all(word.startswith("--") for word in command_of(arguments)[2])


def check_mention(arguments: Command) -> None:
    """The command exists and has the options."""
    _, command, options = command_of(arguments)
    known = {name for parameter in getattr(command, "params", []) for name in parameter.opts} | {"--help"}
    assert set(options) <= known, arguments


def read_recipe(name: str, overrides: list[str], copies: dict[str, str] | None = None) -> Recipe:
    """The recipe as `finetune` would read it. copies: the packaged recipe behind each copy."""
    return load(
        (copies or {}).get(name, name), overrides, task_names=tasks.names(), task_options=tasks.options
    )


def copies(page: Path) -> dict[str, str]:
    """The packaged recipe that each file of `recipes copy` comes from."""
    found = [words[3:] for words in commands(page) if words[:3] == ["llmkit", "recipes", "copy"]]
    return {target[0] if target else f"{name}.yaml": name for name, *target in found}


@cache
def accepted(override: str) -> bool:
    """Whether a packaged recipe takes this override."""
    names = sorted(packaged.list_names(), key=lambda name: name != "sentiment")  # it takes most of them
    return any(_takes(name, override) for name in names)


def _takes(name: str, override: str) -> bool:
    try:
        read_recipe(name, [override])
    except RecipeError:
        return False
    return True
