"""Turn matplotlib's SVG into one for files and pages: unique ids, the viewer's fonts, and the real labels.

Labels from the data never reach matplotlib, because it would look for their glyphs in its own fonts (and warn about
every Chinese character) and read `$` as mathematics. A plot is laid out with a `stand_in` of the same width, and
`finish` replaces it by the real label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from unicodedata import east_asian_width

__all__ = ["COLOURS", "FAINT", "HEAT", "INK", "QUIET", "finish", "inline", "stand_in", "width"]

QUIET, FAINT = "#737b87", "#98a0ab"  # text; axes and grid. Both are legible on white and on near-black
HEAT, INK = "#84b3e3", "#16202c"  # cells of a confusion matrix, and the text on them
COLOURS = ("#3f83c9", "#d9773c", "#3d9a6a", "#9a6cc3")
VARIABLES = {QUIET: "quiet", FAINT: "faint", HEAT: "heat", INK: "ink"} | {
    colour: f"plot-{i}" for i, colour in enumerate(COLOURS, 1)
}
FONTS = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', sans-serif"


def finish(raw: str, *, name: str, title: str, texts: Sequence[str] = ()) -> str:
    """Return one <svg> element that is a valid file.

    Args:
        raw: What matplotlib wrote.
        name: Name of the plot, a prefix of all ids.
        title: What the plot shows, for screen readers.
        texts: Labels that replace stand_in(0), stand_in(1), ...
    """
    svg = raw[raw.index("<svg") :]  # no XML declaration, no DTD
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # would apply to the whole page
    head = f"<title>{escape(title)}</title>"
    svg = re.sub(r"^<svg([^>]*)>", rf'<svg\1 stroke-linejoin="round" role="img">{head}', svg)
    svg = re.sub(r"font-family: [^;\"]*", f"font-family: {FONTS}", svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", svg)  # ids are unique among the plots of a page
    return re.sub(r">@(\d+)x*<", lambda match: f">{_make_drawable(texts[int(match[1])])}<", svg)


def inline(svg: str) -> str:
    """Return the same picture for use inside a page: without a size, and with colours from CSS variables."""
    svg = re.sub(r'^<svg[^>]*?( viewBox="[^"]*")[^>]*>', r'<svg\1 role="img">', svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg


def stand_in(number: int, text: str) -> str:
    """Return an ASCII word about as wide as the text, which `finish` finds in the SVG."""
    return f"@{number}".ljust(width(text), "x")


def width(text: str) -> int:
    """Return the width in terminal columns: 2 for a Chinese character, 1 for a Latin letter."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _make_drawable(text: str) -> str:
    """Escape text, and replace control characters that XML cannot hold."""
    return escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", text))
