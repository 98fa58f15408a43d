"""`llmkit predict RUN [TEXT ...] [--file F] [--out F]`"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from llmkit.data.findings import Findings

__all__ = ["predict"]


def predict(
    target: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="A run, a model folder, or a Hub id.")
    ],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts; else --file or stdin.")
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

    to_screen = out is None and not as_json and sys.stdout.isatty()
    with show.progress(bars=not to_screen) as progress:  # bars and answers on one screen would be a mess
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
        return [_checked(text, f"text {number}") for number, text in enumerate(texts, 1)]
    if file is not None:
        return _from_file(file)
    if sys.stdin is None or sys.stdin.isatty():
        raise RecipeError(
            Problem("U01", "predict", "no text", "write texts behind the run, or use --file or a pipe")
        )
    return _from_stdin()


def _from_stdin() -> Iterator[str]:
    """One text a line."""
    assert isinstance(sys.stdin, TextIOWrapper)  # what it is outside of tests and notebooks
    sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
    for number, line in enumerate(sys.stdin, 1):
        yield _checked(line.rstrip("\r\n"), f"stdin:{number}")


def _checked(text: str, place: str) -> str:
    """Bytes that are not UTF-8 come as lone surrogates, from the command line and from stdin."""
    from llmkit.errors import DataError, Problem

    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError(Problem("F07", place, "the text is not UTF-8", "convert it, e.g. with iconv"))
    return text


def _from_file(file: Path) -> list[str]:
    """Lines of a text file, or the text column of a data file; read whole, so that its faults come first."""
    from llmkit.data.findings import Findings
    from llmkit.data.readers import data_suffix

    findings = Findings(str(file))
    if not file.is_file():
        findings.stop("F01", "no such file", "correct the path")
    read = _text_column if data_suffix(file.name) else _lines
    texts = list(read(file, findings))
    findings.raise_any()
    return texts


def _text_column(file: Path, findings: Findings) -> Iterator[str]:
    from llmkit.data.readers import rows
    from llmkit.recipe.schema import Data

    for number, row in rows(file, Data(), findings):
        if isinstance(row.get("text"), str):
            yield row["text"]
        else:
            findings.add("L02", 'the row has no "text", or not as a string', "write one there", line=number)


def _lines(file: Path, findings: Findings) -> Iterator[str]:
    from llmkit.data.lines import read_lines, unheard
    from llmkit.recipe.schema import Data

    data = Data()
    lines = read_lines(file, findings, encoding=data.encoding, limit=data.max_line_bytes, moved=unheard)
    return (line.rstrip("\r\n") for _, line in lines)


def _print(records: Iterable[dict[str, Any]]) -> None:
    """Label, probability, text: easy to read and to cut by tabs."""
    for record in records:
        probability = "" if record["probability"] is None else f"{record['probability']:.3f}"
        text = " ".join(record["text"].split())
        typer.echo(f"{record['prediction'] or '-'}\t{probability}\t{text}")
