"""`llmkit score --predictions FILE --references FILE --metric NAME`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from llmkit.metrics.settings import MetricSettings

__all__ = ["parse_columns", "print_scores", "score", "score_and_print"]


def score(
    predictions: Annotated[str, typer.Option(metavar="FILE", help="Predictions, one per example.")],
    references: Annotated[
        list[str],
        typer.Option(
            metavar="FILE",
            help="References or labels. Repeat the option to give several references per example.",
        ),
    ],
    metric: Annotated[
        list[str], typer.Option(help="Metric to compute (`llmkit metrics list`); repeat for more.")
    ],
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN",
            help="Column to read as predictions, references or id, e.g. id=question_id.",
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Language of the texts, e.g. zh (default: detected from their script).")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Tokenizer for BLEU or ROUGE.")] = None,
    stemmer: Annotated[bool, typer.Option("--stemmer", help="Use Porter stemming for ROUGE.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Read tags as strict IOB2.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Score a file of predictions against references, without a model. Each score has a confidence interval."""
    from llmkit.metrics.settings import MetricSettings

    settings = MetricSettings(language=language, tokenizer=tokenizer, stemmer=stemmer, strict=strict)
    score_and_print(predictions, references, metric, parse_columns(column or []), settings, as_json)


def score_and_print(
    predictions: str,
    references: list[str],
    metrics: list[str],
    columns: dict[str, str],
    settings: MetricSettings,
    as_json: bool,
) -> None:
    """Score the files and print a table or, with as_json, one JSON object."""
    from llmkit.cli import show
    from llmkit.commands.score import score_files

    with show.progress() as progress:
        result = score_files(
            predictions, references, metrics, settings=settings, columns=columns, progress=progress
        )
    if as_json:
        show.print_json(result)
        return
    title = f"{predictions} against {', '.join(references)}: {result['n']:,} examples"
    print_scores(title, list(result["scores"]), result["scores"])


def print_scores(title: str, names: list[str], scores: dict[str, Any]) -> None:
    """Print scores with intervals and methods as a table."""
    from llmkit.cli import show

    rows = [[name, show.score_text(scores[name]), scores[name]["method"]] for name in names]
    show.table(title, ["score", "value [95%]", "method"], rows)


def parse_columns(pairs: list[str]) -> dict[str, str]:
    """Parse NAME=COLUMN pairs. Raises RecipeError U01 for a pair without "="."""
    from llmkit.base.errors import RecipeError

    for pair in pairs:
        if "=" not in pair:
            raise RecipeError("U01", f"--column {pair}", "has no =", "write it as text=sentence")
    return dict(pair.split("=", 1) for pair in pairs)
