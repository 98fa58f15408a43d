"""YAML 1.2, strictly: text in, plain values and their places out.

PyYAML follows YAML 1.1, where `1e-5` is a string, `no` is false, `012` is ten and the last of two equal keys
wins in silence. So only its parser is used; the events become values here; no tag can build an object.

    document = parse("train:\\n  learning_rate: 1e-5\\n", "a.yaml")
    document.value                                  {"train": {"learning_rate": 1e-05}}
    document.keys["train", "learning_rate"]         (2, 3): line and column, from 1

Trade-off: tags, anchors and aliases are refused. A recipe is a page of settings and has no use for them.
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
MAX_NUMBER = 100  # characters; longer ones stay text (Python refuses to read integers of 4,300 digits)

Mark = tuple[int, int]  # line and column, from 1
KeyPath = tuple[str | int, ...]  # the way down to a value: keys of mappings, numbers of list items

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
    """The mapping at the top of a file, and where each of its keys and values stands.

    problems are the faults that don't stop reading (doubled keys; the first one counts): the caller raises
    them, together with what else it finds.
    """

    name: str
    value: dict[str, Any]
    keys: dict[KeyPath, Mark]
    values: dict[KeyPath, Mark]
    problems: list[tuple[Mark, ErrorDetail]]


def read(path: Path, name: str) -> Document:
    """Parse a file; `name` is what messages call it. Raises RecipeError C01, C12 to C15."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        near = suggest(path.name, [other.name for other in path.parent.glob("*.y*ml")])
        raise RecipeError("C15", name, f"there is no such file{near}") from error
    except OSError as error:
        raise RecipeError("C15", name, f"the file can't be read ({error.strerror})") from error
    if len(content) > MAX_BYTES:
        _refuse("C14", name, "the file is larger than 1 MiB", "give a recipe; data has files of its own")
    return parse(_decode(content, name), name)


def parse(text: str, name: str) -> Document:
    """Read a recipe's text; `name` is what messages call its file. Raises RecipeError C01, C12 to C14."""
    reader = _Reader(text, lambda mark: f"{name}:{mark[0]}:{mark[1]}")
    content = reader.read()
    if not isinstance(content, dict):
        found = {type(None): "nothing stands in the file", list: "a list stands at the top"}
        message = found.get(type(content), "a single value stands at the top")
        _refuse(
            "C12", reader.place(reader.values.get((), (1, 1))), message, "begin with task:, model: and data:"
        )
    return Document(name, content, reader.keys, reader.values, reader.problems)


def parse_value(text: str, place: str) -> Any:
    """The value of an override: a list, mapping or quoted text as in YAML, else all of it as one scalar."""
    text = text.strip()
    if not text.startswith(("[", "{", '"', "'")):
        if UNUSABLE.search(text):  # half a surrogate pair: bytes of the command line that are not UTF-8
            _refuse("C13", place, "the value is not valid UTF-8", "write it as UTF-8")
        return parse_scalar(text)
    reader = _Reader(text, lambda _: place)
    content = reader.read()
    raise_if([problem for _, problem in reader.problems], RecipeError)
    return content


def parse_scalar(text: str) -> str | int | float | bool | None:
    """An unquoted word by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema)."""
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
    """YAML text that `parse` reads back to the same values."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**30)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quoted where YAML 1.2 would read something else (PyYAML knows 1.1 only, and breaks lines at U+0085)."""
    style = None if isinstance(parse_scalar(text), str) else "'"
    style = style if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


