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
    from llmkit.inference.trained_model import TrainedModel

__all__ = ["predict"]

# Input columns of a record, printed after its prediction.
SHOWN = ("text", "text_pair", "question", "sentence", "source", "prompt")


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
            metavar="TEXT",
            help="Texts or questions to predict (pairs: two by two); default: --file or stdin.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Input file: one example per line (txt, pairs separated by tabs), or a data file."),
    ] = None,
    context: Annotated[Path | None, typer.Option(help="Text file that the questions are about.")] = None,
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrated", help="Calibrate probabilities with the temperature fitted on the validation set."
        ),
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="Run with int8 weights (CPU). Use `evaluate --int8` to measure the accuracy cost."
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Output file, one JSON object per line.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with all predictions.")
    ] = False,
) -> None:
    """Predict labels, spans, answers or text for new inputs, with probabilities, in input order."""
    from llmkit.base import files
    from llmkit.cli import show
    from llmkit.inference.predict import predict_examples, use_calibration
    from llmkit.inference.trained_model import open_model, quantize_model

    to_screen = out is None and not as_json and sys.stdout.isatty()
    with show.progress(bars=not to_screen) as progress:  # progress bars would mix with the predictions
        opened = open_model(target, progress)
        if calibrated:
            opened = use_calibration(opened)
        if int8:
            opened = quantize_model(opened)
        examples = _read_examples(opened, texts or [], file, context)
        records = predict_examples(opened, examples, progress=progress)
        if out is not None:
            files.write_lines(out, (json.dumps(record, ensure_ascii=False) + "\n" for record in records))
            typer.echo(f"predictions written to {out}")
        elif as_json:
            show.print_json({"model": target, "predictions": list(records)})
        else:
            _print(records, keep_line_breaks=opened.task.spec.keeps_line_breaks)


def _read_examples(
    opened: TrainedModel, texts: list[str], file: Path | None, context: Path | None
) -> Iterable[dict[str, Any]]:
    from llmkit.base.errors import RecipeError
    from llmkit.cli import texts as reading

    inputs = opened.task.spec.inputs
    if context is None:
        columns = {"prompt": "messages", **opened.columns}  # examples may be conversations to continue
        return reading.read_examples(inputs, columns, texts, file, "predict")
    if "context" not in inputs:
        message = f"this model takes no context; its inputs are {', '.join(inputs)}"
        raise RecipeError("U01", "--context", message, "leave it out")
    document = reading.read_document(context)
    other_inputs = [name for name in inputs if name != "context"]
    examples = reading.read_examples(other_inputs, opened.columns, texts, file, "predict")
    return ({**example, "context": document} for example in examples)


def _print(records: Iterable[dict[str, Any]], *, keep_line_breaks: bool) -> None:
    """Print one line per record: prediction, probability, inputs and candidates, separated by tabs.

    With keep_line_breaks, print only the predictions, separated by an empty line.
    """
    for number, record in enumerate(records):
        prediction = _format_prediction(record["prediction"])
        if keep_line_breaks:
            typer.echo("\n" * (number > 0) + prediction)
            continue
        cells = [prediction, "" if record["probability"] is None else f"{record['probability']:.3f}"]
        for value in (record[name] for name in SHOWN if name in record):
            # The last turn of a conversation; a missing text pair is None.
            cells.append(value[-1]["content"] if isinstance(value, list) else value or "")
        for candidates in record.get(
            "choices", []
        ):  # of a mask, or of the next token: `film 0.41, story 0.22`
            cells.append(", ".join(f"{c['token'].strip()} {c['probability']:.2f}" for c in candidates))
        typer.echo("\t".join(" ".join(cell.split()) for cell in cells))


def _format_prediction(prediction: Any) -> str:
    """Format a label, number, answer, or list of labels or entities; "-" for a blank input."""
    if prediction is None:
        return "-"
    if isinstance(prediction, list):
        return ", ".join(map(_format_prediction, prediction)) or "none"
    if isinstance(prediction, dict):
        return f"{prediction['text']} ({prediction['label']})"
    return f"{prediction:.3f}" if isinstance(prediction, float) else prediction or "no answer"
