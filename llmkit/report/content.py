"""From the content of a report (plain JSON) to its sections; what the content lacks, the report leaves out.

    sections({"scores": {"accuracy": {...}}, "baselines": {}})  ->  [Section("scores", ...)]

Every function below reads one part of the content and returns one section, or None when that part is empty;
how the result came about (data, speed, recipe) is in `provenance`. `report.json` is the content itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from llmkit.report import provenance
from llmkit.report.format import (
    MISSING,
    better,
    count,
    interval,
    kind,
    number,
    p_value,
    percent,
    phrase,
    shorten,
    words,
)
from llmkit.report.tables import (
    Axis,
    Cell,
    Content,
    Section,
    Table,
    count_cell,
    number_cell,
    score_cell,
    score_cells,
)

__all__ = ["FEW_CLASSES", "MOST_CLASSES", "facts", "headline", "sections"]

OWN = "This model"
FEW_CLASSES = 8  # up to which the page has room for a confusion matrix with shares; more are a picture
MOST_CLASSES = 20  # a confusion matrix beyond this is wallpaper; the most confused pairs say more
FOLDED = 30  # rows of the table of classes from which it is shown on demand
MOST_EVALUATIONS = 30  # rows of the table
LONGEST_TEXT = 600  # characters of an example shown
LONG = 24  # characters of a label from which its column is made wide
RANGES = 5  # of the scores in the data, in the table beside the scatter plot

COLUMNS = {  # of the table of mistakes, in reading order; each report shows those that its task has
    "text": "Text",
    "text_pair": "Second text",
    "question": "Question",
    "score": "Score in the data",
    "label": "Label",
    "prediction": "Prediction",
    "probability": "Probability",
    "verdict": "Outcome",
    "place": "Place",
}
RENAMED = {
    "token_classification": {"label": "Entities in the data", "prediction": "Predicted entities"},
    "extractive_qa": {"label": "Right answers", "prediction": "Answer"},
    "chat": {"label": "Answer in the data", "prediction": "Generated answer"},
    "code": {"label": "Solution in the data", "prediction": "Generated program"},
    "clm": {"probability": "Mean probability of a token"},
    "mlm": {"probability": "Mean probability of a hidden token"},
    "summarization": {"label": "Summary in the data", "prediction": "Generated summary"},
    "translation": {"label": "Translation in the data", "prediction": "Generated translation"},
}
CONFIDENT = ("Most confident errors", "Wrong predictions, the most confident first")
FAR = ("Largest errors", "Predictions farthest from the score in the data, the farthest first")
FAR_OFF = ("Farthest from the data", "Generated texts that have the least in common with those in the data")
HARD = ("Hardest texts", "Texts whose tokens were the least expected, the hardest first")
MISTAKES = {  # task: (title of the section, caption of its table)
    "regression": FAR,
    "pair_regression": FAR,
    "token_classification": ("Worst sentences", "Sentences with the most wrong words, the worst first"),
    "clm": HARD,
    "mlm": HARD,
    "extractive_qa": ("Wrong answers", "Answers that have nothing of a right one, the most confident first"),
    "chat": FAR_OFF,
    "code": FAR_OFF,
    "summarization": FAR_OFF,
    "translation": FAR_OFF,
}


def sections(content: Content) -> list[Section]:
    """The chapters that this content can fill, in reading order."""
    makers = [
        _scores,
        _verdicts,
        _baselines,
        _curves,
        _scatter,
        _thresholds,
        _per_class,
        _confusion,
        _slices,
        _calibration,
        _errors,
        provenance.lengths,
        provenance.notes,
        provenance.data,
        provenance.speed,
        provenance.environment,
        provenance.recipe,
        provenance.repeat,
    ]
    return [section for maker in makers if (section := maker(content)) is not None]


def headline(content: Content) -> dict[str, Content]:
    """The scores shown first: those named, or the first three."""
    scores = content.get("scores") or {}
    named = [name for name in content.get("headline") or [] if name in scores]
    return {name: scores[name] for name in named or list(scores)[:3]}


def facts(content: Content) -> dict[str, str]:
    """What the page is about, in a line below its title."""
    named = {name: content.get(name) for name in ("task", "model", "run", "created")}
    named["created"] = (named["created"] or "").replace("T", " ").replace("Z", " UTC")
    return {words(name): str(value) for name, value in named.items() if value}


def _scores(content: Content) -> Section | None:
    scores = content.get("scores") or {}
    rows = [
        (
            _name(name),
            *score_cells(score),
            count_cell(score.get("n")),
            Cell(score.get("method") or "", wide=True),
        )
        for name, score in scores.items()
    ]
    caption = f"All scores on the {content.get('part') or 'test'} rows"
    table = Table(caption, ("Score", "Value", "Interval", "n", "Method"), rows)
    return Section("scores", "Scores", tables=[table]) if rows else None


def _verdicts(content: Content) -> Section | None:
    """What became of the programs that were run."""
    verdicts = content.get("verdicts") or {}
    total = sum(verdicts.values())
    rows = [
        (Cell(name), count_cell(number), Cell(percent(number / total), numeric=True))
        for name, number in verdicts.items()
    ]
    table = Table("What became of the programs", ("Outcome", "Programs", "Share"), rows)
    return Section("verdicts", "Programs", tables=[table]) if rows else None


def _name(name: str) -> Cell:
    """Of a score; most are better the higher, the others say so."""
    return Cell(words(name), note=better(name))


def _baselines(content: Content) -> Section | None:
    baselines, comparisons = content.get("baselines") or {}, content.get("comparisons") or []
    if not baselines and not comparisons:
        return None
    systems = {OWN: content.get("scores") or {}} | {words(name): own for name, own in baselines.items()}
    shared = [name for name in systems[OWN] if any(name in own for own in baselines.values())]
    first = [name for name in headline(content) if name in shared]
    if first:
        systems = dict(_best_first(systems, first[0]))
    order = list(systems)
    comparisons = sorted(
        comparisons,
        key=lambda item: order.index(name) if (name := words(item["baseline"])) in order else len(order),
    )
    tables = [_against(name, systems) for name in first]
    tables += _others([name for name in shared if name not in first], systems)
    tables += _differences(comparisons)
    lines = [item["sentence"] for item in comparisons if item.get("sentence")]
    return Section("baselines", "Against baselines", lines, tables=tables)


def _best_first(systems: Mapping[str, Content], name: str) -> list[tuple[str, Content]]:
    """The ladder: sorted by this score, those without it last."""

    def place(item: tuple[str, Content]) -> float:
        value = float(item[1].get(name, {"value": math.nan})["value"])
        return math.inf if math.isnan(value) else value if better(name) else -value

    return sorted(systems.items(), key=place)


def _against(name: str, systems: Mapping[str, Content]) -> Table:
    """The model and the baselines on one axis, so that one sees whether the intervals overlap."""
    scores = {system: own[name] for system, own in systems.items() if name in own}
    axis = Axis.over(scores.values())
    rows = [
        (Cell(system), *score_cells(score), Cell("", bar=axis.bar(score, own=system == OWN)))
        for system, score in scores.items()
    ]
    caption = f"{words(name)} ({better(name)})" if better(name) else words(name)
    return Table(caption, ("System", "Value", "Interval"), rows, axis)


def _others(names: Sequence[str], systems: Mapping[str, Content]) -> list[Table]:
    """The scores that are not shown first, all in one table."""
    rows = [(_name(name), *(score_cell(own.get(name)) for own in systems.values())) for name in names]
    return [Table("Other scores", ("Score", *systems), rows, folded=True)] if rows else []


def _differences(comparisons: Sequence[Content]) -> list[Table]:
    if not comparisons:
        return []
    axis = Axis.over([item["difference"] for item in comparisons], zero=True)
    rows = [
        (
            Cell(words(item["baseline"])),
            _name(item["metric"]),
            *score_cells(item["difference"]),
            Cell(p_value(item["difference"].get("p_value")), numeric=True),
            Cell("", bar=axis.bar(item["difference"], zero=True, own=True)),
        )
        for item in comparisons
    ]
    head = ("Baseline", "Score", "Difference", "Interval", "p")
    return [Table("Model minus baseline on the same rows", head, rows, axis)]


def _curves(content: Content) -> Section | None:
    curves = content.get("curves") or {}
    evaluations, best = curves.get("evaluations") or [], curves.get("best_step")
    if not evaluations and not curves.get("steps"):
        return None
    lines = []
    if best is not None:
        lines.append(f"The model is the one of step {count(best)}, the best on the validation rows.")
    tables = [_evaluations(evaluations, best)] if evaluations else []
    return Section("curves", "Training", lines, plots=["loss", "metrics"], tables=tables)


def _evaluations(evaluations: Sequence[Content], best: int | None) -> Table:
    """All of them, or when they are many every k-th, the best and the last."""
    every = -(-len(evaluations) // MOST_EVALUATIONS)
    kept = {best, evaluations[-1]["step"]} | {row["step"] for row in evaluations[::every]}
    names = list(dict.fromkeys(name for row in evaluations for name in row if name != "step"))
    rows = [
        (_step(row["step"], best), *(number_cell(row.get(name)) for name in names))
        for row in evaluations
        if row["step"] in kept
    ]
    some = f" ({len(rows)} of {len(evaluations)} evaluations)" if every > 1 else ""
    lower = ", ".join(phrase(name) for name in names if better(name))
    caption = f"Scores on the validation rows{some}" + (f"; lower is better for {lower}" if lower else "")
    return Table(caption, ("Step", *map(words, names)), rows, folded=len(rows) > 10)


def _step(step: int, best: int | None) -> Cell:
    return Cell(count(step), note="best" if step == best else "", numeric=True)


def _scatter(content: Content) -> Section | None:
    """A task that answers with a number: where the answers lie against the data."""
    points = content.get("scatter") or {}
    gold, predicted = points.get("gold") or [], points.get("predicted") or []
    if not gold:
        return None
    rows = [
        (
            Cell(f"{number(low)} to {number(high)}"),
            count_cell(len(inside)),
            number_cell(fmean(guess for _, guess in inside) if inside else None),
            number_cell(fmean(abs(guess - score) for score, guess in inside) if inside else None),
        )
        for low, high, inside in _ranges(gold, predicted)
    ]
    head = ("Score in the data", "Rows", "Mean prediction", "Mean distance")
    table = Table("Predictions by the score in the data", head, rows)
    every = max((score.get("n") or 0 for score in (content.get("scores") or {}).values()), default=0)
    lines = [f"Of the first {count(len(gold))} of {count(every)} rows."] if every > len(gold) else []
    return Section("scatter", "Predictions against the data", lines, plots=["scatter"], tables=[table])


def _ranges(
    gold: Sequence[float], predicted: Sequence[float]
) -> list[tuple[float, float, list[tuple[float, float]]]]:
    """(low, high, the pairs whose score in the data lies there), the highest score in the last."""
    low, high = min(gold), max(gold)
    if low == high:
        return [(low, high, list(zip(gold, predicted, strict=True)))]
    inside: list[list[tuple[float, float]]] = [[] for _ in range(RANGES)]
    for score, guess in zip(gold, predicted, strict=True):
        inside[min(RANGES - 1, int(RANGES * (score - low) / (high - low)))].append((score, guess))
    edges = [low + (high - low) * i / RANGES for i in range(RANGES + 1)]
    return list(zip(edges[:-1], edges[1:], inside, strict=True))


def _thresholds(content: Content) -> Section | None:
    """When a question has no answer; the thresholds of labels stand beside the labels' scores."""
    threshold = (content.get("thresholds") or {}).get("no answer")
    if threshold is None:
        return None
    line = (
        'The answer is "no answer" where its score lies above that of the best span by more than '
        f"{number(threshold)} (in logits). This threshold gave the best F1 on the validation rows."
    )
    return Section("thresholds", "When there is no answer", [line])


