"""`llmkit predict RUN [TEXT ...] [--file F] [--out F]`"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmkit.cli.completion import suggest_runs

if TYPE_CHECKING:
    from llmkit.inference.trained_model import Opened

__all__ = ["predict"]

SHOWN = ("text", "text_pair", "question", "sentence", "source", "prompt")  # of a record, behind its answer


def predict(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_MODEL", help="A run, a model folder, or a Hub id.", autocompletion=suggest_runs
        ),
    ],
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT", help="Texts (for pairs: two and two), questions; else --file or stdin."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="One example a line (txt, pairs between tabs), or a data file with the columns."),
    ] = None,
    context: Annotated[Path | None, typer.Option(help="The text that the questions are about (txt).")] = None,
    calibrated: Annotated[
        bool,
        typer.Option("--calibrated", help="Probabilities by the temperature fitted on the validation rows."),
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Faster on many CPUs, in 8 bits; `evaluate --int8` tells the loss.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write one JSON object a line here.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with all predictions.")
    ] = False,
) -> None:
    """Answer texts, with probabilities, in the order they come."""
    from llmkit.base import files
    from llmkit.cli import show
    from llmkit.inference.predict import answer, recalibrated
    from llmkit.inference.trained_model import in_int8, open_model

    to_screen = out is None and not as_json and sys.stdout.isatty()
    with show.progress(bars=not to_screen) as progress:  # bars and answers on one screen would be a mess
        opened = open_model(target, progress)
        if calibrated:
            opened = recalibrated(opened)
        if int8:
            opened = in_int8(opened)
        given = _examples(opened, texts or [], file, context)
        records = answer(opened, given, progress=progress)
        if out is not None:
            files.write_lines(out, (json.dumps(record, ensure_ascii=False) + "\n" for record in records))
            typer.echo(f"predictions in {out}")
        elif as_json:
            show.print_json({"model": target, "predictions": list(records)})
        else:
            _print_whole(records) if opened.task.spec.keeps_line_breaks else _print(records)


def _examples(
    opened: Opened, given: list[str], file: Path | None, context: Path | None
) -> Iterable[dict[str, Any]]:
    from llmkit.base.errors import RecipeError
    from llmkit.cli import texts

    inputs = opened.task.spec.inputs
    if context is None:
        columns = {
            "prompt": "messages",
            **opened.columns,
        }  # of chat, whose rows may be conversations to go on with
        return texts.examples(inputs, columns, given, file, "predict")
    if "context" not in inputs:
        message = f"this model reads {', '.join(inputs)}, no context"
        raise RecipeError("U01", "--context", message, "leave it out")
    about = texts.whole(context)
    rest = [name for name in inputs if name != "context"]
    asked = texts.examples(rest, opened.columns, given, file, "predict")
    return ({**question, "context": about} for question in asked)


def _print(records: Iterable[dict[str, Any]]) -> None:
    """Answer, probability, texts: easy to read and to cut by tabs."""
    for record in records:
        probability = "" if record["probability"] is None else f"{record['probability']:.3f}"
        texts = [_text(record[name]) for name in SHOWN if name in record]
        cells = [_said(record["prediction"]), probability, *texts, *_choices(record.get("choices", []))]
        typer.echo("\t".join(" ".join(cell.split()) for cell in cells))


def _print_whole(records: Iterable[dict[str, Any]]) -> None:
    """Answers alone, line by line, an empty line between two."""
    for number, record in enumerate(records):
        typer.echo("\n" * (number > 0) + _said(record["prediction"]))


def _choices(places: list[list[dict[str, Any]]]) -> list[str]:
    """What else could stand at each mask, or next: `film 0.41, story 0.22`."""
    return [
        ", ".join(f"{choice['token'].strip()} {choice['probability']:.2f}" for choice in place)
        for place in places
    ]


def _text(given: Any) -> str:
    """A text; of a conversation the last turn."""
    return given[-1]["content"] if isinstance(given, list) else given or ""


def _said(prediction: Any) -> str:
    """A label, a number, an answer, or a list of labels or of entities; "-" for a blank text."""
    if prediction is None:
        return "-"
    if isinstance(prediction, list):
        return ", ".join(map(_said, prediction)) or "none"
    if isinstance(prediction, dict):
        return f"{prediction['text']} ({prediction['label']})"
    return f"{prediction:.3f}" if isinstance(prediction, float) else prediction or "no answer"
