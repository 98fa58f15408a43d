"""The data and models that both sides read, made once in build/bench from what the package index has."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "classifier",
    "dense_flops",
    "lines",
    "long_rows",
    "model",
    "questions",
    "reviews",
    "sentences",
    "written",
]

QUESTION = "Is this sentence of a film review positive or negative?"


def model(name: str) -> Path:
    """An asset's folder, fetched where it is not there."""
    from llmkit.assets import store
    from llmkit.base.progress import SILENT

    return store.fetch_folder(name, SILENT)


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


def lines(folder: Path, count: int) -> Path:
    """A text file of so many different lines of five words."""
    target = folder / "data" / f"lines-{count}.txt"
    if not target.exists():
        known = words()
        with target.open("w", encoding="utf-8") as file:
            file.writelines(f"{' '.join(pick(known, number, 5))}\n" for number in range(count))
    return target


def long_rows(folder: Path, count: int) -> str:
    """A file of so many different labelled rows of a thousand characters."""
    target = folder / "data" / f"long-{count}.jsonl"
    if not target.exists():
        known, labels = words(), ("negative", "positive")
        with target.open("w", encoding="utf-8") as file:
            for number in range(count):
                text = " ".join([str(number), *pick(known, number, 200)])[:1000]
                file.write(json.dumps({"text": text, "label": labels[number % 2]}) + "\n")
    return str(target)


def written(folder: Path, examples: int) -> tuple[Path, Path]:
    """Made of words of the reviews: pairs of texts of 100 words, [prediction, reference], and what two systems wrote,
    [first, second, reference], sentences of 4 to 30 words. One word in five differs."""
    pairs, systems = (folder / "data" / f"{name}-{examples}.jsonl" for name in ("pairs", "systems"))
    if not (pairs.exists() and systems.exists()):
        rng = random.Random(0)
        known = words()
        long = [_run(rng, known, 100) for _ in range(examples)]
        short = [_run(rng, known, rng.randint(4, 30)) for _ in range(examples)]
        _write(pairs, [[_damaged(rng, text), " ".join(text)] for text in long])
        _write(systems, [[_damaged(rng, text), _damaged(rng, text), " ".join(text)] for text in short])
    return pairs, systems


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


def words() -> list[str]:
    """All words of the reviews, in their order."""
    return [word for part in _split().values() for row in part for word in row["text"].split()]


def pick(words: Sequence[str], number: int, count: int) -> list[str]:
    """Words of the reviews that the number draws."""
    return random.Random(number).choices(words, k=count)


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
    from llmkit.base.progress import SILENT
    from llmkit.recipe import load
    from llmkit.training.prepare import read_rows

    recipe = load.load("sentiment", task_names=tasks.names(), task_options=tasks.options)
    task = tasks.load({"name": "classification"})
    parts = task.check(read_rows(recipe.data, task, SILENT), recipe.data, recipe.seed).corpus.splits
    rows = {
        name: [
            {"text": text, "label": label}
            for text, label in zip(part.column("text"), part.column("label"), strict=True)
        ]
        for name, part in parts.items()
    }
    order = np.random.default_rng(0).permutation(len(rows["train"]))
    return {**rows, "train": [rows["train"][number] for number in order]}


def _run(rng: random.Random, words: Sequence[str], count: int) -> Sequence[str]:
    start = rng.randrange(len(words) - count)
    return words[start : start + count]


def _damaged(rng: random.Random, text: Sequence[str]) -> str:
    """One word in five replaced by another of the same text."""
    return " ".join(rng.choice(text) if rng.random() < 0.2 else word for word in text)


def _write(path: Path, rows: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
