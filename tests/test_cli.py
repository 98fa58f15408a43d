"""The command line as a process: imported modules, exit codes and error messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import llmkit
from llmkit import cli
from llmkit.base.errors import Interrupted, Stopped
from llmkit.base.files import translate_os_errors
from llmkit.commands import finetune
from llmkit.recipe import packaged

HEAVY = {"torch", "transformers", "datasets", "accelerate", "peft", "evaluate", "sklearn", "matplotlib"}
MIDDLE = {"numpy", "rich", "yaml"}
# Runs the command line, then prints which of the modules named in the first argument were loaded.
LOADED = """
import sys
names = sys.argv.pop(1).split()
from llmkit.cli import main
try:
    main()
except SystemExit:
    print("LOADED", *(name for name in names if name in sys.modules))
"""


def imported(names: set[str], *arguments: str) -> set[str]:
    """Return those of the modules that a command line imports."""
    command = [sys.executable, "-c", LOADED, " ".join(sorted(names)), *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    last = process.stdout.splitlines()[-1].split()
    assert last[0] == "LOADED"
    return set(last[1:])


def test_help_imports_no_heavy_library() -> None:
    assert imported(HEAVY | MIDDLE | {"pydantic"}, "--help") == set()


@pytest.mark.parametrize(
    "arguments", [["finetune", "--help"], ["recipes", "--help"], ["recipes", "list"], ["recipes", "lst"]]
)
def test_listing_commands_import_no_heavy_library(arguments: list[str]) -> None:
    assert imported(HEAVY | MIDDLE, *arguments) == set()


def test_error_in_a_recipe_imports_no_heavy_library(tmp_path: Path) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("task: {name: classification}\nmodel: {nmae: a}\n", encoding="utf-8")
    assert imported(HEAVY, "finetune", str(recipe)) == set()


def test_probe_detects_imports(tmp_path: Path) -> None:
    """Show that the probe of the tests above can detect an import."""
    assert imported({"pydantic", "yaml"}, "recipes", "show", "sentiment") == {"pydantic", "yaml"}


def test_version() -> None:
    process = subprocess.run([sys.executable, "-m", "llmkit", "--version"], capture_output=True, text=True)
    assert (process.returncode, process.stdout, process.stderr) == (0, f"llmkit {llmkit.__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["finetune"], ["recipes"], ["runs"], ["predict"]])
def test_command_without_arguments_prints_its_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(" ".join(["Usage: llmkit", *arguments]) + " ")
    assert "error" not in err.lower().replace("explain-error", "").replace("an error code", "")


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (["finetun"], "No such command 'finetun'. Did you mean 'finetune'?", "`llmkit --help`"),
        (["finetune", "sentiment", "--resum"], "No such option: --resum", "`llmkit finetune --help`"),
        (["compare", "a"], "Missing argument 'RUN_B'.", "`llmkit compare --help`"),
        (["recipes", "lst"], "No such command 'lst'", "`llmkit recipes --help`"),
    ],
)
def test_usage_error_is_one_line(
    arguments: list[str], message: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error[U01] {message}")
    assert err.endswith(f"Fix: run {fix} to see the options\n")
    assert err.count("\n") == 1


def run_with_training(body: str, folder: Path) -> subprocess.Popen[str]:
    """Run `llmkit finetune sentiment` in a folder, with `body` in place of the training."""
    script = f"""
from llmkit.cli import main
from llmkit.commands import finetune

def replacement(*arguments, **options):
    {body}

finetune.finetune = replacement
main()
"""
    return subprocess.Popen(
        [sys.executable, "-c", script, "finetune", "sentiment"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(llmkit.__file__).parents[1])},
    )


def test_unexpected_exception_writes_a_bug_file(tmp_path: Path) -> None:
    process = run_with_training("raise KeyError('planted')", tmp_path)
    out, err = process.communicate(timeout=60)
    (file,) = tmp_path.glob("llmkit-bug-*.txt")
    line = f"bug in llmkit (KeyError: 'planted'); please report it with the file {file.name}\n"
    assert (process.returncode, out, err) == (1, "", line)
    assert "Traceback" in file.read_text(encoding="utf-8")


def test_ctrl_c_exits_with_130_and_one_line(tmp_path: Path) -> None:
    process = run_with_training("print('ready', flush=True); __import__('time').sleep(60)", tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "stopped\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "code"), [(Stopped, 75), (Interrupted, 130)])
def test_stopped_run_prints_one_line(
    kind: type[Stopped], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*arguments: object, **options: object) -> None:
        raise kind("stopped at step 12 of 90, saved")

    monkeypatch.setattr(finetune, "finetune", stopped)
    assert cli._run(["finetune", "sentiment"]) == code
    assert capsys.readouterr() == ("", "stopped at step 12 of 90, saved\n")


def test_full_disk_exits_with_74(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*arguments: object) -> None:
        with translate_os_errors(Path("a.yaml")):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(packaged, "copy", full)
    assert cli._run(["recipes", "copy", "sentiment"]) == 74
    assert capsys.readouterr().err.startswith("error[W01] a.yaml: no space left on the disk")


def test_closed_pipe_exits_with_141() -> None:
    """`llmkit recipes show --schema | head -1`, whose reader is gone before anything is written."""
    process = subprocess.Popen(
        [sys.executable, "-m", "llmkit", "recipes", "show", "--schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=30) == 141
    process.stderr.close()
