"""Synthetic data for every task that a tiny model learns in seconds, and the recipes to train on it."""

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


def _draw_filler(rng: random.Random, max_words: int = 12) -> list[str]:
    return rng.choices(NEUTRAL, k=rng.randint(2, max_words))


def _mix(rng: random.Random, *words: str) -> str:
    """Shuffle words among filler words."""
    text = [*_draw_filler(rng), *words]
    rng.shuffle(text)
    return " ".join(text)


def _classification(rng: random.Random) -> Row:
    label = rng.choice(["negative", "positive"])
    return {"text": _mix(rng, *rng.choices(GOOD if label == "positive" else BAD, k=2)), "label": label}


def _pair_classification(rng: random.Random) -> Row:
    """The label is yes if the second text has good words."""
    label = rng.choice(["no", "yes"])
    second = _mix(rng, *rng.choices(GOOD if label == "yes" else BAD, k=2))
    return {"text": _mix(rng), "text_pair": second, "label": label}


def _regression(rng: random.Random) -> Row:
    """The score is half the number of good words; the other words of four are bad."""
    good = rng.randint(0, 4)
    return {"text": _mix(rng, *rng.choices(GOOD, k=good), *rng.choices(BAD, k=4 - good)), "score": good / 2}


def _pair_regression(rng: random.Random) -> Row:
    row = _regression(rng)
    return {"text": _mix(rng), "text_pair": row["text"], "score": row["score"]}


def _multi_label(rng: random.Random) -> Row:
    kinds = {"good": GOOD, "bad": BAD, "number": list("0123456789")}
    labels = [name for name in kinds if rng.random() < 0.5]
    return {"text": _mix(rng, *(rng.choice(kinds[name]) for name in labels)), "labels": labels}


def _token_classification(rng: random.Random) -> Row:
    """Good and bad words are entities, and so is a digit from 0 to 4 followed by one from 5 to 9."""
    pieces = [[word] for word in _draw_filler(rng, 20)]
    pieces += [[word] for word in rng.choices([*GOOD, *BAD], k=2)] + [
        [rng.choice("01234"), rng.choice("56789")]
    ]
    rng.shuffle(pieces)
    tokens = [word for piece in pieces for word in piece]
    return {"tokens": tokens, "tags": [tag for piece in pieces for tag in _tag_words(piece)]}


def _tag_words(piece: list[str]) -> list[str]:
    if len(piece) == 2:
        return ["B-NUM", "I-NUM"]
    kind = "GOOD" if piece[0] in GOOD else "BAD" if piece[0] in BAD else None
    return [f"B-{kind}" if kind else "O"]


def _relation_extraction(rng: random.Random) -> Row:
    """The words between the entities decide the relation."""
    label = rng.choice(["Praise(e1,e2)", "Praise(e2,e1)", "Other"])
    words = {"Praise(e1,e2)": GOOD, "Praise(e2,e1)": BAD, "Other": ["with"]}[label]
    middle = " ".join([rng.choice(words)] * 2)
    return {"text": f"{_mix(rng)} <e1>actor</e1> {middle} <e2>film</e2> {_mix(rng)}", "label": label}


def _chat(rng: random.Random) -> Row:
    """The assistant says whether the film is good or bad; some users ask about a second film."""
    turns = []
    for _ in range(rng.choice([1, 1, 2])):
        kind = rng.choice([GOOD, BAD])
        question = " ".join([*rng.choices(NEUTRAL, k=rng.randint(1, 4)), *rng.choices(kind, k=2)])
        turns += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": f"very {kind[0]} film"},
        ]
    return {"messages": turns}


def _dpo(rng: random.Random) -> Row:
    """The answer that agrees with the prompt is chosen; some prompts hold an earlier exchange."""
    kind, other = rng.choice([(GOOD, BAD), (BAD, GOOD)])
    prompt = " ".join([*rng.choices(NEUTRAL, k=rng.randint(1, 4)), *rng.choices(kind, k=2)])
    if rng.random() < 0.3:
        prompt = f"Human: {rng.choice(GOOD)}\n\nAssistant: very fine\n\nHuman: {prompt}\n\nAssistant:"
    about = " ".join(rng.choices(NEUTRAL, k=rng.randint(1, 3)))
    return {"prompt": prompt, "chosen": f"very {kind[0]} {about}", "rejected": f"{about} was {other[0]}"}


