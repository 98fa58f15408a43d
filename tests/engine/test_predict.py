"""Predictions are returned by example index, each once, whatever the batches and processes."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from llmkit.engine.predict import GENERATION_FACTOR_CPU, _merge, predict
from llmkit.engine.train import Batches


@pytest.mark.parametrize("budget", [1, 12, 10_000])
def test_outputs_are_in_the_order_of_the_examples(
    session: Any, make_model: Any, toy: Any, budget: int
) -> None:
    model = make_model()
    outputs = predict(session, model, replace(toy.batches, budget=budget), toy.decode)
    assert np.array_equal(outputs["values"], toy.values.numpy())
    with torch.no_grad():
        assert np.array_equal(outputs["prediction"], model.eval()(toy.values).argmax(-1).numpy())


def test_generation_uses_larger_batches_with_room_for_the_new_tokens(
    session: Any, make_model: Any, toy: Any
) -> None:
    lengths = toy.batches.lengths
    sizes: list[list[int]] = []
    for max_new_tokens in (0, 10):
        sizes.append([])

        def decode(model: Any, batch: Any, seen: list[int] = sizes[-1]) -> Any:
            seen.append(len(batch["values"]))
            return toy.decode(model, batch)

        outputs = predict(
            session,
            make_model(),
            replace(toy.batches, budget=int(lengths.max())),
            decode,
            max_new_tokens=max_new_tokens,
        )
        assert len(next(iter(outputs.values()))) == len(lengths)
    without, generating = sizes
    assert sum(without) == sum(generating) == len(lengths)
    assert max(generating) > max(without)
    assert max(generating) <= GENERATION_FACTOR_CPU * lengths.max() // (lengths.min() + 10)


def test_prediction_disables_dropout(session: Any, make_model: Any, toy: Any) -> None:
    model = make_model().train()
    first = predict(session, model, toy.batches, lambda m, b: {"logits": m(b["values"])})
    second = predict(session, model, toy.batches, lambda m, b: {"logits": m(b["values"])})
    assert np.array_equal(first["logits"], second["logits"])


def test_progress_ends_at_the_number_of_examples(session: Any, make_model: Any, toy: Any) -> None:
    calls: list[tuple[int, int]] = []
    predict(
        session,
        make_model(),
        toy.batches,
        toy.decode,
        on_progress=lambda done, total: calls.append((done, total)),
    )
    assert calls[-1] == (24, 24)


@pytest.mark.parametrize("indices", [[0, 1, 1], [0, 1]])
def test_a_duplicate_or_missing_window_is_an_error(indices: list[int]) -> None:
    with pytest.raises(AssertionError, match="missing or occurs twice"):
        _merge([(np.array(indices), {"x": np.zeros(len(indices))})], 3)


@pytest.mark.parametrize("budget", [1, 7, 10_000])
def test_results_per_token_are_padded_to_the_longest(session: Any, make_model: Any, budget: int) -> None:
    """A window of n tokens has its n numbers, then 0, whatever its micro-batch was padded to."""
    lengths = np.array([3, 1, 6, 2, 6, 4])

    def fetch(indices: Any, epoch: int | None) -> dict[str, torch.Tensor]:
        assert epoch is None
        longest = int(lengths[indices].max())
        places = torch.arange(1, longest + 1)
        return {"ids": torch.stack([(places + 10 * i) * (places <= lengths[i]) for i in indices.tolist()])}

    outputs = predict(
        session,
        make_model(),
        Batches(lengths, fetch, budget),
        lambda _, batch: {"ids": batch["ids"], "pairs": torch.stack([batch["ids"], -batch["ids"]], -1)},
    )
    assert outputs["ids"].shape == (6, 6) and outputs["ids"].dtype == np.int64
    for number, length in enumerate(lengths):
        expected = [10 * number + place for place in range(1, length + 1)] + [0] * (6 - length)
        assert outputs["ids"][number].tolist() == expected
    assert np.array_equal(outputs["pairs"], np.stack([outputs["ids"], -outputs["ids"]], -1))


def test_an_empty_data_set_gives_no_arrays(session: Any, make_model: Any) -> None:
    empty = Batches(np.empty(0, np.int64), lambda *_: pytest.fail("fetched"), 10)
    assert predict(session, make_model(), empty, lambda model, batch: {}) == {}


def test_merging_makes_a_single_copy_of_the_outputs(session: Any, make_model: Any) -> None:
    """Results per token are the largest arrays after prediction."""
    parts = [(np.arange(50) + 50 * n, {"x": np.ones((50, 200 + n), np.float32)}) for n in range(20)]
    tracemalloc.start()
    merged = _merge(parts, 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert merged["x"].shape == (1000, 219)
    assert peak < 1.2 * merged["x"].nbytes


@dataclass
class OneOf:
    """A stand-in for the session of one of several processes; `others` is the result of gather, once known."""

    rank: int
    world_size: int
    accelerator: Any
    others: list[Any] | None = None
    own: Any = None

    def to_device(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return batch

    def gather(self, value: Any) -> list[Any]:
        self.own = value
        return self.others or [[]] * self.rank + [value] + [[]] * (self.world_size - self.rank - 1)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("budget", [1, 12, 10_000])
def test_any_number_of_processes_gives_the_predictions_of_one(
    session: Any, make_model: Any, toy: Any, budget: int, processes: int
) -> None:
    """For 1 to 40 examples, also fewer than processes, the predictions are bit-identical to those of one process."""
    model, rng = make_model(), np.random.default_rng(0)
    for count in range(1, 41):
        values = torch.from_numpy(rng.normal(size=(count, 4)))
        labels = torch.zeros(count, dtype=torch.long)

        def fetch(indices: Any, epoch: int | None, rows: Any = (values, labels)) -> dict[str, torch.Tensor]:
            return {"values": rows[0][indices], "labels": rows[1][indices]}

        batches = Batches(rng.integers(1, 7, count), fetch, budget)
        expected = predict(session, model, batches, toy.decode)
        ranks = [OneOf(rank, processes, session.accelerator) for rank in range(processes)]
        for each in ranks:  # collect what each process sends
            with suppress(AssertionError):
                predict(each, model, batches, toy.decode)  # type: ignore[arg-type]
        gathered = [each.own for each in ranks]
        for each in ranks:
            outputs = predict(replace(each, others=gathered), model, batches, toy.decode)  # type: ignore[arg-type]
            assert outputs.keys() == expected.keys()
            assert all(np.array_equal(outputs[name], expected[name]) for name in expected), (count, each.rank)
