"""Write a report: report.json, report.md, report.html and plots/*.svg.

The HTML page is self-contained: it holds its styles and plots, it has no scripts, and its security policy forbids it to
load anything. Text from the data is escaped. HTML and Markdown are drawn from the same sections.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from llmkit.base import files
from llmkit.report import classes, instances, provenance, scores, seed_spread, training, trust
from llmkit.report import format as form
from llmkit.report.comparison import compare_sections
from llmkit.report.format import words
from llmkit.report.report import ComparisonReport, Report
from llmkit.report.svg import inline
from llmkit.report.tables import Section

__all__ = ["list_facts", "list_sections", "render", "write"]

MAKERS = (  # in reading order
    seed_spread.seeds,
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


def write(folder: Path, report: Report | ComparisonReport) -> None:
    """Write the report into a folder, and remove the plots of an earlier report that this one lacks."""
    from llmkit.report import plots  # imports matplotlib, which takes a second

    drawn = plots.draw(report)
    for name in plots.NAMES:
        path = folder / "plots" / f"{name}.svg"
        if name in drawn:
            files.write_text(path, drawn[name])
        else:
            files.remove(path)
    values: dict[str, object] = {
        "name": report.name or "Run",
        "version": "",
        "verdict": report.verdict,
        "facts": list_facts(report),
        "headline": {},
        "interval_name": report.interval_name,
        "titles": plots.TITLES,
        "plots": {name: inline(svg) for name, svg in drawn.items()},
    }
    if isinstance(report, Report):
        sections = list_sections(report)
        values |= {"version": report.llmkit, "headline": report.headline_scores}
    else:
        sections = compare_sections(report)
    values["sections"] = sections
    files.write_text(folder / "report.html", render("report.html.j2", **values))
    files.write_text(folder / "report.md", render("report.md.j2", **values))
    files.write_json(folder / "report.json", report.to_json())


def list_sections(report: Report) -> list[Section]:
    """Make the sections of a report on one run; a section whose part of the report is empty is left out."""
    return [section for make in MAKERS if (section := make(report)) is not None]


def list_facts(report: Report | ComparisonReport) -> dict[str, str]:
    """Return what the page is about, for the line below its title."""
    facts = {"task": report.task}
    if isinstance(report, Report):
        created = report.created.replace("T", " ").replace("Z", " UTC").replace("+00:00", " UTC")
        facts |= {"model": report.model, "run": report.run, "created": created}
    return {words(name): value for name, value in facts.items() if value}


def render(template: str, **values: object) -> str:
    """Fill a template of this folder. HTML templates escape every value; Markdown templates say where to escape."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = set(form.__all__) - {"Interval", "MISSING"}
    environment.filters.update({name: getattr(form, name) for name in names})
    return environment.get_template(template).render(values)
