from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from llmkit.report import page

HOSTILE = "<script>alert('x')</script>"
FILES = ["report.html", "report.json", "report.md"]
VOID = {"meta", "path", "use", "rect", "line", "circle", "br", "link"}


class _Reader(HTMLParser):
    """Collects tags, addresses, ids and text; fails on tags that don't match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def _html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def _write(folder: Path, content: dict[str, Any]) -> str:
    page.write(folder, content)
    return _html(folder)


def test_all_files_are_written(report: Path, content: dict[str, Any]) -> None:
    assert sorted(path.name for path in report.iterdir()) == ["plots", *FILES]
    assert sorted(path.stem for path in (report / "plots").iterdir()) == [
        "calibration", "confusion", "lengths", "loss", "metrics",
    ]  # fmt: skip
    assert json.loads((report / "report.json").read_text(encoding="utf-8")) == content


def test_the_page_needs_nothing_but_itself(report: Path) -> None:
    html = _html(report)
    reader = _read(html)
    assert reader.addresses
    assert all(address.startswith("#") for address in reader.addresses)
    assert re.findall(r"url\((?!#)", html) == []
    assert "@import" not in html
    assert not {"script", "link", "iframe", "object", "img"} & set(reader.tags)
    assert "default-src 'none'" in html


def test_every_anchor_has_its_place_and_ids_are_unique(report: Path) -> None:
    reader = _read(_html(report))
    assert len(reader.ids) == len(set(reader.ids))
    assert {address[1:] for address in reader.addresses} <= set(reader.ids)


def test_text_of_the_data_is_shown_and_never_run(tmp_path: Path, content: dict[str, Any]) -> None:
    content["name"] = HOSTILE
    content["confusion"]["labels"][0] = HOSTILE
    content["per_class"] = {HOSTILE: content["per_class"]["积极"]}
    content["notes"] = content["verdict"] = [HOSTILE]
    content["recipe"] = HOSTILE
    content["environment"][HOSTILE] = HOSTILE
    reader = _read(_write(tmp_path, content))
    assert "script" not in reader.tags
    assert reader.text.count(HOSTILE) >= 8
    assert "<script" not in (tmp_path / "plots" / "confusion.svg").read_text(encoding="utf-8")
    outside = re.sub(r"```.*?```", "", (tmp_path / "report.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "<script" not in outside


def test_each_cell_of_a_mistake_knows_its_column_where_there_is_no_head(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    html = _write(tmp_path, {"errors": content["errors"], "scores": content["scores"]})
    assert html.count('<table class="stacked">') == 1  # the scores begin with no sentence
    heads = re.findall(r'data-head="(\w+)"', html)
    assert heads == ["Label", "Prediction", "Probability", "Place"] * 4


def test_every_script_is_shown_as_it_is(report: Path) -> None:
    text = _read(_html(report)).text
    assert all(part in text for part in ("积极", "这部电影", "שירות גרוע", "🎬"))


def test_every_section_is_on_both_pages(report: Path) -> None:
    reader = _read(_html(report))
    markdown = (report / "report.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", markdown, re.MULTILINE)
    assert len(titles) == reader.tags.count("section") == 15
    assert all(title in reader.text for title in titles)


@pytest.mark.parametrize("empty", [{}, {"name": "x", "task": "clm", "scores": {}, "curves": None}])
def test_an_empty_content_makes_a_short_report(tmp_path: Path, empty: dict[str, Any]) -> None:
    reader = _read(_write(tmp_path, empty))
    assert "section" not in reader.tags
    assert "##" not in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert list((tmp_path / "plots").glob("*")) == []


def test_each_part_alone_makes_a_report(tmp_path: Path, content: dict[str, Any]) -> None:
    for name in (
        "verdict",
        "notes",
        "scores",
        "baselines",
        "comparisons",
        "calibration",
        "lengths",
        "data",
        "train",
    ):
        _read(_write(tmp_path, {name: content[name]}))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, content: dict[str, Any]) -> None:
    page.write(tmp_path / "a", content)
    page.write(tmp_path / "b", content)
    files = [path.relative_to(tmp_path / "a") for path in sorted((tmp_path / "a").rglob("*.*"))]
    assert len(files) == 8
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_plots_of_an_earlier_report_do_not_stay(tmp_path: Path, content: dict[str, Any]) -> None:
    page.write(tmp_path, content)
    page.write(tmp_path, content | {"curves": None})
    assert sorted(path.stem for path in (tmp_path / "plots").iterdir()) == [
        "calibration",
        "confusion",
        "lengths",
    ]


def test_markdown_has_all_scores_and_links_to_all_plots(report: Path) -> None:
    markdown = (report / "report.md").read_text(encoding="utf-8")
    for row in (
        "| Accuracy | 0.862 | 0.842 to 0.882 | 1,007 | Wilson 95% |",
        "| MCC | 0.721 | 0.681 to 0.761 | 1,007 | bootstrap 95%, 2000 draws |",
        "| Loss (lower is better) | 0.352 | – | 1,007 | mean cross-entropy in nats |",
        "| TF-IDF | 0.781 | 0.761 to 0.801 |",
        "| negative | 430 (86 %) | 70 (14 %) | 500 |",
    ):
        assert row in markdown
    linked = re.findall(r"\]\((plots/\w+\.svg)\)", markdown)
    assert len(linked) == 5
    assert all((report / link).is_file() for link in linked)


def test_tables_of_markdown_have_as_many_cells_in_every_row(report: Path) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", (report / "report.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(blocks) > 12
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_recipe_keeps_its_lines(report: Path, content: dict[str, Any]) -> None:
    html = _html(report)
    assert content["recipe"].rstrip() in (report / "report.md").read_text(encoding="utf-8")
    assert content["recipe"] in _read(html).text


def test_the_band_is_that_of_the_model_where_a_baseline_stands_first(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    """The baselines are sorted among the model, and all are seen against its interval."""
    best = content["scores"]["accuracy"] | {"value": 0.95, "low": 0.94, "high": 0.96}
    html = _write(tmp_path, content | {"baselines": {"tfidf": {"accuracy": best}}, "comparisons": []})
    table = html.partition("<caption>Accuracy</caption>")[2].partition("</table>")[0]
    first, own = table.split("<tr>")[2:4]
    assert "TF-IDF" in first and "This model" in own
    band, line = (re.search(f'{kind}="([0-9.]+)%', text) for kind, text in (("x", first), ("x1", own)))
    assert band is not None and line is not None
    assert band[1] == line[1]
