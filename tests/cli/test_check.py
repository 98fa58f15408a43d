"""`llmkit check`: the plan, and what of an example is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.samples import write_recipe


def test_the_mask_is_shown(command: Any, tiny_gpt: Path, tmp_path: Path) -> None:
    recipe = write_recipe("chat", tmp_path, tiny_gpt, count=40)
    done = command("check", recipe, "--show-mask")
    assert done.code == 0
    assert "plan for" in done.out
    shown = done.out.partition("first training example: ")[2]
    learned = [piece.partition("»")[0] for piece in shown.split("«")[1:]]
    assert learned
    assert all(text.startswith("very ") and text.endswith(" film [SEP]") for text in learned)
    found = command("check", recipe, "--json").json["mask"]
    assert [piece["text"] for piece in found if piece["learned"]] == learned
    assert shown.startswith(f"the loss covers {sum(p['tokens'] for p in found if p['learned'])} of ")
    assert not (tmp_path / "runs").exists()


def test_other_tasks_have_no_mask(command: Any, tiny_recipe: Path) -> None:
    done = command("check", tiny_recipe, "--show-mask")
    assert done.code == 0
    assert "no mask to show" in done.out
    assert command("check", tiny_recipe, "--json").json["mask"] == []


def test_faults_are_told_as_before_a_run(command: Any, tiny_recipe: Path) -> None:
    done = command("check", tiny_recipe, "train.batch_size=0")
    assert done.code == 2
    assert done.err.startswith("error[C09]")
