"""Find the files or Hub splits behind `data.train`, `data.validation` and `data.test`.

A recipe names files, folders, `index:NAME` or Hub ids. A folder or a Hub data set may contain several splits: files
named train, validation (or dev, valid, val) and test, or the Hub's splits. Then each key takes its own split, and
`data.train` alone also provides the validation and test sets found there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import DataError, shorten_list, suggest
from llmkit.base.progress import Progress
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.lines import ReportBytes
from llmkit.data.reading.parquet_rows import name_class
from llmkit.data.reading.readers import PLAIN_TEXT, SUFFIXES, data_suffix, read_rows
from llmkit.recipe.schema import Data

if TYPE_CHECKING:
    import datasets

__all__ = ["SPLITS", "ResolveHub", "ResolveIndex", "Source", "find_sources"]

SPLITS = ("train", "validation", "test")
UNNAMED = "any"  # stands for rows whose file name or Hub split names none of SPLITS

ResolveIndex = Callable[[str, Progress], Path]
ResolveHub = Callable[[str, Progress], "dict[str, datasets.Dataset]"]

_SPLIT_NAME = re.compile(r"(?:(train)|(validation|valid|val|dev)|(test))(?:[-_.]\d.*)?", re.IGNORECASE)
_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class Source:
    """One file or one split of a Hub data set.

    Attributes:
        name: The name as the user wrote it; places in messages begin with it.
        size: Bytes as stored.
        read: Yields (line number, row) in order; it may be called repeatedly.
    """

    name: str
    size: int
    read: Callable[[FileErrors, ReportBytes], Iterator[tuple[int, dict[str, Any]]]]


SourcesBySplit = Mapping[str, list[Source]]  # a split or UNNAMED -> its sources


def find_sources(
    data: Data, *, progress: Progress, resolve_index: ResolveIndex, resolve_hub: ResolveHub
) -> tuple[dict[str, list[Source]], list[str]]:
    """Find the sources of each split.

    Args:
        data: The recipe section that names the data.
        progress: Passed to the two resolvers.
        resolve_index: Returns the file behind `index:NAME`.
        resolve_hub: Returns the splits of a Hub data set.

    Returns:
        (split -> its sources, notes on files that were left out).

    Raises:
        DataError: F01 for a missing file, F02 for one that can't be used.
    """
    values = {split: getattr(data, split) or [] for split in SPLITS}
    names = {split: [value] if isinstance(value, str) else value for split, value in values.items()}
    notes: list[str] = []
    resolved = {
        name: _resolve(name, data, notes, progress, resolve_index, resolve_hub)
        for name in dict.fromkeys(name for listed in names.values() for name in listed)
    }
    sources: dict[str, list[Source]] = {}
    for split in SPLITS:
        named: list[Source] = []
        for name in names[split]:
            of_split = resolved[name].get(UNNAMED) or resolved[name].get(split)
            if not of_split:
                message = f"there is no {split} split, only {shorten_list(resolved[name])}"
                raise DataError("F02", name, message, f"name a file for data.{split}")
            named += of_split
        beside_train = [source for name in names["train"] for source in resolved[name].get(split, [])]
        if named or beside_train:
            sources[split] = named or beside_train
    if not sources:
        raise DataError("F01", "data.train", "the recipe names no data", "set data.train=FILE")
    return sources, notes


def _resolve(
    name: str,
    data: Data,
    notes: list[str],
    progress: Progress,
    resolve_index: ResolveIndex,
    resolve_hub: ResolveHub,
) -> SourcesBySplit:
    """Return the sources behind one name in the recipe: a folder, a file, an asset or a Hub id."""
    path = Path(name).expanduser()
    if path.is_dir():
        return _list_folder(path, name, data, notes)
    if path.is_file():
        return {UNNAMED: [_make_source(path, name, data)]}
    if path.exists():
        raise DataError("F02", name, "this is neither a file nor a folder", "name a data file")
    if name.startswith("index:"):
        return {UNNAMED: [_make_source(resolve_index(name.removeprefix("index:"), progress), name, data)]}
    siblings = path.parent.iterdir() if path.parent.is_dir() else ()
    suggestion = suggest(path.name, [p.name for p in siblings if p.is_dir() or data_suffix(p.name)])
    if _HUB_ID.fullmatch(name) and data_suffix(name) is None and not suggestion:
        return {
            split: [Source(f"{name}[{split}]", rows.data.nbytes, lambda *_, rows=rows: _read_hub_rows(rows))]
            for split, rows in resolve_hub(name, progress).items()
        }
    why = "" if path.parent.is_dir() else f" (there is no folder {path.parent})"
    raise DataError("F01", name, f"no such file{why}", f"correct the path{suggestion}")


def _make_source(path: Path, name: str, data: Data) -> Source:
    return Source(name, path.stat().st_size, partial(read_rows, path, data))


def _list_folder(folder: Path, name: str, data: Data, notes: list[str]) -> SourcesBySplit:
    """Return the data files of a folder in alphabetical order, by split where their names say it.

    .txt files count as data only in a folder without other data files; elsewhere they are notes and licences.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except PermissionError:
        fix = "ask its owner, or change its permissions"
        raise DataError("F02", name, "you may not read this folder", fix) from None
    files = [path for path in files if data_suffix(path.name)]
    files = [path for path in files if data_suffix(path.name) != PLAIN_TEXT] or files
    if not files:
        fix = f"name a file ({', '.join(SUFFIXES)})"
        raise DataError("F02", name, "this is a folder without data files", fix)
    sources: dict[str, list[Source]] = {}
    for path in files:
        stem = path.name[: path.name.lower().rindex(data_suffix(path.name) or "")]
        match = _SPLIT_NAME.fullmatch(stem)
        split = SPLITS[(match.lastindex or 1) - 1] if match else UNNAMED
        sources.setdefault(split, []).append(_make_source(path, str(Path(name) / path.name), data))
    if len(sources) > 1 and (others := sources.pop(UNNAMED, [])):
        left_out = shorten_list(Path(source.name).name for source in others)
        notes.append(f"{name}: left out {left_out} (no split in the file name)")
    return sources


def _read_hub_rows(dataset: datasets.Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, row) with the names of classes, also in lists; the Hub's -1 (no class) becomes None."""
    classes = {}
    for column, feature in dataset.features.items():
        feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
        if hasattr(feature, "names"):
            classes[column] = feature.names
    for number, row in enumerate(dataset, 1):
        for column, names in classes.items():
            row[column] = name_class(row[column], names)
        yield number, row
