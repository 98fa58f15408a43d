"""References of generated texts: one or more per prediction."""

from __future__ import annotations

from collections.abc import Sequence

from llmkit.base.errors import ErrorDetail, UserError, raise_if

__all__ = ["References", "align_references"]

References = Sequence[str | Sequence[str]]  # one reference, or several, of each example


def align_references(predictions: Sequence[str], references: References) -> list[Sequence[str]]:
    """Return the list of references of each prediction.

    Raises:
        UserError: E04 if the numbers of predictions and references differ; E02 without any rows, for a row without a
            reference, and if all references are blank.
    """
    if len(predictions) != len(references):
        message = f"{len(predictions)} predictions, but references for {len(references)} rows"
        raise UserError("E04", "", message, "give one prediction per row of references, in the same order")
    rows = [[row] if isinstance(row, str) else row for row in references]
    fix = 'give each row a reference; "" if the correct output is empty'
    missing = [number for number, row in enumerate(rows, 1) if not row]
    raise_if([ErrorDetail("E02", "", f"row {number} has no reference", fix) for number in missing], UserError)
    if not any(text.strip() for row in rows for text in row):
        message = "there is no text in the references"
        raise UserError("E02", "", message, "check the file or the column they come from")
    return rows