def _code(rng: random.Random) -> Row:
    """The program is the number 1 for a good film, else 0; this tokenizer cannot restore a program of two words."""
    kind, number = rng.choice([(GOOD, "1"), (BAD, "0")])
    return {
        "prompt": _mix(rng, *rng.choices(kind, k=2)),
        "completion": number,
        "tests": [f"assert {number} < 2"],
    }


def _extractive_qa(rng: random.Random) -> Row:
    """The answer is the only run of digits; long contexts need two windows."""
    before, answer = " ".join(_draw_filler(rng, 40)), " ".join(rng.choices("0123456789", k=rng.randint(1, 2)))
    context = f"{before} {answer} {' '.join(_draw_filler(rng, 10))}"
    answers = {"text": [answer], "answer_start": [len(before) + 1]}
    return {"question": "is it " + rng.choice(NEUTRAL), "context": context, "answers": answers}


def _plain_text(rng: random.Random) -> Row:
    """Each word is repeated three to seven times, so that its neighbours predict it."""
    words = rng.choices([*GOOD, *NEUTRAL, *BAD], k=rng.randint(2, 4))
    return {"text": " ".join(word for word in words for _ in range(rng.randint(3, 7)))}


def _describe_film(kind: list[str]) -> str:
    return f"it was a very {kind[0]} film ."


def _summarization(rng: random.Random) -> Row:
    """The summary says whether the film is good or bad."""
    kind = rng.choice([GOOD, BAD])
    return {"document": _mix(rng, *rng.choices(kind, k=2)), "summary": _describe_film(kind)}


def _translation(rng: random.Random) -> Row:
    """The translation says the opposite."""
    kind, other = rng.choice([(GOOD, BAD), (BAD, GOOD)])
    return {"source": _mix(rng, *rng.choices(kind, k=2)), "target": _describe_film(other)}


SAMPLES: dict[str, Callable[[random.Random], Row]] = {
    "chat": _chat,
    "classification": _classification,
    "clm": _plain_text,
    "code": _code,
    "dpo": _dpo,
    "extractive_qa": _extractive_qa,
    "mlm": _plain_text,
    "multi_label": _multi_label,
    "pair_classification": _pair_classification,
    "pair_regression": _pair_regression,
    "regression": _regression,
    "relation_extraction": _relation_extraction,
    "summarization": _summarization,
    "token_classification": _token_classification,
    "translation": _translation,
}

# Options that the tiny models need besides the common settings.
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

# The columns that must differ between rows.
KEYS = ("text", "text_pair", "tokens", "context", "document", "source", "messages", "prompt")


def rows(task: str, count: int, seed: int = 0) -> list[Row]:
    """Draw `count` different rows of a task."""
    return list(islice(_draw_different(task, random.Random(f"{task} {seed}")), count))


def _draw_different(task: str, rng: random.Random) -> Iterator[Row]:
    seen: set[str] = set()
    while True:
        row = SAMPLES[task](rng)
        key = json.dumps({name: row.get(name) for name in KEYS})
        if key not in seen:
            seen.add(key)
            yield row


def write(path: Path, lines: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")


def write_recipe(task: str, folder: Path, model: Path, *, count: int = 200) -> Path:
    """Write `count` rows of a task and a recipe that trains `model` on them; return the recipe's path."""
    write(folder / f"{task}.jsonl", rows(task, count))
    path = folder / f"{task}.yaml"
    options = "".join(f", {name}: {value}" for name, value in OPTIONS.get(task, {}).items())
    model_options = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in MODEL.get(task, {}).items())
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
    """Add `data.columns` to a recipe, for files with other column names."""
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace("data:\n", f"data:\n  columns: {json.dumps(columns)}\n"), encoding="utf-8")
    return recipe


def predict_baselines(task: Any, examples: Any, split: str = "test") -> dict[str, Any]:
    """Return the predictions of the task's baselines that need only the examples."""
    inputs = BaselineInputs(examples, split, 1)
    return {
        name: baseline.predict(inputs)
        for name, baseline in task.spec.baselines.items()
        if baseline.needs == "examples" and baseline.predict
    }
