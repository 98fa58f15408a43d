"""llmkit beside its peers on the same work: run the suites, in turn and in processes of their own, and write the table.

Variants run as A B C A B C, so that a machine that grows slower does so for all of them; only ratios within a round
are compared. Each run is kept as soon as it is done: the same command again goes on where it was cut, and the table is
written anew after every round. What is measured stands in bench/README.md.

Usage: python bench/run.py [SUITE ...] [--rounds N] [--threads 2] [--size N] [--name DATE] [--again] [--long]
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench import process, table  # noqa: E402
from bench.results import Results  # noqa: E402
from bench.suite import Record, Settings, Suite, Variant  # noqa: E402

SUITES = ("train", "sft", "predict", "generate", "metrics", "startup", "job")
LONG = ("flat", "scaling")  # an hour and more: asked for by name, or with --long


def main(chosen: argparse.Namespace) -> None:
    settings = Settings(HERE.parent / "build" / "bench", chosen.threads, chosen.size)
    results = Results(HERE / "results" / f"{chosen.name}.json")
    if chosen.again:
        results.forget(table.BUSY)
    for suite_name in chosen.suites or [*SUITES, *(LONG if chosen.long else ())]:
        suite = importlib.import_module(f"bench.suites.{suite_name}").suite(settings)
        for number in range(1, (chosen.rounds or suite.rounds) + 1):
            one_round(suite, number, settings, results)
            results.keep_facts(suite, settings)
            table.write(results, settings)
    print(f"\n{results.path.with_suffix('.md')}")


def one_round(suite: Suite, number: int, settings: Settings, results: Results) -> None:
    """Every variant of the suite once, but for those that were run before."""
    print(f"{suite.name}, round {number}", flush=True)
    before = None
    for variant in suite.variants:
        if results.has(suite.name, variant.name, number, settings.threads, suite.size):
            before = None
            continue
        before = before or probe(settings)
        record, before = measured(suite, variant, number, settings, before)
        results.add(record)
        busy = f"  OTHERS USED {record.foreign:.0%} OF THE MACHINE" if record.foreign > table.BUSY else ""
        print(
            f"  {variant.name:28} {record.wall_seconds:7.1f} s, {record.cpu_seconds:7.1f} s of processor, "
            f"{record.peak_bytes / 1e6:6.0f} MB{busy}",
            flush=True,
        )


def measured(
    suite: Suite, variant: Variant, number: int, settings: Settings, before: tuple[float, float]
) -> tuple[Record, tuple[float, float]]:
    """One run, and the probe after it. Its data are read, as every user reads them, for the first time."""
    folder = settings.run_folder(suite, variant, number)
    shutil.rmtree(folder, ignore_errors=True)
    command = [part.format(round=number, out=folder / "out") for part in variant.command]
    found = process.run(command, process.environment(settings.threads, folder), folder)
    for kept in ("out", "cache"):
        shutil.rmtree(folder / kept, ignore_errors=True)
    after = probe(settings)
    gflops = ((before[0] + after[0]) / 2, (before[1] + after[1]) / 2)
    said = {key: value for key, value in found.said.items() if key != "outputs"}
    record = Record(
        suite.name,
        variant.name,
        number,
        settings.threads,
        suite.size,
        found.wall_seconds,
        found.cpu_seconds,
        found.peak_bytes,
        found.foreign,
        gflops,
        said,
    )
    return record, after


def probe(settings: Settings) -> tuple[float, float]:
    """GFLOP/s by the clock, and per second of the processor."""
    folder = settings.folder / "runs" / f"probe-{os.getpid()}"
    command = [sys.executable, str(HERE / "probe.py")]
    found = process.run(command, process.environment(settings.threads, folder), folder).said
    return found["wall"], found["cpu"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join([*SUITES, *LONG]))
    parser.add_argument("--rounds", type=int, help="in place of each suite's own number")
    parser.add_argument(
        "--threads", type=int, default=2, help="1: compare seconds of the processor (a busy machine)"
    )
    parser.add_argument("--size", type=int, help="examples, where the suite's own number is too many")
    parser.add_argument(
        "--name", default=f"{date.today():%Y-%m-%d}", help="of the results; an old one goes on"
    )
    parser.add_argument(
        "--again", action="store_true", help="measure anew what others' work may have blurred"
    )
    parser.add_argument("--long", action="store_true", help="also those that take an hour and more")
    chosen = parser.parse_args()
    unknown = set(chosen.suites) - {*SUITES, *LONG}
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join([*SUITES, *LONG])}")
    main(chosen)
