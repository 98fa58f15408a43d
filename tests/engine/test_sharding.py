"""A sharded model trains, predicts, saves and resumes like one that is not sharded."""

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
from llmkit.engine.train import _Assignment
from llmkit.models.save import hash_weights
from llmkit.recipe import load
from llmkit.training.model import load_model
from llmkit.training.prepare import prepare
from tests.engine.test_train import run_steps
from tests.float64 import in_float64
from tests.samples import write_recipe

WORKER = Path(__file__).with_name("sharding_worker.py")
# BERT; GPT with adapters and gradient checkpointing; T5, whose stacks share an embedding.
KINDS = ["classification", "chat", "translation"]

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharding")


@pytest.fixture(scope="module")
def recipes(folder: Path, tiny_for: Any) -> dict[str, Path]:
    paths = {kind: write_recipe(kind, folder, tiny_for(kind), count=60) for kind in KINDS}
    text = paths["chat"].read_text().replace("data:\n", "  lora: {rank: 2}\ndata:\n", 1)
    paths["chat"].write_text(text.replace("train:\n", "train:\n  gradient_checkpointing: true\n"))
    return paths


@pytest.fixture(scope="module")
def figures(folder: Path, recipes: dict[str, Path]) -> dict[str, Any]:
    """Run the worker in two processes and return its figures, by recipe."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launcher, str(WORKER), str(folder), *map(str, recipes.values())],
        capture_output=True,
        text=True,
        timeout=580,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result["world_size"] == 2
    return dict(result["figures"])


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_steps_equal_those_of_a_model_that_is_not_sharded(kind: str, figures: dict[str, Any]) -> None:
    """In one of the steps a process has no example and runs empty passes."""
    np.testing.assert_allclose(figures[kind]["sharded"], figures[kind]["plain"], rtol=1e-12)
    assert figures[kind]["weight_difference"] < 1e-12


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_each_process_holds_half_of_the_weights(kind: str, figures: dict[str, Any]) -> None:
    plain, local = figures[kind]["parameters"]
    assert local == pytest.approx(plain / 2, rel=0.01)


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_a_resumed_run_is_bit_identical(kind: str, figures: dict[str, Any]) -> None:
    resumed = figures[kind]["resumed"]
    assert resumed["uninterrupted"] == resumed["resumed"]


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_checkpoints_of_plain_and_sharded_models_are_interchangeable(
    kind: str, figures: dict[str, Any]
) -> None:
    assert len(set(figures[kind]["digests"].values())) == 1
    assert max(figures[kind]["cross_resume_differences"]) < 1e-12


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_predictions_equal_those_of_a_model_that_is_not_sharded(kind: str, figures: dict[str, Any]) -> None:
    assert figures[kind]["prediction_difference"] < 1e-12


@pytest.mark.slow
@pytest.mark.distributed
@each_kind
def test_a_sharded_checkpoint_opens_in_one_process(
    kind: str, figures: dict[str, Any], folder: Path, recipes: dict[str, Path]
) -> None:
    """This process has no process group. The files hold the same tensors as the checkpoint of a plain model."""
    recipe = load.load(str(recipes[kind]), (), task_names=tasks.names(), task_options=tasks.options)
    model = in_float64(load_model(prepare(recipe, SILENT), SILENT))
    optimizer = build_adamw(model, 0.01)
    saved = folder / kind / "sharded" / "step-00000002"
    assert files.verify_folder(saved) is None
    checkpoint.load(saved, model, optimizer)
    assert hash_weights(model) == figures[kind]["digests"]["saved"]
    for name in ("weights.safetensors", "optimizer.safetensors"):
        own, plain = load_file(saved / name), load_file(folder / kind / "plain" / "step-00000002" / name)
        assert {key: value.shape for key, value in own.items()} == {k: v.shape for k, v in plain.items()}


def test_one_process_does_not_shard(session: Any, make_model: Any) -> None:
    placed = sharding.place(session, make_model(), shard=True)
    assert placed.full_model() is placed.model
    assert not sharding.is_sharded(placed.model)


def test_sharding_in_fp16_is_an_error(session: Any, make_model: Any) -> None:
    class TwoProcesses(type(session)):  # type: ignore[misc]
        world_size = 2

    two = replace(TwoProcesses(session.accelerator, 1, "fp32"), precision="fp16")
    with pytest.raises(RecipeError, match=r"C10.*train\.shard: a sharded model cannot be trained in fp16"):
        sharding.place(two, make_model(), shard=True)


def test_a_process_with_fewer_micro_batches_adds_passes_over_the_shortest_example() -> None:
    lengths = np.array([5, 2, 9, 4])
    micro_batches = [[np.array([2]), np.array([0])], [np.array([1, 3])], []]
    assignments = [_Assignment.of(micro_batches, rank, lengths, in_lockstep=True) for rank in range(3)]
    assert [assignment.filler_passes for assignment in assignments] == [0, 1, 2]
    assert all(assignment.filler.tolist() == [1] for assignment in assignments)
    assert _Assignment.of(micro_batches, 2, lengths, in_lockstep=False).filler_passes == 0


def test_out_of_memory_ends_a_sharded_run(
    session: Any, make_model: Any, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other processes wait inside a pass, so no process can repeat the step."""

    def loss(model: Any, batch: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(training, "is_sharded", lambda model: True)
    with pytest.raises(TrainingError, match=r"T02.*process 0 ran out of memory"):
        run_steps(session, make_model(), toy, loss=loss)


def test_a_failed_save_leaves_no_process_waiting(
    tmp_path: Path, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other processes gather every tensor in turn, so the writing process must take part to the end."""
    model = make_model()
    gathered: list[int] = []
    monkeypatch.setattr("llmkit.engine.tensors.gather_rows", lambda tensor: gathered.append(1) or tensor)
    checkpoint.join_save(model, build_adamw(model, 0.1))
    total = len(gathered)
    assert total == 3
    for function in ("check_space", "write_chunks"):
        gathered.clear()
        with monkeypatch.context() as patch, pytest.raises(StorageError):
            patch.setattr(files, function, fail)
            checkpoint.save(tmp_path, model, build_adamw(model, 0.1), checkpoint.State(step=1))
        assert len(gathered) == total


def fail(*_: Any) -> None:
    raise StorageError.of(files.make_disk_full_error(Path(), "no space left on the disk"))
