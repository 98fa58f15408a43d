"""From matplotlib's SVG to one for files and pages."""

from __future__ import annotations

from xml.etree import ElementTree

from llmkit.report.svg import finish, inline, stand_in, width

RAW = """<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" viewBox="0 0 9 9" xmlns="http://www.w3.org/2000/svg">
<defs><style type="text/css">*{stroke: red}</style><path id="p1"/></defs>
<use xlink:href="#p1" clip-path="url(#c1)" style="stroke: #3f83c9"/>
<text style="font-size: 9px; font-family: 'DejaVu Sans', sans-serif; fill: #737b87">@0xxx</text></svg>"""


def test_a_label_replaces_its_stand_in() -> None:
    svg = finish(RAW, name="n", title="a < b", texts=["<积极> \x00"])
    root = ElementTree.fromstring(svg)
    assert [node.text for node in root.iter() if node.tag.endswith("text")] == ["<积极> \ufffd"]
    assert root[0].text == "a < b"


def test_styles_and_ids_do_not_affect_the_page() -> None:
    svg = finish(RAW, name="n", title="t", texts=["a"])
    assert "<style" not in svg
    assert all(part in svg for part in ('id="n-p1"', 'href="#n-p1"', "url(#n-c1)"))


def test_an_inline_plot_takes_size_and_colours_from_the_page() -> None:
    svg = inline(finish(RAW, name="n", title="t", texts=["a"]))
    assert svg.startswith('<svg viewBox="0 0 9 9" role="img"><title>t</title>')
    assert "stroke: var(--plot-1)" in svg
    assert "fill: var(--quiet)" in svg


def test_a_stand_in_is_as_wide_as_its_text() -> None:
    assert width("积极ab") == 6
    assert stand_in(3, "积极ab") == "@3xxxx"
    assert stand_in(12, "a") == "@12"
