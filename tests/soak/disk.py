"""Disks that fill up during a save, bytes that flip in a checkpoint, and state that is missing from a checkpoint."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from llmkit.base import files
from llmkit.engine import checkpoint
from tests.soak.cases import Case
from tests.soak.forks import Hook
from tests.soak.kills import signal_at_step
from tests.soak.workspace import Result, Workspace, describe, read_output

__all__ = ["LOST_STATE", "fill_disks", "flip_bytes", "lose_state"]

# 12 steps with a checkpoint after every 4. The run is killed in step 11, when the log is ahead of the checkpoint. The
# learning rate is so small that no later evaluation is better than the first, so the best value and the number of
# evaluations without improvement matter.
FIXED = (
    "train.learning_rate=1e-7",
    "train.max_steps=12",
    "train.early_stopping=50",
    "checkpoint.every_steps=4",
    "checkpoint.keep=3",
    "evaluate.every_steps=2",
    "evaluate.best=accuracy",
)
KILLED = 11
LAST = "data.validation_share=0"  # the last weights count as the best, also after a failed save


def fill_disks(workspace: Workspace, levels: int) -> Result:
    """Let two consecutive saves run out of disk space; kill some of the runs after the first of them."""
    result = Result("disk full")
    for number, case in enumerate(workspace.cases(levels)):
        settings = (*FIXED[:-1], "evaluate.best=loss", LAST)
        size = _measure_checkpoint(workspace.run_uninterrupted(case, *settings).folder)
        folder, killed = workspace.new_folder(case), number % 2 == 1
        room = int(size * (number + 0.5) / levels)
        code = workspace.start(case, folder, *settings, hook=_fill_disk(room, killed)).wait()
        warnings = len(
            re.findall(r"could not save the checkpoint at step \d+ \(error\[W01\]", read_output(folder))
        )
        left = [path.name for path in (folder / "run" / "checkpoints").iterdir() if path.name.startswith(".")]
        if code != (-signal.SIGKILL if killed else 0) or warnings != (1 if killed else 2) or left:
            result.add([f"{describe(case, folder)}: room {room}: {code}, {warnings} warnings, left {left}"])
        else:
            result.add(workspace.finish(case, folder, *settings))
        workspace.say(str(result))
    return result


def _measure_checkpoint(folder: Path) -> int:
    newest = max((folder / "run" / "checkpoints").glob("step-*"))
    return sum(path.stat().st_size for path in newest.iterdir())


def _fill_disk(room: int, killed: bool) -> Hook:
    """Return a hook that limits the disk space of the saves in steps 4 and 8.

    With `killed`, the run is killed in step 7.
    """

    def hook(rank: int) -> None:
        save = checkpoint.save

        def save_to_full_disk(folder: Path, model: Any, optimizer: Any, state: Any) -> Path:
            with Disk(room).replace_open() if state.step in (4, 8) else nullcontext():
                return save(folder, model, optimizer, state)

        checkpoint.save = save_to_full_disk
        if killed:
            signal_at_step(7, signal.SIGKILL)(rank)

    return hook


class Disk:
    """A disk with limited space. A write that does not fit is truncated and raises ENOSPC, as the kernel would."""

    def __init__(self, room: int) -> None:
        self.room, self.open = room, Path.open

    @contextmanager
    def replace_open(self) -> Iterator[None]:
        """During the block, files that llmkit opens for writing are on this disk."""

        def open_file(path: Path, mode: str = "r", **options: Any) -> Any:
            file = self.open(path, mode, **options)
            return _Writer(file, path, self) if "w" in mode else file

        Path.open = open_file  # type: ignore[method-assign]
        try:
            yield
        finally:
            Path.open = self.open  # type: ignore[method-assign]

    def take_space(self, path: Path, before: int) -> bool:
        """Subtract the bytes written beyond the first `before` bytes of the file; return whether they fit."""
        written = path.stat().st_size - before
        fits = written <= self.room
        if not fits:
            os.truncate(path, before + self.room)
        self.room = max(0, self.room - written)
        return fits


class _Writer:
    """A file on a `Disk`."""

    def __init__(self, file: Any, path: Path, disk: Disk) -> None:
        self.file, self.path, self.disk = file, path, disk

    def write(self, text: str | bytes) -> int:
        before = self.path.stat().st_size
        written: int = self.file.write(text)
        self.file.flush()
        if not self.disk.take_space(self.path, before):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def flip_bytes(workspace: Workspace, places: int) -> Result:
    """Flip a bit in each file of the newest checkpoint: this must be reported, and the previous checkpoint used."""
    result = Result("flipped bytes")
    case, killed = _kill_run(workspace)
    for name in sorted(path.name for path in _find_newest(killed).iterdir()):
        for place in range(places):
            folder = _copy_run(workspace, case, killed)
            path = _find_newest(folder) / name
            content = bytearray(path.read_bytes())
            content[(len(content) - 1) * (place + 1) // (places + 1)] ^= 1 << place
            path.write_bytes(content)
            faults = workspace.finish(case, folder, *FIXED)
            warnings = [
                line
                for line in read_output(folder).splitlines()
                if f"damaged checkpoint {path.parent.name}:" in line
            ]
            if len(warnings) != 1 or (name not in warnings[0] and name != files.MANIFEST):
                faults.append(f"{describe(case, folder)}: a flipped bit in {name} was reported as {warnings}")
            result.add(faults)
            workspace.say(str(result))
    return result


def _kill_run(workspace: Workspace) -> tuple[Case, Path]:
    """Start a classification run and kill it in step 11, with checkpoints of steps 4 and 8."""
    case = workspace.case(0, "classification")
    folder = workspace.new_folder(case)
    code = workspace.start(case, folder, *FIXED, hook=signal_at_step(KILLED, signal.SIGKILL)).wait()
    assert code == -signal.SIGKILL, read_output(folder)
    return case, folder


def _find_newest(folder: Path) -> Path:
    return max((folder / "run" / "checkpoints").glob("step-*"))


def _copy_run(workspace: Workspace, case: Case, killed: Path) -> Path:
    folder = workspace.new_folder(case)
    return shutil.copytree(killed, folder, dirs_exist_ok=True)


def _change_state(**changes: Any) -> Callable[[Path], None]:
    """Return a function that changes state.json. A value may be a function of the checkpoint folder."""

    def change(folder: Path) -> None:
        state = json.loads((folder / "state.json").read_text())
        values = {name: value(folder) if callable(value) else value for name, value in changes.items()}
        (folder / "state.json").write_text(json.dumps(state | values))

    return change


def _scale_moments(ending: str, factor: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "optimizer.safetensors"
        save_file(
            {
                k: np.asarray(v * v.dtype.type(factor)) if k.endswith(ending) else v
                for k, v in load_file(path).items()
            },
            path,
        )

    return change


LOST_STATE: dict[str, tuple[Callable[[Path], None], str]] = {
    "first moments": (_scale_moments("/exp_avg", 0), "weights"),
    "second moments": (_scale_moments("/exp_avg_sq", 0), "weights"),
    "AdamW's step": (_scale_moments("/step", 0), "weights"),
    "place in the epoch": (_change_state(step=9), "log"),
    "best value": (_change_state(best_value=None), "state"),
    "misses": (_change_state(misses=0), "state"),
    "log offset": (
        _change_state(log_bytes=lambda folder: (folder.parent.parent / "log.jsonl").stat().st_size),
        "log",
    ),
}


def lose_state(workspace: Workspace) -> Result:
    """Negative control: without each piece of state the result must differ, and with all of them it must not."""
    result = Result("lost state noticed")
    case, killed = _kill_run(workspace)
    result.add(workspace.finish(case, _copy_run(workspace, case, killed), *FIXED))
    for name, (remove, difference) in LOST_STATE.items():
        folder = _copy_run(workspace, case, killed)
        remove(_find_newest(folder))
        (_find_newest(folder) / files.MANIFEST).unlink()
        files.write_manifest(_find_newest(folder))
        faults = workspace.finish(case, folder, *FIXED)
        noticed = any(difference in fault for fault in faults)
        result.add([] if noticed else [f"the result does not depend on the {name}: {faults}"])
        result.counts[name] = int(noticed)
        workspace.say(str(result))
    return result
