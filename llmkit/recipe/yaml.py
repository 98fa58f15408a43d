"""Parse strict YAML 1.2 into plain values and the place of every key and value.

PyYAML follows YAML 1.1, where `1e-5` is a string, `no` is false, `012` is ten, and the last of two equal keys silently
wins. So only its parser is used: this module turns the parser's events into values, and no tag can create an object.

    document = parse("train:\n  learning_rate: 1e-5\n", "a.yaml")
    document.value                                  {"train": {"learning_rate": 1e-05}}
    document.keys["train", "learning_rate"]         (2, 3): line and column, from 1

Trade-off: tags, anchors and aliases are errors. A recipe is a page of settings and does not need them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

import yaml

from llmkit.base.errors import ErrorDetail, RecipeError, raise_if, suggest

__all__ = ["Document", "KeyPath", "Mark", "dump", "parse", "parse_scalar", "parse_value", "read"]

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NUMBER = 100  # characters; longer numbers stay strings, because Python refuses integers of 4,300 digits

Mark = tuple[int, int]  # line and column, from 1
KeyPath = tuple[str | int, ...]  # path to a value: the keys of mappings and the indices of list items

NULL = re.compile(r"null|Null|NULL|~|")
TRUE = re.compile(r"true|True|TRUE")
FALSE = re.compile(r"false|False|FALSE")
DECIMAL = re.compile(r"[-+]?[0-9]+")
BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
UNUSABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Document:
    """The content of a recipe file, and the position of each key and value.

    Attributes:
        name: What messages call the file.
        value: The mapping at the top level.
        keys: The position of every key.
        values: The position of every value.
        repeated_keys: An error C02 for every repeated key, with its position. The first value counts. The caller raises
            these errors together with its own.
    """

    name: str
    value: dict[str, Any]
    keys: dict[KeyPath, Mark]
    values: dict[KeyPath, Mark]
    repeated_keys: list[tuple[Mark, ErrorDetail]]


def read(path: Path, name: str) -> Document:
    """Parse a recipe file.

    Args:
        path: The file.
        name: What messages call the file.

    Raises:
        RecipeError: C01, C12 to C15.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        suggestion = suggest(path.name, [other.name for other in path.parent.glob("*.y*ml")])
        raise RecipeError("C15", name, f"there is no such file{suggestion}") from error
    except OSError as error:
        raise RecipeError("C15", name, f"the file can't be read ({error.strerror})") from error
    if len(content) > MAX_BYTES:
        raise RecipeError("C14", name, "the file is larger than 1 MiB", "name a recipe, not a data file")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        fix = f"run: iconv -f UTF-16 -t UTF-8 {name}"
        raise RecipeError("C13", f"{name}:1:1", "the file is UTF-16", fix)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()  # error.object: the content without a byte order mark
        line, column = _locate(before, len(before))
        message = f"the byte 0x{error.object[error.start]:02X} is not UTF-8"
        raise RecipeError("C13", f"{name}:{line}:{column}", message, "save the file as UTF-8") from None
    return parse(text, name)


def parse(text: str, name: str) -> Document:
    """Parse the text of a recipe.

    Args:
        text: YAML text.
        name: What messages call its file.

    Raises:
        RecipeError: C01, C12 to C14.
    """
    reader = _Reader(text, lambda mark: f"{name}:{mark[0]}:{mark[1]}")
    content = reader.read()
    if not isinstance(content, dict):
        messages = {type(None): "the file has no content", list: "the top level is a list"}
        message = messages.get(type(content), "the top level is a single value")
        place = reader.format_place(reader.values.get((), (1, 1)))
        raise RecipeError("C12", place, message, "begin with task:, model: and data:")
    return Document(name, content, reader.keys, reader.values, reader.repeated_keys)


