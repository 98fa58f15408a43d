"""What texts are compared with: as many rows on both sides, and a reference or more in each row."""

from __future__ import annotations

from collections.abc import Sequence

from llmkit.base.errors import ErrorDetail, UserError, raise_if

__all__ = ["References", "align_references"]

References = Sequence[str | Sequence[str]]  # a row's reference, or its references


def align_references(predictions: Sequence[str], references: References) -> list[Sequence[str]]:
    """The references of each row.

    UserError E04 for another number of rows; E02 for no rows, one without a reference, or nothing but blanks.
    """
    if len(predictions) != len(references):
        message = f"{len(predictions)} predictions, but references for {len(references)} rows"
        raise UserError("E04", "", message, "give one prediction a row of references, in the same order")
    rows = [[row] if isinstance(row, str) else row for row in references]
    fix = 'give each row a reference; "" where nothing should be said'
    bare = [number for number, row in enumerate(rows, 1) if not row]
    raise_if([ErrorDetail("E02", "", f"row {number} has no reference", fix) for number in bare], UserError)
    if not any(text.strip() for row in rows for text in row):
        message = "there is no text in the references"
        raise UserError("E02", "", message, "check the file or the column they come from")
    return rows
