"""A complete report of a classification run, with texts that break careless pages."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from llmkit.report.report import Report
from tests.report.made_reports import get_wording

HOSTILE = "<script>alert('x')</script>"
RTL = "שירות גרוע מאוד"


def _score(
    value: float, half: float | None = 0.02, n: int = 1007, method: str = "Wilson 95%"
) -> dict[str, Any]:
    low, high = (None, None) if half is None else (value - half, value + half)
    return {"value": value, "low": low, "high": high, "n": n, "method": method}


def _class(value: float, support: int) -> dict[str, Any]:
    return {name: _score(value, 0.03, support) for name in ("precision", "recall", "f1")} | {
        "support": support
    }


def _difference(value: float, half: float, p_value: float) -> dict[str, Any]:
    numbers = {"value": value, "low": value - half, "high": value + half, "n": 1007, "p_value": p_value}
    settings = {"higher_is_better": True, "point": 0.01, "examples_needed": None}
    return {**numbers, "metric": "accuracy", "confidence": 0.95, "method": "paired bootstrap", **settings}


def _slice_difference(value: float, half: float) -> dict[str, Any]:
    numbers = {"value": value, "low": value - half, "high": value + half}
    return {**numbers, "first_n": 500, "second_n": 507, "method": "MOVER of independent samples"}


@pytest.fixture
def content() -> dict[str, Any]:
    """The content of report.json with every part filled in."""
    return _content()


@pytest.fixture
def report() -> Report:
    """The same content as typed values."""
    return Report.from_json(_content(), get_wording("classification"))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with this report, which tests must not change."""
    from llmkit.report import page

    path = tmp_path_factory.mktemp("report")
    page.write(path, Report.from_json(_content(), get_wording("classification")))
    return path


