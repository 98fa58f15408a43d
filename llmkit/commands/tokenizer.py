"""A vocabulary from one's own files, and how a text is cut by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.base import files
from llmkit.base.errors import RecipeError, some
from llmkit.base.progress import SILENT, Progress

if TYPE_CHECKING:
    from llmkit.models.tokenizer_training import Kind, TokenizerStatistics

__all__ = ["COLUMNS", "Token", "show", "train"]

COLUMNS = ("text", "source", "target")  # read where none are named


@dataclass(frozen=True)
class Token:
    """One token of a text: its id, its name in the vocabulary, and the part of the text that it stands for."""

    id: int
    name: str
    text: str


def train(
    data: Sequence[str],
    kind: Kind,
    vocab_size: int,
    out: Path,
    *,
    columns: Sequence[str] = COLUMNS,
    lowercase: bool = False,
    progress: Progress = SILENT,
) -> tuple[TokenizerStatistics, list[Token]]:
    """Learn from the files, write the folder; returns what it makes of those texts, and a text of them cut.

    data: what `data.train` takes. columns: those of them that a row has are read. All texts are held in memory.
    Raises RecipeError R04 when something stands at out, U01 for too few tokens, DataError.
    """
    from llmkit.models import tokenizer_training
    from llmkit.models.quiet import quiet

    if out.exists():
        raise RecipeError("R04", str(out), "exists already", "choose another --out")
    texts = _texts(data, columns, progress)
    progress.note(f"learning {kind} from {len(texts):,} texts")
    trained = tokenizer_training.train(texts, kind, vocab_size, lowercase=lowercase)
    with files.staged_folder(out) as staged, quiet():
        trained.save_pretrained(staged)
    sample = next((text for text in texts if text.strip()), "")
    return tokenizer_training.measure(trained, texts), _cut(trained, sample)


def show(target: str, text: str, *, progress: Progress = SILENT) -> list[Token]:
    """The text's tokens, special ones included. target: a folder, a run, a Hub id, or index:NAME."""
    from llmkit.inference.trained_model import model_folder
    from llmkit.models import load

    return _cut(load.load_tokenizer(model_folder(target, progress), weights=False), text)


def _cut(tokenizer: object, text: str) -> list[Token]:
    found = tokenizer(text, return_offsets_mapping=True)  # type: ignore[operator]
    names = tokenizer.convert_ids_to_tokens(found["input_ids"])  # type: ignore[attr-defined]
    return [
        Token(number, name, text[first:end])
        for number, name, (first, end) in zip(found["input_ids"], names, found["offset_mapping"], strict=True)
    ]


def _texts(data: Sequence[str], columns: Sequence[str], progress: Progress) -> list[str]:
    """The named columns of all rows. Raises DataError L02 for a row that has none of them."""
    from llmkit.assets import hub, store
    from llmkit.data.reading import sources
    from llmkit.data.reading.file_errors import FileErrors
    from llmkit.data.reading.lines import ignore_progress
    from llmkit.recipe.schema import Data

    recipe = Data(train=list(data))
    parts, notes = sources.find_sources(
        recipe, progress=progress, resolve_index=store.fetch_data_file, resolve_hub=hub.fetch_dataset
    )
    for note in notes:
        progress.note(note)
    texts: list[str] = []
    for source in parts["train"]:
        errors = FileErrors(source.name)
        for line, row in source.read(errors, ignore_progress):
            own = [row[name] for name in columns if isinstance(row.get(name), str)]
            if not own:
                message = f"no column {' or '.join(columns)} with a text (has {some(row)})"
                errors.fail("L02", message, "name the column with --column", line=line)
            texts += own
    return texts
