"""A bug of ours: everything needed to find it goes into a file, one line goes to the screen."""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from llmkit import environment, files, processes

__all__ = ["report"]


def report(error: Exception) -> str:
    """Write llmkit-bug-DATE.txt into the working folder; returns the line to show."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = files.free_name(Path(f"llmkit-bug-{stamp}-rank{processes.rank()}.txt"))
    details = "".join(traceback.format_exception(error))
    versions = json.dumps(environment.versions(), indent=2)
    files.write_text(path, f"{shlex.join(sys.argv)}\n\n{details}\n{versions}\n")
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return f"bug in llmkit ({what}); please report it with the file {path}"
