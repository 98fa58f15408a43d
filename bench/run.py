"""Compare llmkit with other libraries on the same work: run the suites and write the table.

Each run is a new process. The variants of a suite take turns (A B C A B C), so that a change in the speed of the
machine affects all of them, and only ratios within a round are compared. Each run is saved when it is done, so running
the same command again continues an interrupted measurement. The table is rewritten after every round. bench/README.md
explains what is measured.

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
LONG = ("flat", "scaling")  # take an hour or more; run by name or with --long


def main(options: argparse.Namespace) -> None:
    settings = Settings(HERE.parent / "build" / "bench", options.threads, options.size)
    results = Results(HERE / "results" / f"{options.name}.json")
    if options.again:
        results.remove_busy(table.BUSY)
    for suite_name in options.suites or [*SUITES, *(LONG if options.long else ())]:
        suite = importlib.import_module(f"bench.suites.{suite_name}").suite(settings)
        for number in range(1, (options.rounds or suite.rounds) + 1):
            run_round(suite, number, settings, results)
            results.update_facts(suite, settings)
            table.write(results, settings)
    print(f"\n{results.path.with_suffix('.md')}")


def run_round(suite: Suite, number: int, settings: Settings, results: Results) -> None:
    """Run every variant of the suite once, except those that already have a result for this round."""
    print(f"{suite.name}, round {number}", flush=True)
    before = None
    for variant in suite.variants:
        if results.has(suite.name, variant.name, number, settings.threads, suite.size):
            before = None
            continue
        before = before or probe(settings)
        record, before = measure(suite, variant, number, settings, before)
        results.add(record)
        busy = record.other_load > table.BUSY
        warning = f"  OTHER PROCESSES USED {record.other_load:.0%} OF THE MACHINE" if busy else ""
        print(
            f"  {variant.name:28} {record.wall_seconds:7.1f} s, {record.cpu_seconds:7.1f} s CPU, "
            f"{record.peak_bytes / 1e6:6.0f} MB{warning}",
            flush=True,
        )


def measure(
    suite: Suite, variant: Variant, number: int, settings: Settings, before: tuple[float, float]
) -> tuple[Record, tuple[float, float]]:
    """Run one variant with empty data caches, then the probe.

    Args:
        suite: The suite.
        variant: The variant to run.
        number: Number of the round.
        settings: Settings of the command line.
        before: Result of the probe before the run.

    Returns:
        The record of the run, and the result of the probe after it.
    """
    folder = settings.run_folder(suite, variant, number)
    shutil.rmtree(folder, ignore_errors=True)
    command = [argument.format(round=number, out=folder / "out") for argument in variant.command]
    measurement = process.run(command, process.make_environment(settings.threads, folder), folder)
    for name in ("out", "cache"):
        shutil.rmtree(folder / name, ignore_errors=True)
    after = probe(settings)
    record = Record(
        suite.name,
        variant.name,
        number,
        settings.threads,
        suite.size,
        measurement.wall_seconds,
        measurement.cpu_seconds,
        measurement.peak_bytes,
        measurement.other_load,
        gflops=((before[0] + after[0]) / 2, (before[1] + after[1]) / 2),
        output={key: value for key, value in measurement.output.items() if key != "outputs"},
    )
    return record, after


def probe(settings: Settings) -> tuple[float, float]:
    """Return the GFLOP per second of real time and of CPU time that matrix products reach now."""
    folder = settings.folder / "runs" / f"probe-{os.getpid()}"
    command = [sys.executable, str(HERE / "probe.py")]
    speed = process.run(command, process.make_environment(settings.threads, folder), folder).output
    return speed["wall"], speed["cpu"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join([*SUITES, *LONG]))
    parser.add_argument("--rounds", type=int, help="number of rounds (default: that of each suite)")
    parser.add_argument(
        "--threads", type=int, default=2, help="number of threads; with 1 the table shows CPU times"
    )
    parser.add_argument("--size", type=int, help="number of examples (default: that of each suite)")
    parser.add_argument(
        "--name",
        default=f"{date.today():%Y-%m-%d}",
        help="name of the results (default: the date); existing results are continued",
    )
    parser.add_argument(
        "--again", action="store_true", help="repeat the runs during which the machine was busy"
    )
    parser.add_argument("--long", action="store_true", help="also run the suites that take an hour or more")
    options = parser.parse_args()
    unknown = set(options.suites) - {*SUITES, *LONG}
    if unknown:
        parser.error(
            f"there is no suite {', '.join(sorted(unknown))}; choose from {', '.join([*SUITES, *LONG])}"
        )
    main(options)
