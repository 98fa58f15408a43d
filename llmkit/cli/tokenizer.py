"""`llmkit tokenizer train --data FILE --kind KIND --vocab-size N --out DIR | show DIR --text TEXT`"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from llmkit.cli.completion import suggest_runs

__all__ = ["app"]

SHOWN = 30  # tokens of the sample that are printed

app = typer.Typer(
    help="Train a tokenizer on your own texts, or show how one tokenizes a text.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


@app.command("train", no_args_is_help=True)
def train_tokenizer(
    data: Annotated[
        list[str],
        typer.Option(metavar="FILE", help="Training data, as data.train in a recipe; repeat for more."),
    ],
    vocab_size: Annotated[int, typer.Option(metavar="N", help="Vocabulary size, including special tokens.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Output folder, to be used as model.tokenizer in a recipe.")
    ],
    kind: Annotated[
        Literal["bpe", "wordpiece", "unigram", "characters"],
        typer.Option(help="Algorithm: byte-level bpe (GPT-2), wordpiece (BERT), unigram (T5) or characters."),
    ] = "bpe",
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Column to read; repeat for more (default: text, source and target)."
        ),
    ] = None,
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Lowercase all texts.")] = False,
    as_json: Json = False,
) -> None:
    """Train a tokenizer and report its compression and its unknown tokens."""
    from llmkit.cli import show
    from llmkit.commands import tokenizer

    with show.progress() as progress:
        measured, sample = tokenizer.train(
            data,
            kind,
            vocab_size,
            out,
            columns=column or tokenizer.COLUMNS,
            lowercase=lowercase,
            progress=progress,
        )
    if as_json:
        rates = ("bytes_per_token", "characters_per_token", "unknown_share")
        numbers = asdict(measured) | {name: getattr(measured, name) for name in rates}
        show.print_json({"tokenizer": str(out), **numbers, "sample": [asdict(token) for token in sample]})
        return
    rows = [
        ["vocabulary", f"{measured.vocabulary:,} tokens"],
        ["texts", f"{measured.texts:,} with {measured.tokens:,} tokens"],
        [
            "per token",
            f"{measured.bytes_per_token:.2f} bytes, {measured.characters_per_token:.2f} characters",
        ],
        ["unknown", f"{measured.unknown_share:.3%} of the tokens"],
        ["sample", " | ".join(_shown(token.text or token.name) for token in sample[:SHOWN])],
    ]
    show.table(f"{kind} tokenizer in {out}", ["", ""], rows)


@app.command("show", no_args_is_help=True)
def show_tokens(
    target: Annotated[
        str,
        typer.Argument(
            metavar="DIR",
            help="A tokenizer, a run, a model, a Hub id or index:NAME.",
            autocompletion=suggest_runs,
        ),
    ],
    text: Annotated[str, typer.Option(help="Text to tokenize.")],
    as_json: Json = False,
) -> None:
    """Show how a text is tokenized."""
    from llmkit.cli import show
    from llmkit.commands import tokenizer

    with show.progress() as progress:
        tokens = tokenizer.show(target, text, progress=progress)
    if as_json:
        show.print_json({"tokens": [asdict(token) for token in tokens]})
        return
    rows = [[str(token.id), _shown(token.name), _shown(token.text)] for token in tokens]
    show.table(f"{len(tokens)} tokens of {len(text)} characters", ["id", "token", "text"], rows)


def _shown(text: str) -> str:
    """Escape control characters as Python does."""
    return repr(text)[1:-1]
