"""`llmkit explain-error CODE`"""

from __future__ import annotations

from typing import Annotated

import typer

from llmkit.cli.completion import suggest_error_codes

__all__ = ["explain_error"]


def explain_error(
    code: Annotated[
        str,
        typer.Argument(
            help="The code in the brackets of an error message, e.g. L05.", autocompletion=suggest_error_codes
        ),
    ],
) -> None:
    """Explain an error code: what it means, why it stops the run and what to do."""
    from llmkit.base.errors import EXPLANATIONS, RecipeError, suggest

    explanation = EXPLANATIONS.get(code.strip("[]").upper())
    if explanation is None:
        raise RecipeError(
            "U02",
            code,
            f"is not an error code{suggest(code.upper(), EXPLANATIONS)}",
            "codes look like L05 or C03",
        )
    title, text = explanation
    typer.echo(f"{code.strip('[]').upper()}: {title}\n\n{text}")
