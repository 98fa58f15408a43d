"""The dated file of results: one JSON object with every run, rewritten after each, so that nothing is lost when cut."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import process
from bench.suite import Record, Settings, Suite

__all__ = ["Results"]


class Results:
    """Runs by what they were; facts are the sentences about the outputs of a suite."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.machine: dict[str, Any] = found.get("machine") or _machine()
        self.records = [_record(each) for each in found.get("records", [])]
        self.facts: dict[str, list[str]] = found.get("facts", {})

    def has(self, *key: str | int) -> bool:
        return any(record.key == key for record in self.records)

    def add(self, record: Record) -> None:
        self.records.append(record)
        self._write()

    def forget(self, foreign: float) -> None:
        """The runs during which others used more than this share of the machine."""
        self.records = [record for record in self.records if record.foreign <= foreign]

    def keep_facts(self, suite: Suite, settings: Settings) -> None:
        """Of the rounds that are whole, and whose output is still there."""
        names = [variant.name for variant in suite.variants]
        runs = {(run.round, run.variant) for run in self.of(suite.name, settings.threads, suite.size)}
        rounds = [
            number
            for number in sorted({number for number, _ in runs})
            if all((number, name) in runs for name in names)
        ]
        outputs = [_outputs(suite, number, settings) for number in rounds]
        whole = [found for found in outputs if len(found) == len(names)]
        if whole:
            self.facts[f"{suite.name} {settings.threads} {suite.size}"] = suite.facts(whole)
            self._write()

    def of(self, suite: str, threads: int, size: int) -> list[Record]:
        wanted = (suite, threads, size)
        return [run for run in self.records if (run.suite, run.threads, run.size) == wanted]

    def _write(self) -> None:
        from llmkit.base import files

        self.path.parent.mkdir(exist_ok=True)
        rows = [asdict(record) for record in self.records]
        files.write_json(self.path, {"machine": self.machine, "facts": self.facts, "records": rows})


def _outputs(suite: Suite, number: int, settings: Settings) -> dict[str, Any]:
    """What each variant of a round put out, for the variants whose output is there."""
    paths = {each.name: settings.run_folder(suite, each, number) / "stdout" for each in suite.variants}
    return {name: process.last_object(path).get("outputs") for name, path in paths.items() if path.exists()}


def _record(found: dict[str, Any]) -> Record:
    return Record(**{**found, "gflops": tuple(found["gflops"])})


def _machine() -> dict[str, Any]:
    import platform

    from llmkit.base import environment

    return {**environment.read_versions(), "system": platform.system()}
