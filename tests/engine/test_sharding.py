"""A model spread over processes learns, answers, is saved and goes on as a whole one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from llmkit import tasks
from llmkit.base import files
from llmkit.base.errors import RecipeError, StorageError, TrainingError
from llmkit.base.progress import SILENT
from llmkit.engine import checkpoint, sharding
from llmkit.engine import train as training
from llmkit.engine.optim import build_adamw
from llmkit.engine.train import _Share
from llmkit.models.save import hash_weights
from llmkit.recipe import load
from llmkit.training.model import load_model
from llmkit.training.prepare import prepare
from tests.engine.test_train import steps_of
from tests.samples import write_recipe

WORKER = Path(__file__).with_name("sharding_worker.py")
KINDS = [
    "classification",
    "chat",
    "translation",
]  # BERT; GPT with adapters and activations computed twice; T5, whose stacks share an embedding

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharding")


@pytest.fixture(scope="module")
def recipes(folder: Path, tiny_for: Any) -> dict[str, Path]:
    found = {kind: write_recipe(kind, folder, tiny_for(kind), count=60) for kind in KINDS}
    text = found["chat"].read_text().replace("data:\n", "  lora: {rank: 2}\ndata:\n", 1)
    found["chat"].write_text(text.replace("train:\n", "train:\n  gradient_checkpointing: true\n"))
    return found


@pytest.fixture(scope="module")
def figures(folder: Path, recipes: dict[str, Path]) -> dict[str, Any]:
    """What two processes found, recipe by recipe."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launcher, str(WORKER), str(folder), *map(str, recipes.values())],
        capture_output=True,
        text=True,
        timeout=580,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["world_size"] == 2
    return dict(found["figures"])


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_updates_are_those_of_a_whole_model(kind: str, figures: dict[str, Any]) -> None:
    """Also where one process has no example: then it runs an empty pass beside the other."""
    np.testing.assert_allclose(figures[kind]["spread"], figures[kind]["plain"], rtol=1e-6)
    assert figures[kind]["difference"] < 1e-6


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_each_process_holds_its_part_only(kind: str, figures: dict[str, Any]) -> None:
    whole, part = figures[kind]["numbers"]
    assert part == pytest.approx(whole / 2, rel=0.01)


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_a_resumed_model_ends_the_same_to_the_bit(kind: str, figures: dict[str, Any]) -> None:
    resumed = figures[kind]["resumed"]
    assert resumed["whole run"] == resumed["resumed"]


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_checkpoints_of_whole_and_sharded_models_open_as_each_other(
    kind: str, figures: dict[str, Any]
) -> None:
    assert len(set(figures[kind]["opened"].values())) == 1
    assert max(figures[kind]["across"]) < 1e-6


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_answers_are_those_of_a_whole_model(kind: str, figures: dict[str, Any]) -> None:
    assert figures[kind]["answers"] < 1e-6


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_its_checkpoint_opens_in_one_process(
    kind: str, figures: dict[str, Any], folder: Path, recipes: dict[str, Path]
) -> None:
    """Here, without any process group; the files are those that a whole model's checkpoint has."""
    recipe = load.load(str(recipes[kind]), (), task_names=tasks.names(), task_options=tasks.options)
    model = load_model(prepare(recipe, SILENT), SILENT)
    optimizer = build_adamw(model, 0.01)
    saved = folder / kind / "sharded" / "step-00000002"
    assert files.verify(saved) is None
    checkpoint.load(saved, model, optimizer)
    assert hash_weights(model) == figures[kind]["opened"]["saved"]
    for name in ("weights.safetensors", "optimizer.safetensors"):
        own, whole = load_file(saved / name), load_file(folder / kind / "whole" / "step-00000002" / name)
        assert {key: value.shape for key, value in own.items()} == {k: v.shape for k, v in whole.items()}


def test_one_process_keeps_the_model_whole(session: Any, make_model: Any) -> None:
    placed = sharding.place(session, make_model(), shard=True)
    assert placed.full_model() is placed.model
    assert not sharding.is_sharded(placed.model)


def test_loss_scaling_is_refused(session: Any, make_model: Any) -> None:
    class Two(type(session)):  # type: ignore[misc]
        world_size = 2

    two = replace(Two(session.accelerator, 1, "fp32"), precision="fp16")
    with pytest.raises(RecipeError, match=r"C10.*train\.shard: shards can't be trained in fp16"):
        sharding.place(two, make_model(), shard=True)


def test_a_process_with_fewer_micro_batches_fills_up_with_the_shortest_example() -> None:
    lengths = np.array([5, 2, 9, 4])
    shares = [[np.array([2]), np.array([0])], [np.array([1, 3])], []]
    found = [_Share.of(shares, rank, lengths, in_step=True) for rank in range(3)]
    assert [share.passes for share in found] == [0, 1, 2]
    assert all(share.filler.tolist() == [1] for share in found)
    assert _Share.of(shares, 2, lengths, in_step=False).passes == 0


def test_out_of_memory_ends_a_sharded_run(
    session: Any, make_model: Any, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait in the middle of a pass: no process can make the update again."""

    def loss(model: Any, batch: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(training, "is_sharded", lambda model: True)
    with pytest.raises(TrainingError, match=r"T02.*process 0 ran out of memory"):
        steps_of(session, make_model(), toy, loss=loss)


def test_a_save_that_fails_leaves_no_process_waiting(
    tmp_path: Path, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others gather every tensor in turn, so the one that writes has to take part to the end."""
    model = make_model()
    gathered: list[int] = []
    monkeypatch.setattr("llmkit.engine.tensors.gather_rows", lambda tensor: gathered.append(1) or tensor)
    checkpoint.join_save(model, build_adamw(model, 0.1))
    all_of_them = len(gathered)
    assert all_of_them == 3
    for fault in ("check_space", "write_pieces"):
        gathered.clear()
        with monkeypatch.context() as patch, pytest.raises(StorageError):
            patch.setattr(files, fault, failing)
            checkpoint.save(tmp_path, model, build_adamw(model, 0.1), checkpoint.State(step=1))
        assert len(gathered) == all_of_them


def failing(*_: Any) -> None:
    raise StorageError.of(files._no_space(Path(), "no space left on the disk"))
