"""A session of one process."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from llmkit.base import processes
from llmkit.base.errors import RecipeError, RunError
from llmkit.engine import session as sessions


def test_one_process_sums_and_gathers_its_own(session: Any) -> None:
    assert (session.rank, session.world_size) == (0, 1)
    assert session.sum([1.5, 2.0]) == [1.5, 2.0]
    assert session.gather({"a": 1}) == [{"a": 1}]
    assert session.broadcast("x") == "x"


def test_the_seed_of_an_update_depends_on_its_step_only(session: Any) -> None:
    session.seed_step(5)
    first = torch.rand(3)
    torch.rand(10)
    session.seed_step(5)
    assert torch.equal(torch.rand(3), first)
    session.seed_step(6)
    assert not torch.equal(torch.rand(3), first)


def test_processes_that_did_not_join_are_noticed(monkeypatch: Any) -> None:
    monkeypatch.setattr(processes, "world_size", lambda: 2)
    with (
        pytest.raises(RuntimeError, match="2 processes were started, 1 joined"),
        sessions.start(seed=1, precision="fp32"),
    ):
        pass


def test_a_partner_that_has_ended_is_no_bug(monkeypatch: Any) -> None:
    """That gloo says so when one is killed is shown in tests/e2e/test_sharding.py."""
    gone = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:32434")
    monkeypatch.setattr(processes, "world_size", lambda: 2)
    monkeypatch.setattr(sessions.Accelerator, "num_processes", 2)
    with (
        pytest.raises(RunError, match="another process of this run has ended"),
        sessions.start(seed=1, precision="fp32"),
    ):
        raise gone
    with (
        pytest.raises(RuntimeError, match="a fault of ours"),
        sessions.start(seed=1, precision="fp32"),
    ):
        raise RuntimeError("a fault of ours")


def test_sharding_that_a_launcher_asks_for_is_refused(monkeypatch: Any) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(RecipeError, match=r"C10.*asks for FSDP"), sessions.start(seed=1, precision="fp32"):
        pass


def test_buckets_keep_the_order_and_their_size(monkeypatch: Any) -> None:
    monkeypatch.setattr(sessions, "BUCKET", 100)
    tensors = [torch.zeros(n) for n in (10, 10, 10, 40, 1)] + [torch.zeros(1, dtype=torch.float64)]
    found = list(sessions._buckets(tensors))
    assert [[len(t) for t in bucket] for bucket in found] == [[10, 10], [10], [40], [1], [1]]
    assert [id(t) for bucket in found for t in bucket] == [id(t) for t in tensors]
    assert list(sessions._buckets([])) == []
