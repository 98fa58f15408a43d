"""The results file of a day: one JSON object with all runs, rewritten after each run so that none is lost."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import process
from bench.suite import Record, Settings, Suite
from llmkit.base import environment, files

__all__ = ["Results"]

KEYS = {"other_load": "foreign", "output": "said"}  # fields of Record that have another name in the file


class Results:
    """The runs in a results file.

    Attributes:
        path: The file.
        machine: Versions and hardware.
        records: The runs.
        facts: Sentences about the outputs, by suite, threads and size.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.machine: dict[str, Any] = content.get("machine") or {
            **environment.read_versions(),
            "system": platform.system(),
        }
        self.records = [_read_record(row) for row in content.get("records", [])]
        self.facts: dict[str, list[str]] = content.get("facts", {})

    def has(self, *key: str | int) -> bool:
        """Return whether there is a run with this `Record.key`."""
        return any(record.key == key for record in self.records)

    def add(self, record: Record) -> None:
        self.records.append(record)
        self._write()

    def remove_busy(self, limit: float) -> None:
        """Remove the runs during which other processes used more than this fraction of the machine."""
        self.records = [record for record in self.records if record.other_load <= limit]

    def update_facts(self, suite: Suite, settings: Settings) -> None:
        """Compute the facts of a suite from the rounds that are complete and whose outputs still exist."""
        names = [variant.name for variant in suite.variants]
        runs = {(run.round, run.variant) for run in self.select(suite.name, settings.threads, suite.size)}
        complete = []
        for number in sorted({number for number, _ in runs}):
            outputs = {}
            for variant in suite.variants:
                path = settings.run_folder(suite, variant, number) / "stdout"
                if (number, variant.name) in runs and path.exists():
                    outputs[variant.name] = process.read_last_object(path).get("outputs")
            if len(outputs) == len(names):
                complete.append(outputs)
        if complete:
            self.facts[f"{suite.name} {settings.threads} {suite.size}"] = suite.facts(complete)
            self._write()

    def select(self, suite: str, threads: int, size: int) -> list[Record]:
        """Return the runs of a suite with this number of threads and this size."""
        key = (suite, threads, size)
        return [run for run in self.records if (run.suite, run.threads, run.size) == key]

    def _write(self) -> None:
        self.path.parent.mkdir(exist_ok=True)
        rows = [{KEYS.get(name, name): value for name, value in asdict(run).items()} for run in self.records]
        files.write_json(self.path, {"machine": self.machine, "facts": self.facts, "records": rows})


def _read_record(row: dict[str, Any]) -> Record:
    fields = {name: row[KEYS.get(name, name)] for name in Record.__dataclass_fields__}
    return Record(**{**fields, "gflops": tuple(row["gflops"])})