def parse_value(text: str, place: str) -> Any:
    """Parse the value of an override: a list, a mapping or a quoted string as in YAML, or else one unquoted scalar.

    Args:
        text: The text after the equals sign.
        place: The override, as messages show it.

    Raises:
        RecipeError: C01, C02, C12 to C14.
    """
    text = text.strip()
    if not text.startswith(("[", "{", '"', "'")):
        if UNUSABLE.search(text):  # a lone surrogate: the command line holds bytes that are not UTF-8
            raise RecipeError("C13", place, "the value is not valid UTF-8", "write it as UTF-8")
        return parse_scalar(text)
    reader = _Reader(text, lambda _: place)
    content = reader.read()
    raise_if([detail for _, detail in reader.repeated_keys], RecipeError)
    return content


def parse_scalar(text: str) -> str | int | float | bool | None:
    """Convert an unquoted scalar to a value.

    Source: the core schema of YAML 1.2, https://yaml.org/spec/1.2.2/#103-core-schema
    """
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text) or FALSE.fullmatch(text):
        return bool(TRUE.fullmatch(text))
    if len(text) > MAX_NUMBER:
        return text
    if DECIMAL.fullmatch(text):
        return int(text)
    if BASED.fullmatch(text):
        return int(text, 0)
    if FLOAT.fullmatch(text):
        return float(text)
    if SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def dump(content: Any) -> str:
    """Return YAML text that `parse` reads back to the same values."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**30)


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper, without aliases for repeated objects and with the quotes that YAML 1.2 needs."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _represent_string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quote a string that would be another value without quotes. PyYAML knows YAML 1.1 only and splits at U+0085."""
    style = None if isinstance(parse_scalar(text), str) else "'"
    style = style if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_string)


