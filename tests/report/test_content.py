"""Every part of a content has its chapter, and an empty one none."""

from __future__ import annotations

from typing import Any

from llmkit.report.content import facts, sections

EVERY = [
    "scores",
    "baselines",
    "curves",
    "classes",
    "confusion",
    "slices",
    "calibration",
    "errors",
    "lengths",
    "notes",
    "data",
    "speed",
    "environment",
    "recipe",
    "repeat",
]


def _keys(content: dict[str, Any]) -> list[str]:
    return [section.key for section in sections(content)]


def test_a_full_content_fills_every_section(content: dict[str, Any]) -> None:
    assert _keys(content) == EVERY


def test_empty_parts_leave_their_section_out(content: dict[str, Any]) -> None:
    assert _keys({}) == []
    assert _keys(dict.fromkeys(content)) == []
    assert _keys({name: type(part)() for name, part in content.items()}) == []


def test_facts_name_what_is_known() -> None:
    assert facts({"task": "clm", "created": "2026-11-22T13:00:00Z", "run": None}) == {
        "Task": "clm",
        "Created": "2026-11-22 13:00:00 UTC",
    }