def _per_class(content: Content) -> Section | None:
    thresholds = content.get("thresholds") or {}
    classes = {
        label: {**scores, **({"threshold": thresholds[label]} if label in thresholds else {})}
        for label, scores in (content.get("per_class") or {}).items()
    }
    names = list(dict.fromkeys(name for scores in classes.values() for name in scores))
    rows = [
        (Cell(label), *(_score_or_number(scores.get(name)) for name in names))
        for label, scores in classes.items()
    ]
    one, lines = kind(content.get("task")), []
    if "threshold" in names:
        lines = [
            f"A {one} is given where its probability reaches its threshold, which gave the best F1 of this "
            f"{one} on the validation rows."
        ]
    table = Table(f"Scores of each {one}", (words(one), *map(words, names)), rows, folded=len(rows) > FOLDED)
    return Section("classes", f"Each {one}", lines, tables=[table]) if rows else None


def _score_or_number(value: Any) -> Cell:
    """A score with its interval, a threshold, or a count."""
    if isinstance(value, Mapping):
        return score_cell(value)
    return number_cell(value) if isinstance(value, float) else count_cell(value)


def _confusion(content: Content) -> Section | None:
    confusion = content.get("confusion") or {}
    labels, counts = confusion.get("labels") or [], confusion.get("counts") or []
    if not labels:
        return None
    wide = len(labels) > FEW_CLASSES
    tables = [_confused(labels, counts)] if wide else []
    if len(labels) <= MOST_CLASSES:
        tables.append(_matrix(labels, counts, confusion.get("intervals"), folded=wide))
    tables = [table for table in tables if table.rows]  # a model without a mistake confuses nothing
    return (
        Section("confusion", "Confusions", plots=["confusion"], tables=tables, large=wide) if tables else None
    )


