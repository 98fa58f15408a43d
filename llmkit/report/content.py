"""From the content of a report (plain JSON) to its sections; what the content lacks, the report leaves out.

    sections({"scores": {"accuracy": {...}}, "baselines": {}})  ->  [Section("scores", ...)]

Each maker reads one part of the content and returns one section, or None when that part is empty. `report.json` is
the content itself.
"""

from __future__ import annotations

from llmkit.report import classes, instances, provenance, scores, training, trust
from llmkit.report.format import words
from llmkit.report.tables import Content, Section

__all__ = ["facts", "sections"]

MAKERS = (
    scores.scores,
    scores.verdicts,
    scores.baselines,
    training.curves,
    classes.scatter,
    classes.thresholds,
    classes.per_class,
    classes.confusion,
    trust.slices,
    trust.calibration,
    instances.samples,
    instances.errors,
    provenance.lengths,
    provenance.notes,
    provenance.data,
    provenance.speed,
    provenance.environment,
    provenance.recipe,
    provenance.repeat,
)


def sections(content: Content) -> list[Section]:
    """The chapters that this content can fill, in reading order."""
    return [section for maker in MAKERS if (section := maker(content)) is not None]


def facts(content: Content) -> dict[str, str]:
    """What the page is about, in a line below its title."""
    named = {name: content.get(name) for name in ("task", "model", "run", "created")}
    named["created"] = (named["created"] or "").replace("T", " ").replace("Z", " UTC")
    return {words(name): str(value) for name, value in named.items() if value}
