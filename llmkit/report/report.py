"""The content of a report as typed values: `Report` is about one run, `ComparisonReport` about two.

    Report.from_json(json.loads(path.read_text())).scores["accuracy"].value  ->  0.862

`to_json` returns what report.json holds, and `from_json` reads it. Names of fields are the keys of the JSON, with few
exceptions that say so. A part that a run does not have is empty, or None where the JSON lacks its key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Self

from llmkit.metrics import independent, paired
from llmkit.metrics.intervals import format_percent
from llmkit.metrics.score import Score
from llmkit.metrics.spread import Spread
from llmkit.metrics.tasks.calibration import Bin
from llmkit.report.wording import Wording

__all__ = [
    "BaselineComparison",
    "Calibration",
    "ClassScores",
    "ComparedRun",
    "ComparisonReport",
    "Confusion",
    "Curves",
    "Data",
    "Details",
    "Evaluation",
    "LengthBin",
    "Lengths",
    "MetricDifference",
    "Report",
    "RunComparison",
    "Sample",
    "Scatter",
    "Scores",
    "Slice",
    "Slices",
    "SplitCounts",
    "Step",
    "TrainingFigures",
]

Json = Mapping[str, Any]
PLAIN_KEYS = (  # of a report whose JSON values are those of the fields
    "llmkit",
    "run",
    "name",
    "task",
    "model",
    "architecture",
    "created",
    "headline",
    "verdict",
    "errors",
    "notes",
    "tuned",
    "environment",
    "recipe",
    "command",
    "weights_sha256",
    "kept_seed",
)
Scores = Mapping[str, Score]  # by metric


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class. The JSON holds them and `support` in one object."""

    scores: Scores
    support: int
    """Number of examples behind the recall."""

    @classmethod
    def from_json(cls, content: Json) -> Self:
        """Read the object of one class."""
        scores = {name: value for name, value in content.items() if name != "support"}
        return cls(_read_scores(scores), content["support"])

    def to_json(self) -> dict[str, Any]:
        """Return the object of one class."""
        return {**_to_json(self.scores), "support": self.support}


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix of C classes."""

    labels: Sequence[str]
    """Class names, (C,)."""
    counts: Sequence[Sequence[int]]
    """Examples by label and prediction, (C, C)."""
    intervals: Sequence[Sequence[Sequence[float]]] | None = None
    """Lower and upper end of each count's share of its row, (C, C, 2)."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return _without_none(_fields_to_json(self))


