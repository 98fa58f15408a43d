"""From the content of a report (plain JSON) to its sections; what the content lacks, the report leaves out.

    sections({"scores": {"accuracy": {...}}, "baselines": {}})  ->  [Section("scores", ...)]

Each maker reads one part of the content and returns one section, or None when that part is empty. `report.json` is
the content itself.
"""

from __future__ import annotations

from llmkit.report import classes, instances, provenance, scores, training, trust
from llmkit.report.format import words
from llmkit.report.tables import Content, Section
from llmkit.report.wording import Wording

__all__ = ["facts", "sections"]

PLAIN = Wording()


def sections(content: Content, wording: Wording = PLAIN) -> list[Section]:
    """Return the sections that this content can fill, in reading order."""
    made = (
        scores.scores(content),
        scores.verdicts(content),
        scores.baselines(content),
        training.curves(content),
        classes.scatter(content),
        classes.thresholds(content),
        classes.per_class(content, wording),
        classes.confusion(content),
        trust.slices(content),
        trust.calibration(content),
        instances.samples(content),
        instances.errors(content, wording),
        provenance.lengths(content),
        provenance.notes(content),
        provenance.data(content, wording),
        provenance.speed(content),
        provenance.environment(content),
        provenance.recipe(content),
        provenance.repeat(content),
    )
    return [section for section in made if section is not None]


def facts(content: Content) -> dict[str, str]:
    """What the page is about, in a line below its title."""
    named = {name: content.get(name) for name in ("task", "model", "run", "created")}
    named["created"] = (named["created"] or "").replace("T", " ").replace("Z", " UTC")
    return {words(name): str(value) for name, value in named.items() if value}
