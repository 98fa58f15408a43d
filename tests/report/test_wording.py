"""The words of every task in the report and the model card."""

from __future__ import annotations

from pathlib import Path

import pytest

import llmkit.report
from llmkit import tasks
from llmkit.report.wording import Wording
from tests.report.made_reports import get_wording


@pytest.mark.parametrize("task", tasks.names())
def test_every_task_has_its_own_words(task: str) -> None:
    wording = get_wording(task)
    for text in (wording.title, wording.purpose, wording.pipeline):
        assert text and not text.endswith(".")
    assert wording.title != Wording().title
    assert wording.command_input.startswith('"')


def test_the_example_code_of_every_task_is_in_the_template() -> None:
    template = (Path(llmkit.report.__file__).parent / "usage.j2").read_text(encoding="utf-8")
    for task in tasks.names():
        assert f'"{get_wording(task).usage}"' in template, task