def _content() -> dict[str, Any]:
    steps = [
        {
            "step": i,
            "loss": 0.7 * math.exp(-i / 160) + 0.05 * math.sin(7 * i),
            "learning_rate": 2e-5,
            "grad_norm": 3.2,
        }
        for i in range(1, 505)
    ]
    return {
        "llmkit": "0.1.0",
        "run": "runs/sentiment/2026-11-22-a1b2c3",
        "name": "sentiment",
        "task": "classification",
        "model": "index:all-MiniLM-L6-v2",
        "architecture": "bert",
        "created": "2026-11-22T13:00:00+00:00",
        "part": "test",
        "verdict": [
            "The model is better than TF-IDF with logistic regression by 8.1 points of accuracy (95% CI 5.5 to 10.7).",
            "The model is better than always predicting the most frequent class by 35.9 points of accuracy "
            "(95% CI 32.9 to 38.9).",
        ],
        "notes": [
            "index:movie-reviews: 10,605 snippets read, 533 near-neutral left out",
            "3 duplicates dropped from train",
        ],
        "samples": [],
        "tuned": {"temperature": 1.42},
        "scores": {
            "accuracy": _score(0.8623),
            "precision": _score(0.8601),
            "recall": _score(0.8577),
            "f1": _score(0.8588, method="bootstrap 95%, 2000 draws"),
            "f1_micro": _score(0.8623),
            "mcc": _score(0.7214, 0.04, method="bootstrap 95%, 2000 draws"),
            "loss": _score(0.3519, None, method="mean cross-entropy in nats"),
        },
        "headline": ["accuracy", "f1", "mcc"],
        "per_class": {"negative": _class(0.85, 500), "积极": _class(0.87, 507)},
        "confusion": {"labels": ["negative", "积极"], "counts": [[430, 70], [68, 439]]},
        "baselines": {
            "majority": {"accuracy": _score(0.503), "f1": _score(0.335, 0.01), "mcc": _score(0.0, None)},
            "tfidf": {
                "accuracy": _score(0.781),
                "f1": _score(0.78),
                "mcc": _score(0.56, 0.05),
                "recall": _score(0.779),
            },
        },
        "comparisons": [
            {
                "baseline": "tfidf",
                "metric": "accuracy",
                "called": "TF-IDF with logistic regression",
                "difference": _difference(0.081, 0.026, 0.00001),
                "sentence": "The model is better than TF-IDF with logistic regression by 8.1 points.",
            },
            {
                "baseline": "majority",
                "metric": "accuracy",
                "called": "always predicting the most frequent class",
                "difference": _difference(0.359, 0.03, 0.0005),
                "sentence": "The model is better than always predicting the most frequent class by 35.9 points.",
            },
        ],
        "calibration": {
            "ece": _score(0.071, 0.01),
            "brier": _score(0.11, 0.01),
            "bins": [
                {"low": 0.5, "high": 0.6, "confidence": 0.55, "accuracy": 0.52, "count": 60},
                {"low": 0.6, "high": 0.7, "confidence": 0.65, "accuracy": 0.61, "count": 85},
                {"low": 0.7, "high": 0.8, "confidence": 0.75, "accuracy": 0.7, "count": 0},
                {"low": 0.8, "high": 0.9, "confidence": 0.86, "accuracy": 0.78, "count": 192},
                {"low": 0.9, "high": 1.0, "confidence": 0.97, "accuracy": 0.93, "count": 670},
            ],
            "temperature": 1.42,
            "ece_calibrated": _score(0.02, 0.008),
            "brier_calibrated": _score(0.10, 0.01),
            "bins_calibrated": [
                {"low": 0.5, "high": 0.6, "confidence": 0.56, "accuracy": 0.55, "count": 160},
                {"low": 0.9, "high": 1.0, "confidence": 0.94, "accuracy": 0.93, "count": 847},
            ],
        },
        "slices": {
            "slices": [
                {
                    "grouping": "length",
                    "value": "1 to 40",
                    "metric": "accuracy",
                    "score": _score(0.70, 0.05),
                    "rest": _score(0.89, 0.02),
                    "difference": _slice_difference(-0.19, 0.06),
                    "p_value": 0.0001,
                    "p_holm": 0.0003,
                },
                {
                    "grouping": "label",
                    "value": "积极",
                    "metric": "accuracy",
                    "score": _score(0.88, 0.03),
                    "rest": _score(0.86, 0.03),
                    "difference": _slice_difference(0.02, 0.05),
                    "p_value": 0.6,
                    "p_holm": 1.0,
                },
            ],
            "left_out": 2,
            "confidence": 0.95,
        },
        "errors": [
            {
                "text": f"{HOSTILE} an |odd| `film` & *more* 🎬",
                "label": "negative",
                "prediction": "积极",
                "probability": 0.991,
                "place": "reviews.jsonl:12",
            },
            {
                "text": "这部电影的前半部分很好看, 后半部分却让人失望。",
                "label": "negative",
                "prediction": "积极",
                "probability": 0.97,
                "place": "reviews.jsonl:803",
            },
            {
                "text": RTL,
                "label": "negative",
                "prediction": "积极",
                "probability": 0.95,
                "place": "reviews.jsonl:99",
            },
            {
                "text": "A film so earnest that one wants to like it more than one does. " * 6,
                "label": "negative",
                "prediction": "积极",
                "probability": 0.94,
                "place": "reviews.jsonl:7",
            },
        ],
        "data": {
            "parts": {
                "train": {"rows": 8056, "classes": {"negative": 4000, "积极": 4056}},
                "validation": {"rows": 1009, "classes": {"negative": 502, "积极": 507}},
                "test": {"rows": 1007, "classes": {"negative": 500, "积极": 507}},
            },
            "fingerprint": "sha256:9f2c4e",
            "sources": {
                "train": "index:movie-reviews",
                "validation": "10 % of train",
                "test": ["a.jsonl", "b.jsonl"],
            },
        },
        "lengths": {
            "max_length": 128,
            "bins": [
                {"low": 8 * i, "high": 8 * i + 8, "count": round(2500 * math.exp(-((i - 3) ** 2) / 6))}
                for i in range(15)
            ],
            "mean": 27.1,
            "longest": 113,
            "cut_examples": 0,
            "cut_tokens_share": 0.0,
            "unknown_tokens_share": 0.08,
        },
        "curves": {
            "steps": steps,
            "evaluations": [
                {"step": 126, "loss": 0.45, "accuracy": 0.81, "f1": 0.80, "mcc": 0.62},
                {"step": 252, "loss": 0.38, "accuracy": 0.842, "f1": 0.84, "mcc": 0.68},
                {"step": 378, "loss": 0.352, "accuracy": 0.861, "f1": 0.86, "mcc": 0.72},
                {"step": 504, "loss": 0.36, "accuracy": 0.86, "f1": 0.859, "mcc": 0.719},
            ],
            "best_step": 378,
        },
        "train": {
            "seconds": 290.1,
            "evaluation_seconds": 12.0,
            "steps": 504,
            "examples_per_second": 55.2,
            "tokens_per_second": 1500.0,
            "padding_efficiency": 0.96,
            "peak_memory_bytes": 1_300_000_000,
            "parameters": 22_700_000,
            "trainable_parameters": 22_700_000,
            "precision": "fp32",
            "world_size": 1,
        },
        "environment": {
            "python": "3.11.7",
            "torch": "2.13.0+cpu",
            "transformers": "5.23.0",
            "platform": "Linux x86_64",
            "cpu": "a processor",
            "threads": 2,
            "device": "cpu",
            "world_size": 1,
            "gpu": None,
        },
        "recipe": "task:\n  name: classification\ntrain:\n  epochs: 2\n\n\n  # a gap\nseed: 7\n",
        "command": "llmkit finetune sentiment train.epochs=2",
        "weights_sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    }
