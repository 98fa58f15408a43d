"""Train a tokenizer on data files, or tokenize a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.base import files
from llmkit.base.errors import RecipeError, shorten_list
from llmkit.base.progress import SILENT, Progress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from llmkit.models.tokenizer_training import Kind, TokenizerStatistics

__all__ = ["COLUMNS", "Token", "show", "train"]

COLUMNS = ("text", "source", "target")  # the default columns


@dataclass(frozen=True)
class Token:
    """One token of a text: its id, its entry in the vocabulary, and the characters of the text that it covers."""

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
    """Train a tokenizer and save it as a folder. All texts are held in memory.

    Args:
        data: Training data, in the forms of `data.train` in a recipe.
        kind: The algorithm.
        vocab_size: Vocabulary size, including special tokens.
        out: The new folder.
        columns: Columns to read; rows may lack some of them.
        lowercase: Whether to lowercase all texts.
        progress: Receives notes.

    Returns:
        Statistics of the tokenizer on its training texts, and the tokens of one of these texts.

    Raises:
        RecipeError: R04 when `out` exists, U01 when the vocabulary is too small.
        DataError: For errors in the data.
    """
    from llmkit.base.quiet import quiet
    from llmkit.models import tokenizer_training

    if out.exists():
        raise RecipeError("R04", str(out), "already exists", "choose another --out")
    texts = _read_texts(data, columns, progress)
    progress.note(f"training a {kind} tokenizer on {len(texts):,} texts")
    trained = tokenizer_training.train(texts, kind, vocab_size, lowercase=lowercase)
    with files.staged_folder(out) as staged, quiet():
        trained.save_pretrained(staged)
    sample = next((text for text in texts if text.strip()), "")
    return tokenizer_training.measure(trained, texts), _tokenize(trained, sample)


def show(target: str, text: str, *, progress: Progress = SILENT) -> list[Token]:
    """Tokenize a text, with special tokens. `target` is a tokenizer folder, a run, a Hub id, or index:NAME."""
    from llmkit.inference.trained_model import find_model_folder
    from llmkit.models import load

    return _tokenize(load.load_tokenizer(find_model_folder(target, progress), weights=False), text)


def _tokenize(tokenizer: PreTrainedTokenizerBase, text: str) -> list[Token]:
    encoding = tokenizer(text, return_offsets_mapping=True)
    names = tokenizer.convert_ids_to_tokens(encoding["input_ids"])
    return [
        Token(number, name, text[first:end])
        for number, name, (first, end) in zip(
            encoding["input_ids"], names, encoding["offset_mapping"], strict=True
        )
    ]


def _read_texts(data: Sequence[str], columns: Sequence[str], progress: Progress) -> list[str]:
    """Read the named columns of all rows. Raises DataError L02 for a row that has none of them."""
    from llmkit.assets import hub, store
    from llmkit.data.reading import sources
    from llmkit.data.reading.file_errors import FileErrors
    from llmkit.data.reading.lines import ignore_progress
    from llmkit.recipe.schema import Data

    recipe = Data(train=list(data))
    splits, notes = sources.find_sources(
        recipe, progress=progress, resolve_index=store.fetch_data_file, resolve_hub=hub.fetch_dataset
    )
    for note in notes:
        progress.note(note)
    texts: list[str] = []
    for source in splits["train"]:
        errors = FileErrors(source.name)
        for line, row in source.read(errors, ignore_progress):
            values = [row[name] for name in columns if isinstance(row.get(name), str)]
            if not values:
                message = f"no column {' or '.join(columns)} with a text (has {shorten_list(row)})"
                errors.fail("L02", message, "name the column with --column", line=line)
            texts += values
    return texts
