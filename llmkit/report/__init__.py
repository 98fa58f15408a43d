"""The report of a run: `page.write` makes report.{json,md,html} and plots/, `card.write` the model card.

`format` says how a value reads, `tables` what a report is made of, `content` and `provenance` fill it from
one JSON mapping, `plots` draws. Mapping in, files out: it knows nothing of runs, tasks or metrics.
"""

from __future__ import annotations

__all__: list[str] = []