def _matrix(
    labels: Sequence[str],
    counts: Sequence[Sequence[int]],
    intervals: Sequence[Sequence[Sequence[float]]] | None,
    *,
    folded: bool,
) -> Table:
    """intervals (C, C, 2): of each cell's share of its row."""
    rows = []
    for line, (label, row) in enumerate(zip(labels, counts, strict=True)):
        shares = [n / (sum(row) or 1) for n in row]
        notes = [f"{100 * share:.0f} %" for share in shares]
        if intervals and sum(row):
            notes = [
                f"{note} ({100 * low:.0f} to {100 * high:.0f})"
                for note, (low, high) in zip(notes, intervals[line], strict=True)
            ]
        cells = [
            Cell(count(n), note, True, shade=share) for n, note, share in zip(row, notes, shares, strict=True)
        ]
        rows.append([Cell(label), *cells, count_cell(sum(row))])
    caption = "Rows: the label in the data. Columns: the prediction. Shares are of the row"
    caption += ", with their interval" if intervals else ""
    return Table(caption, ("Label", *labels, "Total"), rows, folded=folded, heat=True)


def _confused(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Table:
    """The largest cells off the diagonal."""
    wrong = [
        (n, sum(row), labels[gold], labels[guess])
        for gold, row in enumerate(counts)
        for guess, n in enumerate(row)
        if n and gold != guess
    ]
    worst = sorted(wrong, key=lambda item: -item[0])[:MOST_CLASSES]
    rows = [
        (Cell(gold), Cell(guess), count_cell(n), Cell(percent(n / total), numeric=True))
        for n, total, gold, guess in worst
    ]
    caption = f"Most confused pairs, {len(rows)} of {len(wrong):,}"
    return Table(caption, ("Label", "Prediction", "Rows", "Share of the label's rows"), rows)


def _slices(content: Content) -> Section | None:
    """Where the model is weakest, by length, label, language and source."""
    found = content.get("slices") or {}
    slices = found.get("slices") or []
    if not slices:
        return None
    axis = Axis.over([one["difference"] for one in slices], zero=True)
    rows = [
        (
            Cell(f"{words(one['grouping'])}: {shorten(one['value'], LONG)}"),
            count_cell(one["score"]["n"]),
            Cell(words(one["metric"])),
            score_cell(one["score"]),
            *score_cells(one["difference"]),
            Cell(p_value(one["p_holm"]), numeric=True),
            Cell("", bar=axis.bar(one["difference"], zero=True, own=True)),
        )
        for one in slices
    ]
    head = ("Slice", "Rows", "Score", "Value", "Minus the rest", "Interval", "p (Holm)")
    table = Table(
        "Each slice against all other rows, the worst first", head, rows, axis, folded=len(rows) > FOLDED
    )
    return Section("slices", "Slices", _slice_lines(found), tables=[table])


def _slice_lines(found: Content) -> list[str]:
    """What is shown to be worse, corrected for all slices at once; lengths count characters, languages are scripts."""
    level = 1 - found["confidence"]
    worse = [
        f"{phrase(one['grouping'])} {one['value']}"
        for one in found["slices"]
        if one["p_holm"] is not None and one["p_holm"] < level and _is_worse(one)
    ]
    shown = f"Worse than the rest, corrected for all slices: {', '.join(worse)}." if worse else ""
    none = "" if worse else "No slice is shown to be worse than the rest, corrected for all slices."
    small = f"{count(found['left_out'])} slices were too small to be judged." if found["left_out"] else ""
    units = "Lengths are in characters; languages are told by their script."
    return [line for line in (shown, none, small, units) if line]


def _is_worse(one: Content) -> bool:
    lower: bool = one["difference"]["value"] < 0
    return lower != bool(better(one["metric"]))


def _calibration(content: Content) -> Section | None:
    calibration = content.get("calibration") or {}
    measures = [
        (Cell(words(name)), *score_cells(score), Cell(score.get("method") or ""))
        for name, score in calibration.items()
        if isinstance(score, Mapping)
    ]
    bins = [
        (
            Cell(interval(part)),
            number_cell(part.get("confidence")),
            number_cell(part.get("accuracy")),
            count_cell(part["count"]),
        )
        for part in calibration.get("bins") or []
    ]
    trust = "Error of the probabilities (lower is better)"
    tables = [
        Table(trust, ("Measure", "Value", "Interval", "Method"), measures),
        Table(
            "Predictions by confidence", ("Confidence", "Mean", "Accuracy", "Predictions"), bins, folded=True
        ),
    ]
    filled = [table for table in tables if table.rows]
    if not filled:
        return None
    return Section("calibration", "Calibration", _temperature(content), plots=["calibration"], tables=filled)


def _temperature(content: Content) -> list[str]:
    """What makes the probabilities right, where it was fitted."""
    temperature = (content.get("calibration") or {}).get("temperature")
    if temperature is None:
        return []
    if temperature == 1:
        return ["No temperature was found: the validation rows hold no mistake to learn it from."]
    sure = "too sure" if temperature > 1 else "not sure enough"
    lines = [
        f"The model is {sure} of its answers. Its logits divided by {number(temperature)}, the temperature fitted on "
        "the validation rows, give the calibrated probabilities: `llmkit predict --calibrated`."
    ]
    if content.get("part") == "validation":
        lines.append("The figures are of the same rows, so on new rows expect a little less.")
    return lines


def _errors(content: Content) -> Section | None:
    errors = content.get("errors") or []
    known = {name for error in errors for name, value in error.items() if value is not None}
    names = [name for name in COLUMNS if name in known]
    rows = [[_error_cell(name, error.get(name)) for name in names] for error in errors]
    title, caption = MISTAKES.get(content.get("task") or "", CONFIDENT)
    heads = COLUMNS | RENAMED.get(content.get("task") or "", {})
    table = Table(caption, [heads[name] for name in names], rows)
    return Section("errors", title, tables=[table]) if rows else None


def _error_cell(name: str, value: Any) -> Cell:
    if name == "probability" or isinstance(value, float):
        return number_cell(value)
    text = MISSING if value is None else shorten(str(value), LONGEST_TEXT)
    if name == "place":
        return Cell(text, path=True)
    return Cell(text, wide=name in ("text", "text_pair", "question") or len(text) > LONG)
