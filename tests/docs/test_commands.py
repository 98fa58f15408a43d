"""Every command and program in the documentation runs, page by page, on a tiny model and tiny data."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.conftest import Workspace
from tests.docs.pages import DOCS, blocks, name_of, pages

# Most pages go on with the runs of this one.
FIRST = DOCS / "getting-started.md"
RUNNABLE = [page for page in pages() if any(block.language in ("bash", "python") for block in blocks(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_commands_of_a_page_run(in_workspace: Workspace, page: Path) -> None:
    """In their order, each on what the commands before it made."""
    in_workspace.run(FIRST)
    assert in_workspace.run(page) or all(block.reason for block in blocks(page))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("```bash\nllmkit recipes show sentimen\n```", "error\\[C15\\]"),
        ("```bash\nllmkit recipes list\nllmkit predict runs/none text\n```", "runs/none"),
        ("```python\n1 / 0\n```", "ZeroDivisionError"),
    ],
)
def test_a_block_that_fails_is_noticed(
    in_workspace: Workspace, tmp_path: Path, block: str, message: str
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{block}\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=message):
        in_workspace.run(page)
