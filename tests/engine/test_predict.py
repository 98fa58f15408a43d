"""Predictions come back by example index, each once, whatever the batches."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from llmkit.engine.predict import WRITTEN_ON_CPU, _in_order, predict
from llmkit.engine.train import Batches


@pytest.mark.parametrize("budget", [1, 12, 10_000])
def test_outputs_stand_in_the_order_of_the_examples(
    session: Any, make_model: Any, toy: Any, budget: int
) -> None:
    model = make_model()
    outputs = predict(session, model, replace(toy.batches, budget=budget), toy.decode)
    assert np.array_equal(outputs["values"], toy.values.numpy())
    with torch.no_grad():
        assert np.array_equal(outputs["prediction"], model.eval()(toy.values).argmax(-1).numpy())


def test_texts_are_written_in_fewer_batches_that_hold_what_will_be_written(
    session: Any, make_model: Any, toy: Any
) -> None:
    lengths = toy.batches.lengths
    sizes: list[list[int]] = []
    for writes in (0, 10):
        sizes.append([])

        def decode(model: Any, batch: Any, seen: list[int] = sizes[-1]) -> Any:
            seen.append(len(batch["values"]))
            return toy.decode(model, batch)

        found = predict(
            session,
            make_model(),
            replace(toy.batches, budget=int(lengths.max())),
            decode,
            max_new_tokens=writes,
        )
        assert len(next(iter(found.values()))) == len(lengths)
    reading, writing = sizes
    assert sum(reading) == sum(writing) == len(lengths)
    assert max(writing) > max(reading)
    assert max(writing) <= WRITTEN_ON_CPU * lengths.max() // (lengths.min() + 10)


def test_dropout_is_off(session: Any, make_model: Any, toy: Any) -> None:
    model = make_model().train()
    first = predict(session, model, toy.batches, lambda m, b: {"logits": m(b["values"])})
    second = predict(session, model, toy.batches, lambda m, b: {"logits": m(b["values"])})
    assert np.array_equal(first["logits"], second["logits"])


def test_progress_counts_up_to_all_examples(session: Any, make_model: Any, toy: Any) -> None:
    heard: list[tuple[int, int]] = []
    predict(
        session,
        make_model(),
        toy.batches,
        toy.decode,
        on_progress=lambda done, total: heard.append((done, total)),
    )
    assert heard[-1] == (24, 24)


@pytest.mark.parametrize("indices", [[0, 1, 1], [0, 1]])
def test_a_double_or_missing_example_is_noticed(indices: list[int]) -> None:
    with pytest.raises(AssertionError, match="missing or came twice"):
        _in_order([(np.array(indices), {"x": np.zeros(len(indices))})], 3)


@pytest.mark.parametrize("budget", [1, 7, 10_000])
def test_rows_by_token_are_filled_up_to_the_longest(session: Any, make_model: Any, budget: int) -> None:
    """A window of n tokens gives its n numbers wherever it was padded to, with 0 behind them."""
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


def test_nothing_to_predict_gives_nothing(session: Any, make_model: Any) -> None:
    empty = Batches(np.empty(0, np.int64), lambda *_: pytest.fail("fetched"), 10)
    assert predict(session, make_model(), empty, lambda model, batch: {}) == {}


def test_one_copy_of_the_outputs_is_made(session: Any, make_model: Any) -> None:
    """Beside the micro-batches' own arrays: rows by token are the largest thing there is after prediction."""
    parts = [(np.arange(50) + 50 * n, {"x": np.ones((50, 200 + n), np.float32)}) for n in range(20)]
    tracemalloc.start()
    found = _in_order(parts, 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["x"].shape == (1000, 219)
    assert peak < 1.2 * found["x"].nbytes


@dataclass
class OneOf:
    """The session of one of several processes; `others` is what the gather gives, once it is known."""

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
def test_any_number_of_processes_predicts_each_example_once(
    session: Any, make_model: Any, toy: Any, budget: int, processes: int
) -> None:
    """1 to 40 examples, also fewer than processes: what one process alone predicts, to the bit."""
    model, rng = make_model(), np.random.default_rng(0)
    for count in range(1, 41):
        values = torch.from_numpy(rng.normal(size=(count, 4)).astype(np.float32))
        labels = torch.zeros(count, dtype=torch.long)

        def fetch(indices: Any, epoch: int | None, rows: Any = (values, labels)) -> dict[str, torch.Tensor]:
            return {"values": rows[0][indices], "labels": rows[1][indices]}

        batches = Batches(rng.integers(1, 7, count), fetch, budget)
        expected = predict(session, model, batches, toy.decode)
        ranks = [OneOf(rank, processes, session.accelerator) for rank in range(processes)]
        for each in ranks:  # what each one has to give
            with suppress(AssertionError):
                predict(each, model, batches, toy.decode)  # type: ignore[arg-type]
        gathered = [each.own for each in ranks]
        for each in ranks:
            found = predict(replace(each, others=gathered), model, batches, toy.decode)  # type: ignore[arg-type]
            assert found.keys() == expected.keys()
            assert all(np.array_equal(found[name], expected[name]) for name in expected), (count, each.rank)
