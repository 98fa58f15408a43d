"""From matplotlib's SVG to one for files and pages: ids of its own, the viewer's fonts, real labels.

Labels from the data never reach matplotlib: it would look for their glyphs in its own fonts (and warn about
every Chinese sign) and read a `$` as mathematics. A plot is laid out with a `stand_in` of the same width, and
`finish` puts the real label in its place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from unicodedata import east_asian_width

__all__ = ["COLOURS", "FAINT", "HEAT", "INK", "QUIET", "finish", "inline", "stand_in", "width"]

QUIET, FAINT = "#737b87", "#98a0ab"  # text; axes and grid. Both can be read on white and on near-black
HEAT, INK = "#84b3e3", "#16202c"  # of a map's cells, as far as they are full, and the text on them
COLOURS = ("#3f83c9", "#d9773c", "#3d9a6a", "#9a6cc3")
VARIABLES = {QUIET: "quiet", FAINT: "faint", HEAT: "heat", INK: "ink"} | {
    colour: f"plot-{i}" for i, colour in enumerate(COLOURS, 1)
}
FONTS = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', sans-serif"


def finish(raw: str, *, name: str, title: str, texts: Sequence[str] = ()) -> str:
    """One <svg> element that can stand in a file; texts take the places of stand_in(0), stand_in(1), ..."""
    svg = raw[raw.index("<svg") :]  # no XML declaration, no DTD
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # inside a page it would style the page
    named = f"<title>{escape(title)}</title>"
    svg = re.sub(r"^<svg([^>]*)>", rf'<svg\1 stroke-linejoin="round" role="img">{named}', svg)
    svg = re.sub(r"font-family: [^;\"]*", f"font-family: {FONTS}", svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", svg)  # ids are unique over all plots of a page
    return re.sub(r">@(\d+)x*<", lambda found: f">{_drawable(texts[int(found[1])])}<", svg)


def inline(svg: str) -> str:
    """The same picture for the inside of a page: no size of its own, colours from CSS variables."""
    svg = re.sub(r'^<svg[^>]*?( viewBox="[^"]*")[^>]*>', r'<svg\1 role="img">', svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg


def stand_in(number: int, text: str) -> str:
    """An ASCII word about as wide as the text, to be found again in the SVG."""
    return f"@{number}".ljust(width(text), "x")


def width(text: str) -> int:
    """Columns in a terminal: 2 for a Chinese sign, 1 for a Latin letter."""
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _drawable(text: str) -> str:
    """Escaped, and without the control signs that XML can't hold."""
    return escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", text))
