"""The report of a run: `page.write` writes report.{json,md,html} and plots/, `card.text` returns the model card.

`report` holds the content as typed values. Modules of one topic each make sections of it (`scores`, `classes`, `trust`,
...), `tables` has the parts of a section, `format` formats values, and `plots` draws. This package knows no task.
"""

from __future__ import annotations

__all__: list[str] = []
