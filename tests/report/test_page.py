"""The pages of a report: complete, self-contained, and safe with any text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from llmkit.report import page
from llmkit.report.report import Confusion, Curves, Report

HOSTILE = "<script>alert('x')</script>"
FILES = ["report.html", "report.json", "report.md"]
VOID = {"meta", "path", "use", "rect", "line", "circle", "br", "link"}


class _Reader(HTMLParser):
    """Collect tags, addresses, ids and text; fail on tags that do not match."""

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


def _write(folder: Path, report: Report) -> str:
    page.write(folder, report)
    return _html(folder)


def test_all_files_are_written(folder: Path, content: dict[str, Any]) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["plots", *FILES]
    assert sorted(path.stem for path in (folder / "plots").iterdir()) == [
        "calibration", "confusion", "lengths", "loss", "metrics",
    ]  # fmt: skip
    assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == content


def test_the_page_is_self_contained(folder: Path) -> None:
    html = _html(folder)
    reader = _read(html)
    assert reader.addresses
    assert all(address.startswith("#") for address in reader.addresses)
    assert re.findall(r"url\((?!#)", html) == []
    assert "@import" not in html
    assert not {"script", "link", "iframe", "object", "img"} & set(reader.tags)
    assert "default-src 'none'" in html


def test_every_link_has_a_target_and_ids_are_unique(folder: Path) -> None:
    reader = _read(_html(folder))
    assert len(reader.ids) == len(set(reader.ids))
    assert {address[1:] for address in reader.addresses} <= set(reader.ids)


def test_text_from_the_data_is_escaped(tmp_path: Path, report: Report) -> None:
    details = report.details
    assert details.per_class is not None
    assert details.confusion is not None
    hostile = replace(
        report,
        name=HOSTILE,
        details=replace(
            details,
            confusion=Confusion([HOSTILE, "积极"], details.confusion.counts),
            per_class={HOSTILE: details.per_class["积极"]},
        ),
        notes=[HOSTILE],
        verdict=[HOSTILE],
        recipe=HOSTILE,
        environment={**report.environment, HOSTILE: HOSTILE},
    )
    reader = _read(_write(tmp_path, hostile))
    assert "script" not in reader.tags
    assert reader.text.count(HOSTILE) >= 8
    assert "<script" not in (tmp_path / "plots" / "confusion.svg").read_text(encoding="utf-8")
    outside = re.sub(r"```.*?```", "", (tmp_path / "report.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "<script" not in outside


def test_each_cell_of_an_error_names_its_column_for_narrow_screens(tmp_path: Path, report: Report) -> None:
    html = _write(tmp_path, Report(errors=report.errors, scores=report.scores))
    assert html.count('<table class="stacked">') == 1  # rows of scores do not begin with a sentence
    heads = re.findall(r'data-head="(\w+)"', html)
    assert heads == ["Label", "Prediction", "Probability", "Place"] * 4


def test_every_script_is_shown_unchanged(folder: Path) -> None:
    text = _read(_html(folder)).text
    assert all(part in text for part in ("积极", "这部电影", "שירות גרוע", "🎬"))


def test_every_section_is_on_both_pages(folder: Path) -> None:
    reader = _read(_html(folder))
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", markdown, re.MULTILINE)
    assert len(titles) == reader.tags.count("section") == 15
    assert all(title in reader.text for title in titles)


@pytest.mark.parametrize("empty", [Report(), Report(name="x", task="clm")])
def test_an_empty_report_has_no_sections(tmp_path: Path, empty: Report) -> None:
    reader = _read(_write(tmp_path, empty))
    assert "section" not in reader.tags
    assert "##" not in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert list((tmp_path / "plots").glob("*")) == []


def test_each_part_alone_makes_a_report(tmp_path: Path, report: Report) -> None:
    for name in (
        "verdict",
        "notes",
        "scores",
        "baselines",
        "comparisons",
        "details",
        "lengths",
        "data",
        "train",
    ):
        parts: dict[str, Any] = {name: getattr(report, name)}
        _read(_write(tmp_path, Report(**parts)))


def test_equal_reports_give_equal_bytes(tmp_path: Path, report: Report) -> None:
    page.write(tmp_path / "a", report)
    page.write(tmp_path / "b", report)
    files = [path.relative_to(tmp_path / "a") for path in sorted((tmp_path / "a").rglob("*.*"))]
    assert len(files) == 8
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_plots_of_an_earlier_report_are_removed(tmp_path: Path, report: Report) -> None:
    page.write(tmp_path, report)
    page.write(tmp_path, replace(report, curves=Curves()))
    assert sorted(path.stem for path in (tmp_path / "plots").iterdir()) == [
        "calibration",
        "confusion",
        "lengths",
    ]


def test_markdown_has_all_scores_and_links_to_all_plots(folder: Path) -> None:
    markdown = (folder / "report.md").read_text(encoding="utf-8")
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
    assert all((folder / link).is_file() for link in linked)


def test_rows_of_a_markdown_table_have_equally_many_cells(folder: Path) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", (folder / "report.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(blocks) > 12
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_recipe_keeps_its_line_breaks(folder: Path, report: Report) -> None:
    html = _html(folder)
    assert report.recipe.rstrip() in (folder / "report.md").read_text(encoding="utf-8")
    assert report.recipe in _read(html).text


def test_the_band_shows_the_interval_of_the_model_if_a_baseline_comes_first(
    tmp_path: Path, report: Report
) -> None:
    """Every system is shown against the interval of the model, wherever its row is."""
    best = replace(report.scores["accuracy"], value=0.95, low=0.94, high=0.96)
    html = _write(tmp_path, replace(report, baselines={"tfidf": {"accuracy": best}}, comparisons=[]))
    table = html.partition("<caption>Accuracy</caption>")[2].partition("</table>")[0]
    first, own = table.split("<tr>")[2:4]
    assert "TF-IDF" in first and "This model" in own
    band, line = (re.search(f'{kind}="([0-9.]+)%', text) for kind, text in (("x", first), ("x1", own)))
    assert band is not None and line is not None
    assert band[1] == line[1]


def test_sections_are_in_reading_order(report: Report) -> None:
    assert [section.key for section in page.list_sections(report)] == [
        "scores", "baselines", "curves", "classes", "confusion", "slices", "calibration", "errors", "lengths",
        "notes", "data", "speed", "environment", "recipe", "repeat",
    ]  # fmt: skip
    assert page.list_sections(Report()) == []


def test_facts_without_a_value_are_left_out() -> None:
    assert page.list_facts(Report(task="clm", created="2026-11-22T13:00:00+00:00")) == {
        "Task": "clm",
        "Created": "2026-11-22 13:00:00 UTC",
    }
