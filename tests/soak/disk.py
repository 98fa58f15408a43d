"""A disk that fills up in the middle of a save, a byte that flips, and a piece of state that is lost."""

from __future__ import annotations

import errno
import json
import os
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
from tests.soak.ground import Ground, Result, name_of, said
from tests.soak.kills import at_step
from tests.soak.warm import Hook

__all__ = ["FORGOTTEN", "flipped_bytes", "forgotten", "full_disks"]

# 12 updates, a checkpoint after every 4, killed in the 11th when the log is further than the checkpoint. They are so
# small that no later evaluation is better than the first: the best value and the misses tell something.
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
LAST = "data.validation_share=0"  # the last weights are the best, also when one save in the middle failed


def full_disks(ground: Ground, levels: int) -> Result:
    """Two saves in a row meet a disk with room for a part of them; some of the runs are killed right after."""
    result = Result("disk full")
    for number, case in enumerate(ground.cases(levels)):
        settings = (*FIXED[:-1], "evaluate.best=loss", LAST)
        size = _size(ground.whole(case, *settings).folder)
        folder, killed = ground.new_folder(case), number % 2 == 1
        room = int(size * (number + 0.5) / levels)
        code = ground.start(case, folder, *settings, hook=_filling(room, killed)).wait()
        notes = said(folder).count("not saved, training goes on: error[W01]")
        left = [path.name for path in (folder / "run" / "checkpoints").iterdir() if path.name.startswith(".")]
        if code != (-signal.SIGKILL if killed else 0) or notes != (1 if killed else 2) or left:
            result.add([f"{name_of(case, folder)}: room {room}: {code}, {notes} notes, left {left}"])
        else:
            result.add(ground.finish(case, folder, *settings))
        ground.say(str(result))
    return result


def _size(folder: Path) -> int:
    newest = max((folder / "run" / "checkpoints").glob("step-*"))
    return sum(path.stat().st_size for path in newest.iterdir())


def _filling(room: int, killed: bool) -> Hook:
    """The saves of steps 4 and 8 have room for so many bytes; killed: in step 7, with the first of them lost."""

    def hook(rank: int) -> None:
        save = checkpoint.save

        def full(folder: Path, model: Any, optimizer: Any, state: Any) -> Path:
            with Disk(room).instead() if state.step in (4, 8) else nullcontext():
                return save(folder, model, optimizer, state)

        checkpoint.save = full
        if killed:
            at_step(7, signal.SIGKILL)(rank)

    return hook


class Disk:
    """A disk with room for so many bytes: what does not fit is cut off, and an error like the kernel's is raised."""

    def __init__(self, room: int) -> None:
        self.room, self.open = room, Path.open

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Within this block what llmkit writes goes to this disk."""

        def opened(path: Path, mode: str = "r", **options: Any) -> Any:
            file = self.open(path, mode, **options)
            return _Writer(file, path, self) if "w" in mode else file

        Path.open = opened  # type: ignore[method-assign]
        try:
            yield
        finally:
            Path.open = self.open  # type: ignore[method-assign]

    def fits(self, path: Path, before: int) -> bool:
        """Take what was written beyond the first `before` bytes of this file."""
        written = path.stat().st_size - before
        fits = written <= self.room
        if not fits:
            os.truncate(path, before + self.room)
        self.room = max(0, self.room - written)
        return fits


class _Writer:
    """A file on such a disk."""

    def __init__(self, file: Any, path: Path, disk: Disk) -> None:
        self.file, self.path, self.disk = file, path, disk

    def write(self, text: str | bytes) -> int:
        before = self.path.stat().st_size
        written: int = self.file.write(text)
        self.file.flush()
        if not self.disk.fits(self.path, before):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def flipped_bytes(ground: Ground, places: int) -> Result:
    """In each file of the newest checkpoint, at so many places: found, named, and the one before is taken."""
    result = Result("flipped bytes")
    case, killed = _killed(ground)
    for name in sorted(path.name for path in _newest(killed).iterdir()):
        for place in range(places):
            folder = _copy(ground, case, killed)
            path = _newest(folder) / name
            content = bytearray(path.read_bytes())
            content[(len(content) - 1) * (place + 1) // (places + 1)] ^= 1 << place
            path.write_bytes(content)
            faults = ground.finish(case, folder, *FIXED)
            passed = [
                line
                for line in said(folder).splitlines()
                if f"damaged checkpoint {path.parent.name}:" in line
            ]
            if len(passed) != 1 or (name not in passed[0] and name != files.MANIFEST):
                faults.append(f"{name_of(case, folder)}: a flipped byte in {name} was answered by {passed}")
            result.add(faults)
            ground.say(str(result))
    return result


def _killed(ground: Ground) -> tuple[Case, Path]:
    """A classification that was killed in step 11 with checkpoints of steps 4 and 8."""
    case = ground.case(0, "classification")
    folder = ground.new_folder(case)
    code = ground.start(case, folder, *FIXED, hook=at_step(KILLED, signal.SIGKILL)).wait()
    assert code == -signal.SIGKILL, said(folder)
    return case, folder


def _newest(folder: Path) -> Path:
    return max((folder / "run" / "checkpoints").glob("step-*"))


def _copy(ground: Ground, case: Case, killed: Path) -> Path:
    folder = ground.new_folder(case)
    return shutil.copytree(killed, folder, dirs_exist_ok=True)


def _state(**changes: Any) -> Callable[[Path], None]:
    """Change state.json; a value may be a function of the checkpoint's folder."""

    def change(folder: Path) -> None:
        state = json.loads((folder / "state.json").read_text())
        made = {name: value(folder) if callable(value) else value for name, value in changes.items()}
        (folder / "state.json").write_text(json.dumps(state | made))

    return change


def _moments(ending: str, factor: float) -> Callable[[Path], None]:
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


FORGOTTEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "first moments": (_moments("/exp_avg", 0), "weights"),
    "second moments": (_moments("/exp_avg_sq", 0), "weights"),
    "AdamW's step": (_moments("/step", 0), "weights"),
    "place in the epoch": (_state(step=9), "log"),
    "best value": (_state(best_value=None), "state"),
    "misses": (_state(misses=0), "state"),
    "log offset": (
        _state(log_bytes=lambda folder: (folder.parent.parent / "log.jsonl").stat().st_size),
        "log",
    ),
}


def forgotten(ground: Ground) -> Result:
    """Negative control: each piece of state, once lost, must be noticed; nothing lost, nothing noticed."""
    result = Result("lost state noticed")
    case, killed = _killed(ground)
    result.add(ground.finish(case, _copy(ground, case, killed), *FIXED))
    for name, (lose, shows) in FORGOTTEN.items():
        folder = _copy(ground, case, killed)
        lose(_newest(folder))
        (_newest(folder) / files.MANIFEST).unlink()
        files.write_manifest(_newest(folder))
        faults = ground.finish(case, folder, *FIXED)
        noticed = any(shows in fault for fault in faults)
        result.add([] if noticed else [f"the loss of {name} was not noticed: {faults}"])
        result.counts[name] = int(noticed)
        ground.say(str(result))
    return result
