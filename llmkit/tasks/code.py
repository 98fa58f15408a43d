"""Programs: a task is read, a Python program is written, learned as an answer in a chat.

Rows are MBPP's, or prompt and completion (`data.programs`). With `run_programs` each program is run on its row's tests
in a sandbox (`llmkit.sandbox.runner`), and pass@1 is the share of problems whose program passes all of them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base import processes
from llmkit.base.errors import ErrorDetail, shorten_list
from llmkit.data.checks.columns import object_array
from llmkit.data.checks.programs import COLUMNS, check_programs
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.encoding.features import Encoded
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Statistics
from llmkit.metrics.tasks import pass_at_k
from llmkit.recipe.schema import Data
from llmkit.sandbox import runner
from llmkit.sandbox.runner import Outcome, Program
from llmkit.tasks import chat
from llmkit.tasks.protocol import Arrays, Examples, Rows, ScoreSheet, TaskSpec, same_names
from llmkit.text.code import extract_program

__all__ = ["Code", "Options", "make"]

NOT_RUN = "programs were not run: task.run_programs=true (for evaluate --run-programs) runs them in a sandbox"
NO_PROGRAM = "no program"


class Options(chat.Options):
    """Task options of code."""

    run_programs: bool = False
    """Whether programs are run on their rows' tests, locked in a sandbox (Linux only); false: compared as texts. Not
    kept with a model: who opens it asks again."""


def make(options: Options, tuned: Mapping[str, Any]) -> Code:
    """The task with these options."""
    return Code(options, tuned)


@dataclass(frozen=True)
class Code(chat.Chat):
    """A program for each task; see `protocol.Task` for what each part is."""

    @property
    def spec(self) -> TaskSpec:
        spec = super().spec
        return replace(
            spec,
            metrics=("pass@1", *spec.metrics) if self.options.run_programs else spec.metrics,
            optional_columns=same_names(*COLUMNS),
            keeps_line_breaks=True,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        """Raises UserError X01 where programs are to be run and can't be, before any time is spent."""
        if not self.options.run_programs:
            found = super().check(corpus, data, seed, labels)
            return replace(found, notes=(*found.notes, NOT_RUN))
        runner.run(Program("", ""))
        found = super().check(corpus, data, seed, labels)
        failing = [note for name, part in found.corpus.splits.items() for note in _failing(name, part)]
        return replace(found, notes=(*found.notes, *failing))

    def _read(self, corpus: Corpus, data: Data) -> tuple[Corpus, list[ErrorDetail], list[str]]:
        return check_programs(corpus, data, tested=self.options.run_programs)

    def _references(self, part: Split) -> Any:
        return object_array((code,) for code in part.column("code"))

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """As in chat; texts: the programs, or the answers without one as they are. Where there are tests to run:
        verdicts and details (N,)."""
        found = super().predictions(outputs, encoded, rows)
        if "texts" not in found:
            return found
        programs = [extract_program(text).rstrip() for text in found["texts"]]
        texts = object_array(code or text for code, text in zip(programs, found["texts"], strict=True))
        return {**found, "texts": texts, **self._verdicts(programs, rows)}

    def _verdicts(self, programs: Sequence[str], rows: Rows) -> Arrays:
        if not (self.options.run_programs and "tests" in rows and processes.is_main()):
            return {}
        there = [number for number, code in enumerate(programs) if code]
        tests = rows["tests"]
        outcomes = dict(zip(there, _run([Program(programs[n], tests[n]) for n in there]), strict=True))
        of_each = [outcomes.get(number) for number in range(len(programs))]
        return {
            "verdicts": object_array(NO_PROGRAM if one is None else one.reason for one in of_each),
            "details": object_array("" if one is None else one.detail for one in of_each),
        }

    def _measured(self, references: Arrays, predictions: Arrays) -> Statistics:
        found = super()._measured(references, predictions)
        if "verdicts" not in predictions:
            return found
        passed = [(1, int(verdict == "passed")) for verdict in predictions["verdicts"]]
        return Statistics.join([pass_at_k.count_passes(passed), found])

    def score(
        self,
        references: Arrays,
        predictions: Arrays,
        labels: Sequence[str],
        *,
        resampling: Resampling | None,
        metrics: Sequence[str] = (),
    ) -> ScoreSheet:
        sheet = super().score(references, predictions, labels, resampling=resampling, metrics=metrics)
        if resampling is None or "verdicts" not in predictions:
            return sheet
        verdicts = dict(Counter(predictions["verdicts"]).most_common())
        return replace(sheet, details={**sheet.details, "verdicts": verdicts})

    def difference(
        self,
        references: Arrays,
        first: Arrays,
        second: Arrays,
        metric: str,
        labels: Sequence[str],
        *,
        resampling: Resampling,
    ) -> Difference:
        """By what both have: the programs of one run may have been run, those of the other not."""
        both = first.keys() & second.keys()
        first, second = ({name: own[name] for name in both} for own in (first, second))
        return super().difference(references, first, second, metric, labels, resampling=resampling)

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_] | None:
        return predictions["verdicts"] == "passed" if "verdicts" in predictions else None

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        """As in chat; verdict: passed, failed, timeout, memory, refused, crashed, or no program; detail: why."""
        told = {"verdict": "verdicts", "detail": "details"} if "verdicts" in predictions else {}
        for number, record in enumerate(super().records(rows, predictions, labels, references)):
            yield record | {key: predictions[name][number] for key, name in told.items()}

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        references, predictions = super().parse_records(records, labels)
        if not all("verdict" in record for record in records):
            return references, predictions
        return references, {**predictions, "verdicts": object_array(record["verdict"] for record in records)}

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that have the least in common with the solution in the data, without those that pass."""
        verdicts = {record["place"]: record.get("verdict") for record in records}
        wrong = super().worst_errors([record for record in records if verdicts[record["place"]] != "passed"])
        return [{**row, "verdict": verdicts[row["place"]]} for row in wrong]


def _run(programs: Sequence[Program]) -> list[Outcome]:
    return runner.run_many(programs, workers=len(os.sched_getaffinity(0)))


def _failing(name: str, part: Split) -> Iterator[str]:
    """Rows whose own solution does not pass: no program could be judged by such tests."""
    outcomes = _run([Program(*pair) for pair in zip(part.column("code"), part.column("tests"), strict=True)])
    bad = [f"{part.place(row)} ({one.reason})" for row, one in enumerate(outcomes) if not one.passed]
    if bad:
        rows = format_row_count(len(bad))
        yield f"{name}: {rows} whose own solution does not pass its tests: {shorten_list(bad, 20)}"
    else:
        yield f"{name}: all {len(part):,} solutions in the data pass their tests"
