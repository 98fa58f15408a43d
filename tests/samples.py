"""Small made-up data for every task, learnable by the tiny BERT, and a recipe that does so in some seconds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from llmkit.tasks.protocol import BaselineInputs

GOOD = ["good", "great", "fine", "lovely", "superb", "charming", "bright", "warm", "funny", "fresh"]
BAD = ["bad", "awful", "dull", "dreary", "poor", "boring", "dark", "cold", "sad", "stale"]
NEUTRAL = [
    *("the", "a", "film", "story", "plot", "actor", "scene", "music", "it", "was", "is", "and"),
    *("of", "with", "very", "quite", "rather", "this", "that"),
]
Row = dict[str, Any]


def _filler(rng: random.Random, most: int = 12) -> list[str]:
    return rng.choices(NEUTRAL, k=rng.randint(2, most))


def _mixed(rng: random.Random, *words: str) -> str:
    text = [*_filler(rng), *words]
    rng.shuffle(text)
    return " ".join(text)


def _classification(rng: random.Random) -> Row:
    label = rng.choice(["negative", "positive"])
    return {"text": _mixed(rng, *rng.choices(GOOD if label == "positive" else BAD, k=2)), "label": label}


def _pair_classification(rng: random.Random) -> Row:
    """Whether the second text has a good word."""
    label = rng.choice(["no", "yes"])
    second = _mixed(rng, *rng.choices(GOOD if label == "yes" else BAD, k=2))
    return {"text": _mixed(rng), "text_pair": second, "label": label}


def _regression(rng: random.Random) -> Row:
    """Good words less bad ones."""
    good = rng.randint(0, 4)
    return {"text": _mixed(rng, *rng.choices(GOOD, k=good), *rng.choices(BAD, k=4 - good)), "score": good / 2}


def _pair_regression(rng: random.Random) -> Row:
    row = _regression(rng)
    return {"text": _mixed(rng), "text_pair": row["text"], "score": row["score"]}


def _multi_label(rng: random.Random) -> Row:
    kinds = {"good": GOOD, "bad": BAD, "number": list("0123456789")}
    labels = [name for name in kinds if rng.random() < 0.5]
    return {"text": _mixed(rng, *(rng.choice(kinds[name]) for name in labels)), "labels": labels}


def _token_classification(rng: random.Random) -> Row:
    """Good and bad words are entities, a small digit with a large one behind it is one."""
    pieces = [[word] for word in _filler(rng, 20)]
    pieces += [[word] for word in rng.choices([*GOOD, *BAD], k=2)] + [
        [rng.choice("01234"), rng.choice("56789")]
    ]
    rng.shuffle(pieces)
    tokens = [word for piece in pieces for word in piece]
    return {"tokens": tokens, "tags": [tag for piece in pieces for tag in _tags(piece)]}


def _tags(piece: list[str]) -> list[str]:
    if len(piece) == 2:
        return ["B-NUM", "I-NUM"]
    kind = "GOOD" if piece[0] in GOOD else "BAD" if piece[0] in BAD else None
    return [f"B-{kind}" if kind else "O"]


def _relation_extraction(rng: random.Random) -> Row:
    """The relation is told by the word between the entities."""
    label = rng.choice(["Praise(e1,e2)", "Praise(e2,e1)", "Other"])
    words = {"Praise(e1,e2)": GOOD, "Praise(e2,e1)": BAD, "Other": ["with"]}[label]
    middle = " ".join([rng.choice(words)] * 2)
    return {"text": f"{_mixed(rng)} <e1>actor</e1> {middle} <e2>film</e2> {_mixed(rng)}", "label": label}


def _chat(rng: random.Random) -> Row:
    """Whether the film was good or bad; some ask about a second one."""
    turns = []
    for _ in range(rng.choice([1, 1, 2])):
        kind = rng.choice([GOOD, BAD])
        asked = " ".join([*rng.choices(NEUTRAL, k=rng.randint(1, 4)), *rng.choices(kind, k=2)])
        turns += [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": f"very {kind[0]} film"},
        ]
    return {"messages": turns}


def _dpo(rng: random.Random) -> Row:
    """The answer with the word that was asked for is preferred; some ask a second time."""
    kind, other = rng.choice([(GOOD, BAD), (BAD, GOOD)])
    asked = " ".join([*rng.choices(NEUTRAL, k=rng.randint(1, 4)), *rng.choices(kind, k=2)])
    if rng.random() < 0.3:
        asked = f"Human: {rng.choice(GOOD)}\n\nAssistant: very fine\n\nHuman: {asked}\n\nAssistant:"
    about = " ".join(rng.choices(NEUTRAL, k=rng.randint(1, 3)))
    return {"prompt": asked, "chosen": f"very {kind[0]} {about}", "rejected": f"{about} was {other[0]}"}


def _code(rng: random.Random) -> Row:
    """The program is a number: whether the film was good. A program of two words is none to this tokenizer."""
    kind, number = rng.choice([(GOOD, "1"), (BAD, "0")])
    return {
        "prompt": _mixed(rng, *rng.choices(kind, k=2)),
        "completion": number,
        "tests": [f"assert {number} < 2"],
    }


def _extractive_qa(rng: random.Random) -> Row:
    """The answer is the only run of digits; longer contexts need two windows."""
    before, answer = " ".join(_filler(rng, 40)), " ".join(rng.choices("0123456789", k=rng.randint(1, 2)))
    context = f"{before} {answer} {' '.join(_filler(rng, 10))}"
    answers = {"text": [answer], "answer_start": [len(before) + 1]}
    return {"question": "is it " + rng.choice(NEUTRAL), "context": context, "answers": answers}


def _running_text(rng: random.Random) -> Row:
    """Each word is said some times over, so that its neighbours tell it."""
    words = rng.choices([*GOOD, *NEUTRAL, *BAD], k=rng.randint(2, 4))
    return {"text": " ".join(word for word in words for _ in range(rng.randint(3, 7)))}


def _said(kind: list[str]) -> str:
    return f"it was a very {kind[0]} film ."


def _summarization(rng: random.Random) -> Row:
    """Whether the film was good or bad."""
    kind = rng.choice([GOOD, BAD])
    return {"document": _mixed(rng, *rng.choices(kind, k=2)), "summary": _said(kind)}


def _translation(rng: random.Random) -> Row:
    """The other language says the contrary."""
    kind, other = rng.choice([(GOOD, BAD), (BAD, GOOD)])
    return {"source": _mixed(rng, *rng.choices(kind, k=2)), "target": _said(other)}


SAMPLES: dict[str, Callable[[random.Random], Row]] = {
    "chat": _chat,
    "classification": _classification,
    "clm": _running_text,
    "code": _code,
    "dpo": _dpo,
    "extractive_qa": _extractive_qa,
    "mlm": _running_text,
    "multi_label": _multi_label,
    "pair_classification": _pair_classification,
    "pair_regression": _pair_regression,
    "regression": _regression,
    "relation_extraction": _relation_extraction,
    "summarization": _summarization,
    "token_classification": _token_classification,
    "translation": _translation,
}

# What the tiny models need beside the common settings.
OPTIONS = {
    "chat": {"max_new_tokens": 12},
    "code": {"max_new_tokens": 6},
    "dpo": {"max_new_tokens": 12},
    "extractive_qa": {"stride": 8},
    "mlm": {"rate": 0.3},
    "summarization": {"max_new_tokens": 12},
    "token_classification": {"stride": 4},
    "translation": {"max_new_tokens": 12},
}
MODEL = {"dpo": {"lora": {"rank": 4, "merge": False}}}
MAX_LENGTH = {"extractive_qa": 32, "token_classification": 20}
EPOCHS = {"clm": 12, "mlm": 16, "multi_label": 12, "relation_extraction": 9}


KEYS = (
    *("text", "text_pair", "tokens", "context", "document", "source", "messages", "prompt"),
)  # by which rows differ


def rows(task: str, count: int, seed: int = 0) -> list[Row]:
    """So many different rows of a task."""
    return list(islice(_different(task, random.Random(f"{task} {seed}")), count))


def _different(task: str, rng: random.Random) -> Iterator[Row]:
    seen: set[str] = set()
    while True:
        row = SAMPLES[task](rng)
        key = json.dumps({name: row.get(name) for name in KEYS})
        if key not in seen:
            seen.add(key)
            yield row


def write(path: Path, found: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")


def write_recipe(task: str, folder: Path, model: Path, *, count: int = 200) -> Path:
    """A recipe with its data in a folder."""
    write(folder / f"{task}.jsonl", rows(task, count))
    path = folder / f"{task}.yaml"
    options = "".join(f", {name}: {value}" for name, value in OPTIONS.get(task, {}).items())
    model_options = "".join(f"  {name}: {json.dumps(own)}\n" for name, own in MODEL.get(task, {}).items())
    path.write_text(
        f"""task: {{name: {task}{options}}}
model:
  name: {model}
{model_options}data:
  train: {folder / f"{task}.jsonl"}
train:
  epochs: {EPOCHS.get(task, 6)}
  batch_size: 8
  learning_rate: 3e-3
  max_length: {MAX_LENGTH.get(task, 48)}
  truncation: true
evaluate:
  resamples: 200
""",
        encoding="utf-8",
    )
    return path


def with_columns(recipe: Path, columns: dict[str, str]) -> Path:
    """The recipe for files that name their columns so."""
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace("data:\n", f"data:\n  columns: {json.dumps(columns)}\n"), encoding="utf-8")
    return recipe


def predict_baselines(task: Any, examples: Any, split: str = "test") -> dict[str, Any]:
    """Predictions of the task's baselines that need the examples alone."""
    inputs = BaselineInputs(examples, split, 1)
    return {
        name: baseline.predict(inputs)
        for name, baseline in task.spec.baselines.items()
        if baseline.needs == "examples" and baseline.predict
    }
