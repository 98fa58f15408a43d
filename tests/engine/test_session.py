"""A session of one process."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from llmkit.base import processes
from llmkit.base.errors import RecipeError, RunError
from llmkit.engine import session as sessions


def test_collectives_of_one_process_return_its_own_values(session: Any) -> None:
    assert (session.rank, session.world_size) == (0, 1)
    assert session.sum([1.5, 2.0]) == [1.5, 2.0]
    assert session.gather({"a": 1}) == [{"a": 1}]
    assert session.broadcast("x") == "x"


def test_the_seed_of_a_step_depends_only_on_its_number(session: Any) -> None:
    session.seed_step(5)
    first = torch.rand(3)
    torch.rand(10)
    session.seed_step(5)
    assert torch.equal(torch.rand(3), first)
    session.seed_step(6)
    assert not torch.equal(torch.rand(3), first)


def test_processes_that_did_not_join_are_an_error(monkeypatch: Any) -> None:
    monkeypatch.setattr(processes, "get_world_size", lambda: 2)
    with (
        pytest.raises(RuntimeError, match="2 processes were started, 1 joined"),
        sessions.start(seed=1, precision="fp32"),
    ):
        pass


def test_the_end_of_another_process_is_a_user_error(monkeypatch: Any) -> None:
    """tests/e2e/test_sharding.py shows that gloo reports a killed process with this message."""
    gone = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:32434")
    monkeypatch.setattr(processes, "get_world_size", lambda: 2)
    monkeypatch.setattr(sessions.Accelerator, "num_processes", 2)
    with (
        pytest.raises(RunError, match="another process of this run has ended"),
        sessions.start(seed=1, precision="fp32"),
    ):
        raise gone
    with (
        pytest.raises(RuntimeError, match="a bug of llmkit"),
        sessions.start(seed=1, precision="fp32"),
    ):
        raise RuntimeError("a bug of llmkit")


def test_fsdp_requested_by_a_launcher_is_an_error(monkeypatch: Any) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(RecipeError, match=r"C10.*asks for FSDP"), sessions.start(seed=1, precision="fp32"):
        pass


def test_gradient_buckets_keep_the_order_and_respect_their_size(monkeypatch: Any) -> None:
    monkeypatch.setattr(sessions, "BUCKET_BYTES", 100)
    tensors = [torch.zeros(n) for n in (10, 10, 10, 40, 1)] + [torch.zeros(1, dtype=torch.float64)]
    buckets = list(sessions._split_into_buckets(tensors))
    assert [[len(t) for t in bucket] for bucket in buckets] == [[10, 10], [10], [40], [1], [1]]
    assert [id(t) for bucket in buckets for t in bucket] == [id(t) for t in tensors]
    assert list(sessions._split_into_buckets([])) == []
