"""Code generation: a chat model writes Python programs.

Rows are those of MBPP, or prompt and completion (see `data.checks.programs`). With `run_programs` each program runs on
its row's tests in a sandbox (`llmkit.sandbox.runner`), and pass@1 is the share of problems whose program passes all.
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
from llmkit.base.errors import shorten_list
from llmkit.data.checks.columns import object_array
from llmkit.data.checks.programs import COLUMNS, check_programs
from llmkit.data.checks.row_errors import Checked
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
from llmkit.tasks.chat import Chat
from llmkit.tasks.protocol import Arrays, Examples, Record, Rows, ScoreSheet, TaskSpec, same_names
from llmkit.text.code import extract_program

__all__ = ["Code", "Options", "make"]

NOT_RUN = "programs were not run: task.run_programs=true (for evaluate --run-programs) runs them in a sandbox"
NO_PROGRAM = "no program"
WORDING = replace(
    chat.WORDING,
    title="code generation",
    purpose="writes Python programs",
    error_columns={"label": "Reference program", "prediction": "Generated program"},
)


class Options(chat.Options):
    """Task options of code."""

    run_programs: bool = False
    """Run programs on their rows' tests in a sandbox (Linux only); false: compare them as text. Not saved with a
    model: whoever opens it must ask again."""


def make(options: Options, tuned: Mapping[str, Any]) -> Code:
    """Make the task."""
    return Code(options, tuned)


@dataclass(frozen=True)
class Code(Chat):
    """A program for each exercise."""

    options: Options

    @property
    def spec(self) -> TaskSpec:
        spec = super().spec
        return replace(
            spec,
            metrics=("pass@1", *spec.metrics) if self.options.run_programs else spec.metrics,
            wording=WORDING,
            optional_columns=same_names(*COLUMNS),
            keeps_line_breaks=True,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        """Check the rows; with run_programs also that the sandbox works and which solutions pass their own tests.

        Raises:
            DataError: With all errors.
            UserError: X01, when programs are to be run but the sandbox does not work here.
        """
        if not self.options.run_programs:
            examples = super().check(corpus, data, seed, labels)
            return replace(examples, notes=(*examples.notes, NOT_RUN))
        runner.run_program(Program("", ""))
        examples = super().check(corpus, data, seed, labels)
        notes = [_run_solutions(name, split) for name, split in examples.corpus.splits.items()]
        return replace(examples, notes=(*examples.notes, *notes))

    def _check_rows(self, corpus: Corpus, data: Data) -> Checked:
        return check_programs(corpus, data, tested=self.options.run_programs)

    def _read_references(self, split: Split) -> NDArray[np.object_]:
        return object_array((code,) for code in split.column("code"))

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """Return the predictions of chat with programs as `texts`, or the whole answer if it has no program.

        If programs are run, `verdicts` and `details` are added, (N,) each, on the main process.
        """
        predictions = super().predictions(outputs, encoded, rows)
        if "texts" not in predictions:
            return predictions
        programs = [extract_program(text).rstrip() for text in predictions["texts"]]
        texts = object_array(code or text for code, text in zip(programs, predictions["texts"], strict=True))
        predictions = {**predictions, "texts": texts}
        if not (self.options.run_programs and "tests" in rows and processes.is_main()):
            return predictions
        numbers = [number for number, code in enumerate(programs) if code]
        jobs = [Program(programs[number], rows["tests"][number]) for number in numbers]
        outcomes = dict(zip(numbers, _run_all(jobs), strict=True))
        verdicts, details = [], []
        for number in range(len(programs)):
            outcome = outcomes.get(number)
            verdicts.append(outcome.reason if outcome else NO_PROGRAM)
            details.append(outcome.detail if outcome else "")
        return {**predictions, "verdicts": object_array(verdicts), "details": object_array(details)}

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

    def _measure(self, references: Arrays, predictions: Arrays) -> Statistics:
        statistics = super()._measure(references, predictions)
        if "verdicts" not in predictions:
            return statistics
        passed = [(1, int(verdict == "passed")) for verdict in predictions["verdicts"]]
        return Statistics.join([pass_at_k.count_passes(passed), statistics])

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
        """Compare by what both predictions have: the programs of only one run may have been run."""
        names = first.keys() & second.keys()
        first, second = ({name: each[name] for name in names} for each in (first, second))
        return super().difference(references, first, second, metric, labels, resampling=resampling)

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_] | None:
        """Return which programs passed their tests; None if they were not run."""
        return np.equal(predictions["verdicts"], "passed") if "verdicts" in predictions else None

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        """Yield records as of chat, and what became of each program if it was run.

        `verdict` is passed, failed, timeout, memory, refused, crashed or no program; `detail` says why.
        """
        names = {"verdict": "verdicts", "detail": "details"} if "verdicts" in predictions else {}
        for number, record in enumerate(super().records(rows, predictions, labels, references)):
            yield record | {key: predictions[name][number] for key, name in names.items()}

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        references, predictions = super().parse_records(records, labels)
        if not all("verdict" in record for record in records):
            return references, predictions
        return references, {**predictions, "verdicts": object_array(record["verdict"] for record in records)}

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the programs that have the least in common with the solution, without those that pass their tests."""
        verdicts = {record["place"]: record.get("verdict") for record in records}
        failed = [record for record in records if verdicts[record["place"]] != "passed"]
        return [{**row, "verdict": verdicts[row["place"]]} for row in super().worst_errors(failed)]


def _run_all(programs: Sequence[Program]) -> list[Outcome]:
    return runner.run_programs(programs, workers=len(os.sched_getaffinity(0)))


def _run_solutions(name: str, split: Split) -> str:
    """Run the solutions in the data, and return a note: no program can be scored by tests that its solution fails."""
    pairs = zip(split.column("code"), split.column("tests"), strict=True)
    outcomes = _run_all([Program(*pair) for pair in pairs])
    failed = [
        f"{split.place(row)} ({outcome.reason})" for row, outcome in enumerate(outcomes) if not outcome.passed
    ]
    if failed:
        rows = format_row_count(len(failed))
        return f"{name}: {rows} whose own solution fails its tests: {shorten_list(failed, 20)}"
    return f"{name}: all {len(split):,} solutions in the data pass their tests"
