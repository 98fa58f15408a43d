"""The data and models that both sides read, made once in build/bench from what the package index has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["classifier", "dense_flops", "model", "questions", "reviews", "sentences"]

QUESTION = "Is this sentence of a film review positive or negative?"


def model(name: str) -> Path:
    """An asset's folder, fetched where it is not there."""
    from llmkit.assets import store
    from llmkit.progress import SILENT

    return store.folder(name, SILENT)


def reviews(folder: Path, examples: int) -> dict[str, str]:
    """Files of the embedded reviews by part, the training rows drawn at random: {"train": path, ...}."""
    target = folder / "data" / f"reviews-{examples}"
    if not (target / "test.jsonl").exists():
        for part, rows in _split().items():
            _write(target / f"{part}.jsonl", rows[:examples] if part == "train" else rows)
    return {part: str(target / f"{part}.jsonl") for part in ("train", "validation", "test")}


def questions(folder: Path, examples: int) -> dict[str, str]:
    """The reviews as instructions with a word as an answer."""
    target = folder / "data" / f"questions-{examples}"
    if not (target / "test.jsonl").exists():
        sizes = {"train": examples, "validation": 8, "test": 8}
        for part, rows in _split().items():
            asked = [{"instruction": QUESTION, "input": row["text"], "output": row["label"]} for row in rows]
            _write(target / f"{part}.jsonl", asked[: sizes[part]])
    return {part: str(target / f"{part}.jsonl") for part in ("train", "validation", "test")}


def sentences(folder: Path, examples: int) -> Path:
    """A text file of sentences, one a line."""
    target = folder / "data" / f"sentences-{examples}.txt"
    if not target.exists():
        rows = [row["text"] for part in _split().values() for row in part][:examples]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{text}\n" for text in rows), encoding="utf-8")
    return target


def classifier(folder: Path) -> Path:
    """MiniLM with a new head of two classes, as plain transformers saves it."""
    target = folder / "data" / "classifier"
    if not (target / "model.safetensors").exists():
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.manual_seed(0)
        source = model("all-MiniLM-L6-v2")
        AutoModelForSequenceClassification.from_pretrained(source, num_labels=2).save_pretrained(target)
        AutoTokenizer.from_pretrained(source).save_pretrained(target)
    return target


def dense_flops(folder: Path, file: str) -> float:
    """Operations an example of a forward and backward pass through the encoder's matrices, real tokens only: 6 for
    each weight and token (attention, 1 % of it here, is left out)."""
    config = json.loads((model("all-MiniLM-L6-v2") / "config.json").read_text(encoding="utf-8"))
    width, inner = config["hidden_size"], config["intermediate_size"]
    weights = config["num_hidden_layers"] * (4 * width**2 + 2 * width * inner)
    return 6 * weights * _tokens_each(folder, Path(file))


def _tokens_each(folder: Path, file: Path) -> float:
    """Mean tokens of a file's texts, counted once."""
    kept = folder / "data" / f"{file.parent.name}.tokens"
    if not kept.exists():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(model("all-MiniLM-L6-v2") / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(128)
        texts = [json.loads(line)["text"] for line in file.open(encoding="utf-8")]
        lengths = [len(found.ids) for found in tokenizer.encode_batch(texts)]
        kept.write_text(str(sum(lengths) / len(lengths)), encoding="ascii")
    return float(kept.read_text(encoding="ascii"))


def _split() -> dict[str, list[dict[str, Any]]]:
    """The rows of the recipe `sentiment` by part. The file begins with positive reviews only, so they are mixed."""
    import numpy as np

    from llmkit import tasks
    from llmkit.progress import SILENT
    from llmkit.recipe import load
    from llmkit.workflows.prepare import read_rows

    recipe = load.load("sentiment", task_names=tasks.names(), task_options=tasks.options)
    task = tasks.load({"name": "classification"})
    parts = task.check(read_rows(recipe.data, task, SILENT), recipe.data, recipe.seed).corpus.parts
    rows = {
        name: [
            {"text": text, "label": label}
            for text, label in zip(part.column("text"), part.column("label"), strict=True)
        ]
        for name, part in parts.items()
    }
    order = np.random.default_rng(0).permutation(len(rows["train"]))
    return {**rows, "train": [rows["train"][number] for number in order]}


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