@dataclass(frozen=True)
class Calibration:
    """How well probabilities match accuracy, before and, where a temperature was fitted, after calibration."""

    ece: Score
    brier: Score
    bins: Sequence[Bin]
    temperature: float | None = None
    ece_calibrated: Score | None = None
    brier_calibrated: Score | None = None
    bins_calibrated: Sequence[Bin] | None = None

    @classmethod
    def from_json(cls, content: Json) -> Self:
        """Read the `calibration` of a report."""
        after = content.get("bins_calibrated")
        return cls(
            ece=Score(**content["ece"]),
            brier=Score(**content["brier"]),
            bins=[Bin(**each) for each in content["bins"]],
            temperature=content.get("temperature"),
            ece_calibrated=_read_score(content.get("ece_calibrated")),
            brier_calibrated=_read_score(content.get("brier_calibrated")),
            bins_calibrated=None if after is None else [Bin(**each) for each in after],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, without keys of calibration where no temperature was fitted."""
        return _without_none(_fields_to_json(self))

    @property
    def scores(self) -> dict[str, Score]:
        """The scores that there are, by name."""
        scores = {
            name: getattr(self, name) for name in ("ece", "brier", "ece_calibrated", "brier_calibrated")
        }
        return {name: score for name, score in scores.items() if score is not None}


@dataclass(frozen=True)
class Scatter:
    """References and predictions of a task that predicts numbers, (N,) each. The JSON calls the references `gold`."""

    references: Sequence[float]
    predicted: Sequence[float]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"gold": list(self.references), "predicted": list(self.predicted)}


@dataclass(frozen=True)
class Details:
    """What only some tasks report; None for what the task does not have. The JSON has these keys beside the scores."""

    per_class: Mapping[str, ClassScores] | None = None
    """Scores by class, label, relation or entity type."""
    confusion: Confusion | None = None
    calibration: Calibration | None = None
    scatter: Scatter | None = None
    thresholds: Mapping[str, float] | None = None
    """Decision thresholds by label, or that of `no answer`."""
    generation: Json | None = None
    """Settings with which plain transformers generates the same texts."""
    verdicts: Mapping[str, int] | None = None
    """Number of generated programs by outcome."""

    @classmethod
    def from_json(cls, content: Json) -> Self:
        """Read the details among the keys of a report, or those that a task returns with its scores."""
        per_class, confusion = content.get("per_class"), content.get("confusion")
        calibration, scatter = content.get("calibration"), content.get("scatter")
        return cls(
            per_class=None
            if per_class is None
            else {label: ClassScores.from_json(scores) for label, scores in per_class.items()},
            confusion=Confusion(**confusion) if confusion else None,
            calibration=Calibration.from_json(calibration) if calibration else None,
            scatter=Scatter(scatter["gold"], scatter["predicted"]) if scatter else None,
            thresholds=content.get("thresholds"),
            generation=content.get("generation"),
            verdicts=content.get("verdicts"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the keys that the task has."""
        return _without_none(_fields_to_json(self))


@dataclass(frozen=True)
class BaselineComparison:
    """The paired difference between the model and one baseline. The JSON calls the title `called`."""

    baseline: str
    """Key of the baseline, such as `tfidf`."""
    title: str
    """What a sentence calls the baseline, such as `TF-IDF with logistic regression`."""
    metric: str
    difference: paired.Difference
    sentence: str

    @classmethod
    def from_json(cls, content: Json) -> Self:
        """Read one of the `comparisons` of a report."""
        return cls(
            baseline=content["baseline"],
            title=content["called"],
            metric=content["metric"],
            difference=paired.Difference(**content["difference"]),
            sentence=content["sentence"],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"called" if name == "title" else name: value for name, value in _fields_to_json(self).items()}


@dataclass(frozen=True)
class Slice:
    """The score of the examples for which `grouping` is `value`, compared with all other examples.

    The fields are those of `llmkit.metrics.slices.Slice`, and the metric.
    """

    grouping: str
    value: str
    score: Score
    rest: Score
    difference: independent.Difference
    p_value: float | None
    p_holm: float | None
    metric: str


@dataclass(frozen=True)
class Slices:
    """Slices of the test set, worst first."""

    slices: Sequence[Slice]
    left_out: int
    """Number of slices that were too small."""
    confidence: float

    @classmethod
    def from_json(cls, content: Json) -> Self:
        """Read the `slices` of a report."""
        slices = [
            Slice(
                **{
                    **each,
                    "score": Score(**each["score"]),
                    "rest": Score(**each["rest"]),
                    "difference": independent.Difference(**each["difference"]),
                }
            )
            for each in content["slices"]
        ]
        return cls(slices, content["left_out"], content["confidence"])


@dataclass(frozen=True)
class Sample:
    """A text that a language model generated."""

    beginning: str
    """The prompt."""
    text: str
    temperature: float


@dataclass(frozen=True)
class SplitCounts:
    """The size of one split."""

    rows: int
    classes: Mapping[str, int] = field(default_factory=dict)
    """Number of examples (entities, ...) by class."""


@dataclass(frozen=True)
class Data:
    """What the run was trained and evaluated on. The JSON calls the splits `parts`."""

    splits: Mapping[str, SplitCounts] = field(default_factory=dict)
    fingerprint: str = ""
    sources: Mapping[str, str | Sequence[str] | None] = field(default_factory=dict)
    """Files by split; None for a split made from another."""

    @classmethod
    def from_json(cls, content: Json) -> Self:
        """Read the `data` of a report."""
        splits = {name: SplitCounts(**counts) for name, counts in content["parts"].items()}
        return cls(splits, content["fingerprint"], content["sources"])

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"parts" if name == "splits" else name: value for name, value in _fields_to_json(self).items()}


@dataclass(frozen=True)
class LengthBin:
    """Number of inputs of low to high tokens."""

    low: int
    high: int
    count: int


@dataclass(frozen=True)
class Lengths:
    """Lengths in tokens over all splits, truncation, and unknown tokens."""

    max_length: int
    bins: Sequence[LengthBin]
    mean: float
    longest: int
    """Longest example before truncation; 0 where texts are split into windows and never too long."""
    cut_examples: int
    """Number of truncated examples."""
    cut_tokens_share: float
    """Share of tokens lost to truncation, in [0, 1]."""
    unknown_tokens_share: float
    """Share of tokens that are unknown to the tokenizer, in [0, 1]."""

    @classmethod
    def from_json(cls, content: Json) -> Self:
        """Read the `lengths` of a report."""
        return cls(**{**content, "bins": [LengthBin(**each) for each in content["bins"]]})