@dataclass
class _Reader:
    """Pulls events from PyYAML's parser and builds the value by recursive descent, at most MAX_DEPTH deep."""

    text: str
    place: Callable[[Mark], str]
    keys: dict[KeyPath, Mark] = field(default_factory=dict)
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    problems: list[tuple[Mark, ErrorDetail]] = field(default_factory=list)
    brackets: list[tuple[str, Mark]] = field(default_factory=list)  # opened with [ or {, not closed yet

    def read(self) -> Any:
        try:
            self.events = yaml.SafeLoader(self.text)
            return self._document()
        except yaml.reader.ReaderError as error:
            line, column = _position(self.text, error.position)
            message = f"the character U+{ord(self.text[error.position]):04X} can't stand in a recipe"
            self._refuse("C13", (line, column), message, "remove it")
        except yaml.MarkedYAMLError as error:
            self._refuse(*_explain(error, self.brackets))
        except (ValueError, OverflowError):  # from chr() and int(), for "\UFFFFFFFF" and `%YAML 1.999...`
            self._refuse("C13", _mark(self.events.get_mark()), "a number here is too large", "correct it")

    def _document(self) -> Any:
        self._next()  # the stream starts
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        content = self._value(self._next(), (), 1)
        self._next()  # the document ends
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._refuse(
                "C12", _mark(event.start_mark), "a second document begins", "keep one, without `---`"
            )
        return content

    def _value(self, event: Any, where: KeyPath, depth: int) -> Any:
        self._check(event, depth)
        mark = _mark(event.start_mark)
        self.values.setdefault(where, mark)
        if isinstance(event, yaml.ScalarEvent):
            return parse_scalar(event.value) if event.style is None else event.value
        is_list = isinstance(event, yaml.SequenceStartEvent)
        if event.flow_style:
            self.brackets.append(("[" if is_list else "{", mark))
        content = self._list(where, depth) if is_list else self._mapping(where, depth)
        if event.flow_style:
            self.brackets.pop()
        return content

    def _list(self, where: KeyPath, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, (*where, len(items)), depth + 1))
        return items

    def _mapping(self, where: KeyPath, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            self._check(event, depth)
            mark = _mark(event.start_mark)
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse("C13", mark, "a key is a list or a mapping", "give a word as the key")
            key = event.value
            content = self._value(self._next(), (*where, key), depth + 1)
            if key in items:
                self._report_double(key, self.keys[*where, key], mark)
            else:
                items[key] = content
                self.keys[*where, key] = mark
        return items

    def _check(self, event: Any, depth: int) -> None:
        mark = _mark(event.start_mark)
        if depth > MAX_DEPTH:
            self._refuse("C14", mark, f"values are nested more than {MAX_DEPTH} deep", "flatten them")
        if event.anchor is not None:
            message = f'anchors and aliases ("{event.anchor}") are not used in recipes'
            self._refuse("C14", mark, message, "write the value out, or put the text in quotes")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            message = f'the tag "{tag}" is not used in recipes'
            self._refuse("C14", mark, message, "remove it, or put the text in quotes")
        if isinstance(event, yaml.ScalarEvent) and UNUSABLE.search(event.value):
            self._refuse("C13", mark, "the text holds an escape that is no character", "remove it")

    def _report_double(self, key: str, first: Mark, second: Mark) -> None:
        lines = f"in line {first[0]} and again in line {second[0]}" if first[0] < second[0] else "here twice"
        message = f'the key "{key}" stands {lines}'
        self.problems.append((second, ErrorDetail("C02", self.place(second), message, "keep one of them")))

    def _next(self) -> Any:
        return self.events.get_event()  # type: ignore[no-untyped-call]

    def _refuse(self, code: str, mark: Mark, message: str, fix: str) -> Never:
        _refuse(code, self.place(mark), message, fix)


def _explain(error: yaml.MarkedYAMLError, brackets: list[tuple[str, Mark]]) -> tuple[str, Mark, str, str]:
    """Code, place, message and fix: what PyYAML says, in the words of someone who writes recipes."""
    mark, problem = _mark(error.problem_mark), error.problem or ""
    odd = re.match(r"found character '(.*)' that cannot start any token", problem)
    if odd and odd[1] == "\\t":
        return "C01", mark, "a tab stands where only spaces may", "indent with spaces"
    if "unknown escape" in problem:
        return "C13", mark, "this backslash begins no known escape", "use single quotes, where it is itself"
    if error.context == "while scanning a quoted scalar":
        return "C13", _mark(error.context_mark), "the quote opened here is not closed", "close it"
    if odd:
        return "C13", mark, f"an unquoted text can't begin with {odd[1]}", "put it in quotes"
    if brackets:
        bracket, opened = brackets[-1]
        message = f'the "{bracket}" opened here is not closed (reading stopped at {mark[0]}:{mark[1]})'
        return "C13", opened, message, f'close it with "{"]" if bracket == "[" else "}"}"'
    if problem == "mapping values are not allowed here":
        fix = "check the indentation, or put the text in quotes"
        return "C13", mark, 'this ":" makes no key here', fix
    if problem.startswith("expected <block end>"):
        return "C13", mark, "this does not fit the lines above it", "indent it as its neighbours are"
    return "C13", mark, f"this is no YAML ({problem})", "correct it"


def _decode(content: bytes, name: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        _refuse("C13", f"{name}:1:1", "the file is UTF-16", f"run: iconv -f UTF-16 -t UTF-8 {name}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()  # object: the content without a byte-order mark
        line, column = _position(before, len(before))
        message = f"the byte 0x{error.object[error.start]:02X} is not UTF-8"
        _refuse("C13", f"{name}:{line}:{column}", message, "save the file as UTF-8")


def _position(text: str, index: int) -> Mark:
    before = text[:index]
    return before.count("\n") + 1, index - before.rfind("\n")


def _mark(mark: Any) -> Mark:
    return mark.line + 1, mark.column + 1


def _refuse(code: str, place: str, message: str, fix: str) -> Never:
    raise RecipeError(code, place, message, fix)
