"""What texts are compared with: as many rows on both sides, and a reference or more in each row."""

from __future__ import annotations

from collections.abc import Sequence

from llmkit.errors import Problem, UserError, raise_if

__all__ = ["References", "check"]

References = Sequence[Sequence[str]]  # the references of each row, one or more


def check(predictions: Sequence[str], references: References) -> None:
    """UserError E04 for another number of rows; E02 for no rows, one without a reference, or nothing but blanks."""
    if len(predictions) != len(references):
        message = f"{len(predictions)} predictions, but references for {len(references)} rows"
        raise UserError(
            Problem("E04", "", message, "give one prediction a row of references, in the same order")
        )
    bare = [number for number, row in enumerate(references, 1) if not row]
    fix = 'give each row a reference; "" where nothing should be said'
    raise_if([Problem("E02", "", f"row {number} has no reference", fix) for number in bare], UserError)
    if not any(text.strip() for row in references for text in row):
        raise UserError(
            Problem(
                "E02", "", "there is no text in the references", "check the file or the column they come from"
            )
        )
