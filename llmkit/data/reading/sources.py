"""Where the rows of each part come from: what the recipe names, as sources of train, validation and test.

A source is a file, a folder, `index:NAME` or a Hub id. A folder or a Hub id may hold several parts: files
named train, validation (dev, valid, val) and test, or Hub splits. Then each part takes its own, and
`data.train` alone also brings the validation and test it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import DataError, ErrorDetail, closest, some
from llmkit.base.progress import Progress
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.lines import ReportBytes
from llmkit.data.reading.readers import PLAIN_TEXT, SUFFIXES, data_suffix, read_rows
from llmkit.recipe.schema import Data

if TYPE_CHECKING:
    import datasets

__all__ = ["SPLITS", "ResolveHub", "ResolveIndex", "Source", "find_sources"]

SPLITS = ("train", "validation", "test")
ANY = "any"  # rows of no part in particular

ResolveIndex = Callable[[str, Progress], Path]
ResolveHub = Callable[[str, Progress], "dict[str, datasets.Dataset]"]

_PART_NAME = re.compile(r"(?:(train)|(validation|valid|val|dev)|(test))(?:[-_.]\d.*)?", re.IGNORECASE)
_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class Source:
    """One file or Hub split. `read` gives (line, row) in order, as often as asked."""

    name: str  # named as the user gave it
    size: int  # bytes as stored
    read: Callable[[FileErrors, ReportBytes], Iterator[tuple[int, dict[str, Any]]]]


Found = Mapping[str, list[Source]]  # part, or ANY -> its sources


def find_sources(
    data: Data, *, progress: Progress, resolve_index: ResolveIndex, resolve_hub: ResolveHub
) -> tuple[dict[str, list[Source]], list[str]]:
    """(part -> sources, notes). Raises DataError F01, F02."""
    given = {part: _listed(getattr(data, part)) for part in SPLITS}
    notes: list[str] = []
    found = {
        name: _resolve(name, data, notes, progress, resolve_index, resolve_hub)
        for name in dict.fromkeys(name for names in given.values() for name in names)
    }
    parts: dict[str, list[Source]] = {}
    for part in SPLITS:
        own = [source for name in given[part] for source in _of_part(part, name, found[name])]
        brought = [source for name in given["train"] for source in found[name].get(part, [])]
        if own or brought:
            parts[part] = own or brought
    if not parts:
        raise DataError("F01", "data.train", "no data is named", "set data.train=FILE")
    return parts, notes


def _listed(source: str | list[str] | None) -> list[str]:
    return [source] if isinstance(source, str) else source or []


def _of_part(part: str, name: str, found: Found) -> list[Source]:
    """What a source holds for this part."""
    sources = found.get(ANY) or found.get(part)
    if not sources:
        fix = f"name a file for data.{part}"
        raise DataError("F02", name, f"holds no {part} part, only {some(found)}", fix)
    return sources


def _resolve(
    name: str,
    data: Data,
    notes: list[str],
    progress: Progress,
    resolve_index: ResolveIndex,
    resolve_hub: ResolveHub,
) -> Found:
    path = Path(name).expanduser()
    if path.is_dir():
        return _in_folder(path, name, data, notes)
    if path.is_file():
        return {ANY: [_file(path, name, data)]}
    if path.exists():
        raise DataError("F02", name, "is neither a file nor a folder", "name a data file")
    if name.startswith("index:"):
        return {ANY: [_file(resolve_index(name.removeprefix("index:"), progress), name, data)]}
    near = closest(path.name, _entries(path.parent))
    if _HUB_ID.fullmatch(name) and data_suffix(name) is None and not near:
        return {part: [_hub(name, part, rows)] for part, rows in resolve_hub(name, progress).items()}
    where = "" if path.parent.is_dir() else f" (there is no folder {path.parent})"
    raise DataError("F01", name, f"no such file{where}", f"correct the path{near}")


def _entries(folder: Path) -> list[str]:
    """Names in a folder that could be meant by data.train; none where there is no folder."""
    if not folder.is_dir():
        return []
    return [entry.name for entry in folder.iterdir() if entry.is_dir() or data_suffix(entry.name)]


def _file(path: Path, name: str, data: Data) -> Source:
    return Source(name, path.stat().st_size, lambda errors, moved: read_rows(path, data, errors, moved))


def _in_folder(folder: Path, name: str, data: Data, notes: list[str]) -> Found:
    """All data files of a folder, sorted; by part where their names say it.

    Its .txt files are data only where it holds nothing else: beside rows they are notes and licences.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except PermissionError:
        problem = ErrorDetail(
            "F02", name, "not allowed to read this folder", "ask its owner, or change its mode"
        )
        raise DataError.of(problem) from None
    files = [path for path in files if data_suffix(path.name)]
    files = [path for path in files if data_suffix(path.name) != PLAIN_TEXT] or files
    if not files:
        problem = ErrorDetail(
            "F02", name, "a folder without data files", f"name a file ({', '.join(SUFFIXES)})"
        )
        raise DataError.of(problem)
    found: dict[str, list[Source]] = {}
    for path in files:
        found.setdefault(_part_of(path.name), []).append(_file(path, str(Path(name) / path.name), data))
    if len(found) > 1 and (others := found.pop(ANY, [])):
        notes.append(f"{name}: left out {some(Path(one.name).name for one in others)} (named after no part)")
    return found


def _part_of(filename: str) -> str:
    stem = filename[: filename.lower().rindex(data_suffix(filename) or "")]
    match = _PART_NAME.fullmatch(stem)
    return SPLITS[(match.lastindex or 1) - 1] if match else ANY


def _hub(name: str, part: str, dataset: datasets.Dataset) -> Source:
    return Source(f"{name}[{part}]", dataset.data.nbytes, lambda *_: _hub_rows(dataset))


def _hub_rows(dataset: datasets.Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row number from 1, row), classes by name; the Hub's -1 (no class) is None."""
    classes = {
        column: feature.names for column, feature in dataset.features.items() if hasattr(feature, "names")
    }
    for number, row in enumerate(dataset, 1):
        for column, names in classes.items():
            value = row[column]
            row[column] = names[value] if value is not None and value >= 0 else None
        yield number, row
