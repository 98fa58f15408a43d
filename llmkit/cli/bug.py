"""Report a bug in llmkit: write the details to a file and return one line for the screen."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from llmkit.base import environment, files, processes
from llmkit.base.errors import StorageError

__all__ = ["report"]


def report(error: Exception) -> str:
    """Write llmkit-bug-DATE.txt to the working directory (or the temporary one) and return the line to print."""
    details = "".join(traceback.format_exception(error))
    versions = json.dumps(environment.read_versions(), indent=2)
    text = f"{shlex.join(sys.argv)}\n\n{details}\n{versions}\n"
    try:
        path = _write(Path(), text)
    except StorageError:
        path = _write(Path(tempfile.gettempdir()), text)
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return f"bug in llmkit ({what}); please report it with the file {path}"


def _write(folder: Path, text: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    path = folder / f"llmkit-bug-{stamp}-rank{processes.get_rank()}.txt"
    files.write_text(path, text.encode(errors="backslashreplace").decode())
    return path
