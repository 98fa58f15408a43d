"""`llmkit predict RUN [TEXT ...] [--file F] [--out F]`"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["predict"]


def predict(
    target: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="A run, a model folder, or a Hub id.")
    ],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; else --file or stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="One text a line (txt), or a data file with a text column.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write one JSON object a line here.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with all predictions.")
    ] = False,
) -> None:
    """Label texts, with probabilities, in the order they come."""
    from llmkit import files
    from llmkit.cli import show
    from llmkit.workflows import predict as workflow

    with show.progress() as progress:
        records = workflow.predict(target, _texts(texts or [], file), progress=progress)
        if out is not None:
            files.write_lines(out, (json.dumps(record, ensure_ascii=False) + "\n" for record in records))
            typer.echo(f"predictions in {out}")
        elif as_json:
            show.print_json({"model": target, "predictions": list(records)})
        else:
            _print(records)


def _texts(texts: list[str], file: Path | None) -> Iterable[str]:
    from llmkit.errors import Problem, RecipeError

    if texts and file:
        raise RecipeError(Problem("U01", "--file", "texts are given as well", "give one of the two"))
    if texts:
        return texts
    if file is not None:
        return _from_file(file)
    if sys.stdin.isatty():
        raise RecipeError(
            Problem("U01", "predict", "no text", "write texts behind the run, or use --file or a pipe")
        )
    return (line.rstrip("\r\n") for line in sys.stdin)


def _from_file(file: Path) -> Iterator[str]:
    """Lines of a txt file, or the text column of a data file."""
    from llmkit.data import readers

    yield from readers.texts(file)


def _print(records: Iterable[dict[str, Any]]) -> None:
    """Label, probability, text: easy to read and to cut by tabs."""
    for record in records:
        probability = "" if record["probability"] is None else f"{record['probability']:.3f}"
        text = " ".join(record["text"].split())
        typer.echo(f"{record['prediction'] or '-'}\t{probability}\t{text}")
