"""What every task says of itself in the report and the model card."""

from __future__ import annotations

from pathlib import Path

import pytest

import llmkit.report
from llmkit import tasks
from llmkit.report.wording import Wording
from tests.report.made import wording_of


@pytest.mark.parametrize("task", tasks.names())
def test_every_task_has_words_of_its_own(task: str) -> None:
    wording = wording_of(task)
    for text in (wording.title, wording.purpose, wording.pipeline):
        assert text and not text.endswith(".")
    assert wording.title != Wording().title
    assert wording.command_input.startswith('"')


def test_every_usage_is_in_the_template() -> None:
    template = (Path(llmkit.report.__file__).parent / "usage.j2").read_text(encoding="utf-8")
    for task in tasks.names():
        assert f'"{wording_of(task).usage}"' in template, task
