"""`llmkit check`: the plan and the loss mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.samples import write_recipe


def test_show_mask_marks_the_tokens_that_the_loss_covers(
    command: Any, tiny_gpt: Path, tmp_path: Path
) -> None:
    recipe = write_recipe("chat", tmp_path, tiny_gpt, count=40)
    outcome = command("check", recipe, "--show-mask")
    assert outcome.code == 0
    assert "plan for" in outcome.out
    shown = outcome.out.partition("first training example: ")[2]
    learned = [piece.partition("»")[0] for piece in shown.split("«")[1:]]
    assert learned
    assert all(text.startswith("very ") and text.endswith(" film [SEP]") for text in learned)
    mask = command("check", recipe, "--json").json["mask"]
    assert [piece["text"] for piece in mask if piece["learned"]] == learned
    assert shown.startswith(f"the loss covers {sum(p['tokens'] for p in mask if p['learned'])} of ")
    assert not (tmp_path / "runs").exists()


def test_tasks_without_target_tokens_have_no_mask(command: Any, tiny_recipe: Path) -> None:
    outcome = command("check", tiny_recipe, "--show-mask")
    assert outcome.code == 0
    assert "no mask to show" in outcome.out
    assert command("check", tiny_recipe, "--json").json["mask"] == []


def test_errors_are_those_of_a_training_run(command: Any, tiny_recipe: Path) -> None:
    outcome = command("check", tiny_recipe, "train.batch_size=0")
    assert outcome.code == 2
    assert outcome.err.startswith("error[C09]")
