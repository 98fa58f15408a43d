"""The chapter on several seeds: each seed's scores, and how far they lie apart. Other reports lack it."""

from __future__ import annotations

from llmkit.report.format import words
from llmkit.report.scores import headline
from llmkit.report.tables import Cell, Content, Section, Table, number_cell, score_cell

__all__ = ["seeds"]

LINES = (
    "Each seed is a training of its own, with another order of the rows, another head and other dropout. The test "
    "rows are the same for all: the spread is the noise of training, and each seed's own interval the noise of the "
    "test rows.",
    "The mean's interval is Student's over the seeds: it says where the mean of many more seeds would lie on these "
    "test rows.",
)
SPREAD = {"sd": "Standard deviation", "min": "Lowest", "max": "Highest"}


def seeds(content: Content) -> Section | None:
    """None for a report about one seed."""
    found, spread = content.get("seeds") or {}, content.get("spread") or {}
    names = [name for name in headline(content) if name in spread]
    if not found or not names:
        return None
    kept = str(content.get("kept_seed"))
    rows = [
        (
            Cell(seed, note="model kept" if seed == kept else ""),
            *(score_cell(scores.get(name)) for name in names),
        )
        for seed, scores in found.items()
    ]
    rows.append((Cell("Mean"), *(score_cell(content["scores"][name]) for name in names)))
    rows += [
        (Cell(word), *(number_cell(spread[name].get(key)) for name in names)) for key, word in SPREAD.items()
    ]
    table = Table("Scores on the test rows, each with its interval", ("Seed", *map(words, names)), rows)
    return Section("seeds", "Seeds", LINES, tables=[table])