@dataclass
class _Reader:
    """Builds values from the events of PyYAML's parser by recursive descent, at most MAX_DEPTH levels deep.

    Attributes:
        text: YAML text.
        format_place: Returns the place that messages show for a position.
        keys: The position of every key read so far.
        values: The position of every value read so far.
        repeated_keys: An error for every repeated key, with its position.
        brackets: The open brackets `[` and `{`, with their positions.
    """

    text: str
    format_place: Callable[[Mark], str]
    keys: dict[KeyPath, Mark] = field(default_factory=dict)
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    repeated_keys: list[tuple[Mark, ErrorDetail]] = field(default_factory=list)
    brackets: list[tuple[str, Mark]] = field(default_factory=list)

    def read(self) -> Any:
        try:
            self.events = yaml.SafeLoader(self.text)
            return self._read_document()
        except yaml.reader.ReaderError as error:
            mark = _locate(self.text, error.position)
            message = f"the character U+{ord(self.text[error.position]):04X} is not allowed"
            self._fail("C13", mark, message, "remove it")
        except yaml.MarkedYAMLError as error:
            self._fail(*_explain(error, self.brackets))
        except (ValueError, OverflowError):  # from chr() and int(), for "\UFFFFFFFF" and `%YAML 1.999...`
            self._fail("C13", _get_mark(self.events.get_mark()), "a number here is too large", "correct it")

    def _read_document(self) -> Any:
        self._next()  # start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        content = self._read_value(self._next(), (), 1)
        self._next()  # end of the document
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            message = "a second YAML document begins here"
            self._fail("C12", _get_mark(event.start_mark), message, "keep one document, without `---`")
        return content

    def _read_value(self, event: Any, path: KeyPath, depth: int) -> Any:
        self._check(event, depth)
        mark = _get_mark(event.start_mark)
        self.values.setdefault(path, mark)
        if isinstance(event, yaml.ScalarEvent):
            return parse_scalar(event.value) if event.style is None else event.value
        is_list = isinstance(event, yaml.SequenceStartEvent)
        if event.flow_style:
            self.brackets.append(("[" if is_list else "{", mark))
        content = self._read_list(path, depth) if is_list else self._read_mapping(path, depth)
        if event.flow_style:
            self.brackets.pop()
        return content

    def _read_list(self, path: KeyPath, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._read_value(event, (*path, len(items)), depth + 1))
        return items

    def _read_mapping(self, path: KeyPath, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            self._check(event, depth)
            mark = _get_mark(event.start_mark)
            if not isinstance(event, yaml.ScalarEvent):
                self._fail("C13", mark, "this key is a list or a mapping", "use a string as the key")
            key = event.value
            content = self._read_value(self._next(), (*path, key), depth + 1)
            if key in items:
                self._report_repeated_key(key, self.keys[*path, key], mark)
            else:
                items[key] = content
                self.keys[*path, key] = mark
        return items

    def _check(self, event: Any, depth: int) -> None:
        """Fail for nesting that is too deep, anchors, aliases, tags and strings that are not valid Unicode."""
        mark = _get_mark(event.start_mark)
        if depth > MAX_DEPTH:
            message = f"values are nested more than {MAX_DEPTH} levels deep"
            self._fail("C14", mark, message, "nest them less deeply")
        if event.anchor is not None:
            message = f'anchors and aliases ("{event.anchor}") are not allowed in recipes'
            self._fail("C14", mark, message, "write the value out, or put the text in quotes")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            message = f'tags ("{tag}") are not allowed in recipes'
            self._fail("C14", mark, message, "remove it, or put the text in quotes")
        if isinstance(event, yaml.ScalarEvent) and UNUSABLE.search(event.value):
            self._fail("C13", mark, "an escape in this string is not a valid character", "remove it")

    def _report_repeated_key(self, key: str, first: Mark, second: Mark) -> None:
        lines = f"on line {first[0]} and again on line {second[0]}" if first[0] < second[0] else "twice here"
        message = f'the key "{key}" is given {lines}'
        place = self.format_place(second)
        self.repeated_keys.append((second, ErrorDetail("C02", place, message, "keep one of them")))

    def _next(self) -> Any:
        return self.events.get_event()  # type: ignore[no-untyped-call]

    def _fail(self, code: str, mark: Mark, message: str, fix: str) -> Never:
        raise RecipeError(code, self.format_place(mark), message, fix)


def _explain(error: yaml.MarkedYAMLError, brackets: list[tuple[str, Mark]]) -> tuple[str, Mark, str, str]:
    """Return code, position, message and fix for an error of PyYAML's parser."""
    mark, problem = _get_mark(error.problem_mark), error.problem or ""
    bad_start = re.match(r"found character '(.*)' that cannot start any token", problem)
    if bad_start and bad_start[1] == "\\t":
        return "C01", mark, "a tab where only spaces are allowed", "indent with spaces"
    if "unknown escape" in problem:
        fix = "use single quotes, in which a backslash is an ordinary character"
        return "C13", mark, "a backslash with an unknown escape", fix
    if error.context == "while scanning a quoted scalar":
        return "C13", _get_mark(error.context_mark), "the quote opened here is not closed", "close it"
    if bad_start:
        return "C13", mark, f"an unquoted string can't start with {bad_start[1]}", "put it in quotes"
    if brackets:
        bracket, opened = brackets[-1]
        message = f'the "{bracket}" opened here is not closed (reading stopped at {mark[0]}:{mark[1]})'
        return "C13", opened, message, f'close it with "{"]" if bracket == "[" else "}"}"'
    if problem == "mapping values are not allowed here":
        fix = "check the indentation, or put the text in quotes"
        return "C13", mark, 'this ":" does not follow a key', fix
    if problem.startswith("expected <block end>"):
        message = "the indentation does not match that of the lines above"
        return "C13", mark, message, "indent the line as its neighbours"
    return "C13", mark, f"not valid YAML ({problem})", "correct the syntax"


def _locate(text: str, index: int) -> Mark:
    """Return the line and column of an index in the text."""
    before = text[:index]
    return before.count("\n") + 1, index - before.rfind("\n")


def _get_mark(mark: Any) -> Mark:
    """Convert a mark of PyYAML, which counts from 0."""
    return mark.line + 1, mark.column + 1
