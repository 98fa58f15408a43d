"""The command line as a process: what it loads, how it exits, what it says when things go wrong."""

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


def loaded(names: set[str], *arguments: str) -> set[str]:
    """Those of the modules that this command line loads."""
    command = [sys.executable, "-c", LOADED, " ".join(sorted(names)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    last = done.stdout.splitlines()[-1].split()
    assert last[0] == "LOADED"
    return set(last[1:])


def test_help_is_light() -> None:
    assert loaded(HEAVY | MIDDLE | {"pydantic"}, "--help") == set()


@pytest.mark.parametrize(
    "arguments", [["finetune", "--help"], ["recipes", "--help"], ["recipes", "list"], ["recipes", "lst"]]
)
def test_commands_that_do_no_work_are_light(arguments: list[str]) -> None:
    assert loaded(HEAVY | MIDDLE, *arguments) == set()


def test_a_bad_recipe_is_told_without_the_heavy_libraries(tmp_path: Path) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("task: {name: classification}\nmodel: {nmae: a}\n", encoding="utf-8")
    assert loaded(HEAVY, "finetune", str(recipe)) == set()


def test_the_probe_sees_what_is_loaded(tmp_path: Path) -> None:
    """Without this, the tests above could pass by looking at nothing."""
    assert loaded({"pydantic", "yaml"}, "recipes", "show", "sentiment") == {"pydantic", "yaml"}


def test_version() -> None:
    done = subprocess.run([sys.executable, "-m", "llmkit", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"llmkit {llmkit.__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["finetune"], ["recipes"], ["runs"], ["predict"]])
def test_a_command_without_arguments_prints_its_help_and_no_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(" ".join(["Usage: llmkit", *arguments]) + " ")
    assert "error" not in err.lower().replace("explain-error", "").replace("an error code", "")


@pytest.mark.parametrize(
    ("arguments", "says", "fix"),
    [
        (["finetun"], "No such command 'finetun'. Did you mean 'finetune'?", "`llmkit --help`"),
        (["finetune", "sentiment", "--resum"], "No such option: --resum", "`llmkit finetune --help`"),
        (["compare", "a"], "Missing argument 'RUN_B'.", "`llmkit compare --help`"),
        (["recipes", "lst"], "No such command 'lst'", "`llmkit recipes --help`"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    arguments: list[str], says: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error[U01] {says}")
    assert err.endswith(f"Fix: run {fix} to see the options\n")
    assert err.count("\n") == 1


def with_training(body: str, folder: Path) -> subprocess.Popen[str]:
    """`llmkit finetune sentiment` in this folder, with something else in the place of the training."""
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


def test_an_unexpected_exception_writes_a_bug_file_and_one_line(tmp_path: Path) -> None:
    process = with_training("raise KeyError('planted')", tmp_path)
    out, err = process.communicate(timeout=60)
    (file,) = tmp_path.glob("llmkit-bug-*.txt")
    line = f"bug in llmkit (KeyError: 'planted'); please report it with the file {file.name}\n"
    assert (process.returncode, out, err) == (1, "", line)
    assert "Traceback" in file.read_text(encoding="utf-8")


def test_ctrl_c_exits_with_130_and_one_line(tmp_path: Path) -> None:
    process = with_training("print('ready', flush=True); __import__('time').sleep(60)", tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "stopped\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "code"), [(Stopped, 75), (Interrupted, 130)])
def test_a_run_that_was_stopped_says_so_in_one_line(
    kind: type[Stopped], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*arguments: object, **options: object) -> None:
        raise kind("stopped at step 12 of 90, saved")

    monkeypatch.setattr(finetune, "finetune", stopped)
    assert cli._run(["finetune", "sentiment"]) == code
    assert capsys.readouterr() == ("", "stopped at step 12 of 90, saved\n")


def test_a_full_disk_exits_with_74(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: object) -> None:
        with translate_os_errors(Path("a.yaml")):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(packaged, "copy", full)
    assert cli._run(["recipes", "copy", "sentiment"]) == 74
    assert capsys.readouterr().err.startswith("error[W01] a.yaml: no space left on the disk")


def test_a_closed_pipe_ends_quietly() -> None:
    """`llmkit recipes show --schema | head -1`, whose reader is gone before the writing begins."""
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