@dataclass(frozen=True)
class Step:
    """Log line of one optimizer step."""

    step: int
    loss: float
    learning_rate: float
    grad_norm: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of the validation set after a step. The JSON holds them and `step` in one object."""

    step: int
    scores: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"step": self.step, **self.scores}


@dataclass(frozen=True)
class Curves:
    """The course of training."""

    steps: Sequence[Step] = ()
    evaluations: Sequence[Evaluation] = ()
    best_step: int | None = None
    """The step whose weights were kept; None where nothing was validated."""

    @classmethod
    def from_json(cls, content: Json) -> Self:
        """Read the `curves` of a report."""
        evaluations = [
            Evaluation(line["step"], {name: value for name, value in line.items() if name != "step"})
            for line in content["evaluations"]
        ]
        return cls([Step(**line) for line in content["steps"]], evaluations, content["best_step"])


@dataclass(frozen=True)
class TrainingFigures:
    """What training took."""

    seconds: float
    evaluation_seconds: float
    steps: int
    examples_per_second: float
    tokens_per_second: float
    padding_efficiency: float
    """Share of tokens that are not padding."""
    peak_memory_bytes: int
    parameters: int
    trainable_parameters: int
    precision: str
    world_size: int


@dataclass(frozen=True)
class Report:
    """The content of a run's report. The JSON calls the split `part`, and holds the details beside the scores."""

    llmkit: str = ""
    """Version of llmkit."""
    run: str = ""
    """Run folder."""
    name: str = ""
    """Name of the recipe."""
    task: str = ""
    model: str = ""
    """Base model."""
    architecture: str | None = None
    """`model_type` of the base model's config.json."""
    created: str = ""
    """Time in UTC, ISO 8601."""
    split: str = "test"
    """The split that was evaluated."""
    scores: Scores = field(default_factory=dict)
    headline: Sequence[str] = ()
    """Metrics to show first."""
    details: Details = field(default_factory=Details)
    baselines: Mapping[str, Scores] = field(default_factory=dict)
    comparisons: Sequence[BaselineComparison] = ()
    verdict: Sequence[str] = ()
    """Sentences on what the scores show."""
    slices: Slices | None = None
    """None where the scores do not belong to single examples. The JSON is {} then."""
    errors: Sequence[Json] = ()
    """The most instructive wrong predictions, as records."""
    samples: Sequence[Sample] = ()
    notes: Sequence[str] = ()
    tuned: Json = field(default_factory=dict)
    """Settings that the task fitted on the validation set or took from the base model."""
    data: Data = field(default_factory=Data)
    lengths: Lengths | None = None
    curves: Curves = field(default_factory=Curves)
    train: TrainingFigures | None = None
    environment: Json = field(default_factory=dict)
    """Versions and hardware."""
    recipe: str = ""
    """The resolved recipe, YAML."""
    command: str = ""
    """The command that repeats the run."""
    weights_sha256: str = ""
    seeds: Mapping[str, Scores] | None = None
    """Scores by seed; None for a run with one seed."""
    spread: Mapping[str, Spread] | None = None
    """Spread over the seeds by metric; None for a run with one seed."""
    kept_seed: int | None = None
    """The seed whose model was kept; None for a run with one seed."""
    wording: Wording = field(default_factory=Wording)
    """The words for the task. Not in the JSON."""

    @classmethod
    def from_json(cls, content: Json, wording: Wording | None = None) -> Self:
        """Read report.json of a finished run.

        Args:
            content: The JSON object.
            wording: The words for the task; needed only to write the report again.
        """
        seeds, spread = content.get("seeds"), content.get("spread")
        return cls(
            **{key: content[key] for key in PLAIN_KEYS if key in content},
            split=content["part"],
            scores=_read_scores(content["scores"]),
            details=Details.from_json(content),
            baselines={name: _read_scores(scores) for name, scores in content["baselines"].items()},
            comparisons=[BaselineComparison.from_json(each) for each in content["comparisons"]],
            slices=Slices.from_json(content["slices"]) if content["slices"] else None,
            samples=[Sample(**each) for each in content["samples"]],
            data=Data.from_json(content["data"]),
            lengths=Lengths.from_json(content["lengths"]),
            curves=Curves.from_json(content["curves"]),
            train=TrainingFigures(**content["train"]),
            seeds=None if seeds is None else {seed: _read_scores(scores) for seed, scores in seeds.items()},
            spread=None if spread is None else {name: Spread(**each) for name, each in spread.items()},
            wording=wording or Wording(),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what report.json holds."""
        content: dict[str, Any] = {}
        for name, value in _fields_to_json(self).items():
            if name == "wording":
                continue
            if name == "details":
                content |= value
            elif name == "split":
                content["part"] = value
            elif name == "slices":
                content["slices"] = value or {}
            elif value is not None or name not in ("seeds", "spread", "kept_seed"):
                content[name] = value
        return content

    @property
    def headline_scores(self) -> dict[str, Score]:
        """The scores to show first: those of the headline, or else the first three."""
        names = [name for name in self.headline if name in self.scores] or list(self.scores)[:3]
        return {name: self.scores[name] for name in names}

    @property
    def interval_name(self) -> str:
        """What the columns of intervals are called, such as `95% CI`."""
        levels = [item.difference.confidence for item in self.comparisons]
        levels += [self.slices.confidence] if self.slices else []
        return f"{format_percent(levels[0])} CI" if levels else "CI"

    @property
    def seed(self) -> int | None:
        """The seed in the recipe."""
        line = re.search(r"^seed: *(\d+)", self.recipe, re.MULTILINE)
        return int(line[1]) if line else None


@dataclass(frozen=True)
class MetricDifference:
    """The paired difference between two runs in one metric. The JSON holds all in one object."""

    difference: paired.Difference
    p_holm: float
    """The p-value, adjusted for all metrics that are compared."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {**_fields_to_json(self.difference), "p_holm": self.p_holm}


@dataclass(frozen=True)
class RunComparison:
    """Two runs compared on the same examples: second minus first."""

    first: str
    """Run folder."""
    second: str
    """Run folder."""
    n: int
    """Number of examples that both runs predicted."""
    only_in_first: int
    only_in_second: int
    differences: Mapping[str, MetricDifference]
    """By metric."""
    mcnemar_p: float | None
    """p-value of McNemar's test; None where a prediction is not simply right or wrong."""
    examples_needed: int | None
    """Number of examples that would show a difference of this size; None where it is not known."""
    verdict: Sequence[str]
    """One sentence per metric."""

    def to_json(self) -> dict[str, Any]:
        """Return what `compare` returns and prints with --json."""
        return _fields_to_json(self)


@dataclass(frozen=True)
class ComparedRun:
    """What a comparison shows of one of its runs."""

    run: str
    """Run folder."""
    scores: Scores
    curves: Curves
    train: TrainingFigures | None
    samples: Sequence[Sample]


@dataclass(frozen=True)
class ComparisonReport:
    """The content of a report on two runs. The JSON holds the comparison's keys beside its own."""

    name: str
    task: str
    comparison: RunComparison
    runs: Sequence[ComparedRun]
    """The first and the second run. The JSON calls them `compared`."""

    @property
    def verdict(self) -> Sequence[str]:
        """The sentences of the comparison, each once."""
        return list(dict.fromkeys(self.comparison.verdict))

    @property
    def interval_name(self) -> str:
        """What the columns of intervals are called, such as `95% CI`."""
        levels = {item.difference.confidence for item in self.comparison.differences.values()}
        return f"{format_percent(levels.pop())} CI" if len(levels) == 1 else "CI"

    def to_json(self) -> dict[str, Any]:
        """Return what report.json holds."""
        content = {
            "name": self.name,
            "task": self.task,
            "verdict": self.verdict,
            "compared": _to_json(self.runs),
        }
        return {**self.comparison.to_json(), **content}


def _read_scores(content: Json) -> dict[str, Score]:
    return {name: Score(**score) for name, score in content.items()}


def _read_score(content: Json | None) -> Score | None:
    return None if content is None else Score(**content)


def _fields_to_json(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as JSON values by name, in order."""
    return {each.name: _to_json(getattr(value, each.name)) for each in fields(value)}


def _to_json(value: Any) -> Any:
    """Return dataclasses as objects, by their own `to_json` where they have one, and sequences as lists."""
    if is_dataclass(value):
        return value.to_json() if hasattr(value, "to_json") else _fields_to_json(value)
    if isinstance(value, Mapping):
        return {key: _to_json(each) for key, each in value.items()}
    return [_to_json(each) for each in value] if isinstance(value, list | tuple) else value


def _without_none(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if value is not None}
