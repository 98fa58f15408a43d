"""`llmkit embed RUN_OR_MODEL [TEXT ...] [--file F] [--out F.jsonl|F.npy] [--near TEXT]`"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from io import BytesIO
from itertools import chain
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmkit.cli.completion import suggest_runs

if TYPE_CHECKING:
    from llmkit.commands.embed import Embedding, Neighbour

__all__ = ["embed"]

SUFFIXES = (".jsonl", ".npy")
TOP = 5
SHOWN = 4  # dimensions of an embedding that are printed


def embed(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_MODEL",
            help="A run, a model folder, a Hub id, or index:NAME.",
            autocompletion=suggest_runs,
        ),
    ],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts to embed (default: --file or stdin).")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Input file: one text per line (txt), or a data file with a text column."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Output file: .jsonl, or .npy (float32, one row per text).")
    ] = None,
    near: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Print the texts that are most similar to this one instead."),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help=f"Number of texts that --near prints.  [default: {TOP}]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compute sentence embeddings (mean over the tokens, scaled to length 1), or find the most similar texts."""
    from llmkit.cli import show
    from llmkit.cli import texts as reading
    from llmkit.commands import embed as workflow

    _check_options(out, near, top)
    inputs = reading.read_texts(texts or [], file, "embed")
    to_screen = near is None and out is None and not as_json and sys.stdout.isatty()
    with show.progress(bars=not to_screen) as progress:  # progress bars would mix with the output
        if near is not None:
            neighbours = workflow.nearest(target, near, inputs, top=top or TOP, progress=progress)
            _print_neighbours(target, near, neighbours, as_json)
            return
        if out is not None and out.suffix == ".npy":
            inputs = list(inputs)  # an .npy file begins with the number of rows
        embeddings = workflow.embed(target, inputs, progress=progress)
        if out is not None:
            counts = _write(out, embeddings, length_hint(inputs))
            if as_json:
                show.print_json({"model": target, "out": str(out), **counts})
            else:
                message = (
                    f"{counts['texts']:,} embeddings of dimension {counts['dimension']} written to {out}"
                )
                typer.echo(message)
        elif as_json:
            show.print_json({"model": target, "embeddings": [_to_record(item) for item in embeddings]})
        else:
            _print(embeddings)


def _check_options(out: Path | None, near: str | None, top: int | None) -> None:
    """Check the options before anything is read. Raises RecipeError U01."""
    from llmkit.base.errors import RecipeError

    if out is not None and out.suffix not in SUFFIXES:
        message = f'"{out.suffix}" is not a format for embeddings'
        raise RecipeError("U01", f"--out {out}", message, f"use one of {', '.join(SUFFIXES)}")
    if near is None and top is not None:
        raise RecipeError("U01", "--top", "sets how many texts --near prints", "add --near TEXT")
    if near is not None and out is not None:
        message = "--near prints texts, so there are no embeddings to write"
        raise RecipeError("U01", f"--out {out}", message, "give one of the two")


def _write(out: Path, embeddings: Iterable[Embedding], rows: int) -> dict[str, int]:
    """Write the embeddings completely or not at all.

    Args:
        out: The .jsonl or .npy file.
        embeddings: One embedding per text. Read lazily.
        rows: Number of embeddings, which an .npy file begins with.

    Returns:
        Number of texts, number of blank texts among them, and the dimension.
    """
    from llmkit.base import files

    counts = {"texts": 0, "blank": 0, "dimension": 0}

    def count() -> Iterator[Embedding]:
        for embedding in embeddings:
            counts["texts"] += 1
            counts["blank"] += embedding.blank
            counts["dimension"] = len(embedding.vector)
            yield embedding

    if out.suffix == ".npy":
        files.write_bytes(out, _encode_npy(count(), rows))
    else:
        files.write_lines(out, (json.dumps(_to_record(item), ensure_ascii=False) + "\n" for item in count()))
    return counts


def _encode_npy(embeddings: Iterator[Embedding], rows: int) -> Iterator[bytes]:
    """Yield the bytes of a NumPy file (format 1.0) of shape (rows, D), little-endian float32."""
    from numpy.lib import format as npy

    first = next(embeddings, None)
    shape = (rows, 0 if first is None else len(first.vector))
    head = BytesIO()
    npy.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
    yield head.getvalue()
    for embedding in chain([] if first is None else [first], embeddings):
        yield embedding.vector.astype("<f4").tobytes()


def _to_record(embedding: Embedding) -> dict[str, Any]:
    """Convert an embedding to a JSON record. Nine digits are enough to restore a float32 exactly."""
    numbers = None if embedding.blank else [float(f"{value:.9g}") for value in embedding.vector.tolist()]
    return {"text": embedding.text, "embedding": numbers}


def _print(embeddings: Iterable[Embedding]) -> None:
    """Print the first dimensions of each embedding and its text, separated by a tab."""
    for embedding in embeddings:
        first = " ".join(f"{value:+.4f}" for value in embedding.vector[:SHOWN])
        numbers = "-" if embedding.blank else f"{first} ... ({len(embedding.vector)})"
        typer.echo(f"{numbers}\t{_join_lines(embedding.text)}")


def _print_neighbours(target: str, near: str, neighbours: list[Neighbour], as_json: bool) -> None:
    from llmkit.cli import show

    if as_json:
        show.print_json({"model": target, "near": near, "neighbours": [asdict(item) for item in neighbours]})
        return
    rows = [
        [str(item.rank), f"{item.similarity:.3f}", str(item.row), _join_lines(item.text)]
        for item in neighbours
    ]
    show.table(f'most similar to "{_join_lines(near)}"', ["rank", "cosine similarity", "row", "text"], rows)


def _join_lines(text: str) -> str:
    return " ".join(text.split())
