"""The report of a run: one mapping in; report.json, report.md, report.html and plots/*.svg out.

The HTML page needs nothing but itself: styles and plots stand inside it, it has no scripts, and its security
policy forbids it to load anything. Everything from the data is escaped. HTML and Markdown are drawn from the
same sections.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmkit.base import files
from llmkit.report import format as form
from llmkit.report.comparison import comparison
from llmkit.report.content import facts, sections
from llmkit.report.scores import headline
from llmkit.report.seed_spread import seeds
from llmkit.report.svg import inline
from llmkit.report.wording import Wording

__all__ = ["render", "write"]

PLAIN = Wording()


def write(folder: Path, content: Mapping[str, Any], wording: Wording = PLAIN) -> None:
    """Write the report into a run folder; plots of an earlier report that this one lacks are removed."""
    from llmkit.report import plots  # matplotlib takes a second to load

    drawn = plots.draw(content)
    for name in plots.NAMES:
        path = folder / "plots" / f"{name}.svg"
        if name in drawn:
            files.write_text(path, drawn[name])
        else:
            files.remove(path)
    own = seeds(content)
    values = {
        "content": content,
        "facts": facts(content),
        "headline": headline(content),
        "sections": [*([own] if own else []), *comparison(content), *sections(content, wording)],
        "titles": plots.TITLES,
        "plots": {name: inline(svg) for name, svg in drawn.items()},
    }
    files.write_text(folder / "report.html", render("report.html.j2", **values))
    files.write_text(folder / "report.md", render("report.md.j2", **values))
    files.write_json(folder / "report.json", content)


def render(template: str, **values: Any) -> str:
    """Fill a template of this folder; HTML templates escape every value, Markdown ones say where."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({name: getattr(form, name) for name in form.__all__ if name != "MISSING"})
    return environment.get_template(template).render(values)
