"""The generated pages of the reference are up to date: `make docs` writes them anew."""

from __future__ import annotations

import pytest

from tests.docs.pages import GENERATED
from tools.reference import PAGES


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_the_code_gives(name: str) -> None:
    committed = (GENERATED / name).read_text(encoding="utf-8")
    assert committed == PAGES[name](), f"docs/reference/{name} is out of date: run `make docs`"


def test_every_generated_page_is_committed() -> None:
    assert {path.name for path in GENERATED.glob("*.md")} == {*PAGES, "index.md"}
