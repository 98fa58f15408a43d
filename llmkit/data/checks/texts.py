"""Check text columns: every text is a string that is not blank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import MAX_LINES, ErrorDetail
from llmkit.data.checks.row_errors import Checked, format_also_at, shorten
from llmkit.data.corpus import Corpus, format_row_count
from llmkit.recipe.schema import Data

__all__ = ["check_texts"]


def check_texts(corpus: Corpus, columns: str | Sequence[str], data: Data) -> Checked:
    """Check that every text is a string (L02) that is not blank (L03).

    Args:
        corpus: The rows.
        columns: One text column, or several, such as the two texts of a pair.
        data: With data.empty_text=drop, rows with a blank text are dropped and counted in the notes.
    """
    errors: list[ErrorDetail] = []
    notes: list[str] = []
    for column in [columns] if isinstance(columns, str) else columns:
        corpus, column_errors, column_notes = _check_column(corpus, column, data)
        errors += column_errors
        notes += column_notes
    return Checked(corpus, errors, notes)


def _check_column(corpus: Corpus, column: str, data: Data) -> Checked:
    errors: list[ErrorDetail] = []
    notes: list[str] = []
    blank: dict[str, NDArray[np.bool_]] = {}
    for name, split in corpus.splits.items():
        texts = split.column(column)
        invalid = [row for row, text in enumerate(texts) if not isinstance(text, str)]
        for row in invalid[:MAX_LINES]:
            what = "null" if texts[row] is None else f"{shorten(texts[row])}, not a string"
            errors.append(ErrorDetail("L02", split.place(row), f'"{column}" is {what}', "write a text there"))
        if len(invalid) > MAX_LINES:
            message = f'{format_row_count(len(invalid) - MAX_LINES)} more whose "{column}" is not a text'
            errors.append(ErrorDetail("L02", split.place(invalid[MAX_LINES]), message, "write a text there"))
        blank[name] = np.array([isinstance(text, str) and _is_blank(text) for text in texts], bool)
        rows = np.flatnonzero(blank[name])
        if not len(rows):
            continue
        if data.empty_text == "drop" and len(rows) < len(split):
            notes.append(f'{name}: {format_row_count(len(rows))} dropped (empty or blank "{column}")')
        else:
            count = format_row_count(len(rows))
            message = f'{count} with an empty or blank "{column}"{format_also_at(split, rows)}'
            fix = "fill in a text, or set data.empty_text=drop"
            errors.append(ErrorDetail("L03", split.place(int(rows[0])), message, fix))
    return Checked(corpus if errors else corpus.drop_rows(blank), errors, notes)


def _is_blank(text: str) -> bool:
    """Return whether a text has nothing visible: only white space, zero-width and control characters."""
    return not any(c.isprintable() and not c.isspace() for c in text)
