"""`llmkit pretrain RECIPE [KEY=VALUE ...]`"""

from __future__ import annotations

from llmkit.cli import finetune as shared
from llmkit.cli.finetune import AsJson, DryRun, Name, Out, Overrides, Resume

__all__ = ["pretrain"]


def pretrain(
    recipe: Name,
    overrides: Overrides = None,
    out: Out = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Continue pretraining a checkpoint on plain text, or pretrain a new model. The report shows the base model too."""
    shared.train(
        "pretrain", recipe, overrides or [], out=out, resume=resume, dry_run=dry_run, as_json=as_json
    )
