"""The combinations of `make test-hosts`: they change the instruction set in use, and failing ones are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import hosts
from tests.hosts import Combination


def test_paths_of_the_numeric_tests_exist() -> None:
    assert all((hosts.ROOT / path).exists() for path in hosts.NUMERIC_TESTS)


@pytest.mark.parametrize(
    ("capability", "instructions"),
    [
        ("AVX512", ["as it is", "SSE4", "libraries SSE4", "AVX2"]),
        ("AVX2", ["as it is", "SSE4", "libraries SSE4"]),  # AVX2 is the native instruction set
        ("DEFAULT", ["as it is"]),
    ],
)
def test_combinations_use_only_instructions_of_the_processor(
    capability: str, instructions: list[str]
) -> None:
    assert [combination.instructions for combination in hosts.list_combinations(capability)] == instructions


def test_failing_combination_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test_planted.py"
    path.write_text(
        "import torch\n\n\ndef test_threads() -> None:\n    assert torch.get_num_threads() == 1\n", "utf-8"
    )
    combinations = [Combination("as it is", threads, {}) for threads in (1, 2)]
    monkeypatch.setattr(hosts, "list_combinations", lambda _: combinations)
    assert hosts.main([str(path)]) == 1
    printed = capsys.readouterr().out
    assert "as it is, 1 thread: 1 passed" in printed
    assert "FAILED" in printed and printed.endswith("failed: as it is, 2 threads\n")
