"""The model card: README.md beside the weights, with the front matter that the Hugging Face Hub reads.

The front matter names a `base_model` or a data set only if it is a Hub id: the Hub refuses others in a card.
Files and assets of the package index are named in the text. JSON is YAML too, so no YAML writer is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmkit.base import files
from llmkit.report.page import render
from llmkit.report.provenance import seed
from llmkit.report.scores import headline
from llmkit.report.tables import Content
from llmkit.report.wording import Wording

__all__ = ["text", "write"]

PLAIN = Wording()
# Of the tasks that write texts, for which transformers 5 has no pipeline, where the content does not say how.
GENERATION = {
    "auto_class": "AutoModelForSeq2SeqLM",
    "before": "",
    "behind": "",
    "forced_bos_token_id": None,
    "max_new_tokens": 64,
    "num_beams": 1,
}
HUB_METRICS = {  # the Hub's names; variants of a metric count as the metric
    "mcc": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "semeval2010": "f1",
    "subset_accuracy": "accuracy",
    "token_accuracy": "accuracy",
    "no_answer_accuracy": "accuracy",
    **dict.fromkeys(("likelihood_accuracy", "likelihood_accuracy_per_token", "reward_accuracy"), "accuracy"),
    "has_answer_exact_match": "exact_match",
    "has_answer_f1": "f1",
    "pr_auc": "average_precision",
    "pr_auc_positive": "average_precision",
    **dict.fromkeys(("rouge1", "rouge2", "rougeL", "rougeLsum"), "rouge"),
}
VARIANT = re.compile(r"(f1|precision|recall)_(micro|macro|samples|positive)|(precision|recall)_semeval2010")
HUB_ID = re.compile(r"([\w-][\w.-]*/[\w.-]+)(?:@[\w./-]+)?")


def write(folder: Path, content: Content, wording: Wording = PLAIN) -> None:
    """Write model/README.md into a run folder."""
    files.write_text(folder / "model" / "README.md", text(content, wording))


def text(content: Content, wording: Wording = PLAIN) -> str:
    """Return the card of the model that this content is about."""
    limit = (content.get("lengths") or {}).get("max_length")
    cut = f"truncation={wording.usage_truncation}" + (f", max_length={limit}" if limit else "")
    return render(
        "card.md.j2",
        content=content,
        wording=wording,
        part=content.get("part") or "test",
        thresholds=content.get("thresholds") or {},
        cut=cut,
        front=list(_front_matter(content, wording.pipeline)),
        scores=content.get("scores") or {},
        train=content.get("train") or {},
        data=content.get("data") or {},
        lengths=content.get("lengths") or {},
        labels=list(content.get("per_class") or {}),
        generation=content.get("generation") or GENERATION,
        seed=seed(content),
        longest_answer=_longest_answer(content),
    )


def _longest_answer(content: Content) -> int:
    """In tokens, as the recipe of a question answering run writes it."""
    found = re.search(r"^ *max_answer_length: *(\d+)", content.get("recipe") or "", re.MULTILINE)
    return int(found[1]) if found else 30


def _front_matter(content: Content, pipeline: str | None) -> Iterator[str]:
    """Lines of YAML, only those that are known."""
    known = {
        "language": content.get("language"),
        "library_name": "transformers",
        "pipeline_tag": pipeline,
        "base_model": next(_hub_ids([content.get("model")]), None),
        "datasets": list(_hub_ids(_sources(content))),
        "metrics": list(dict.fromkeys(_hub_metric(name) for name in headline(content))),
        "tags": ["llmkit"],
    }
    for key, value in known.items():
        if value:
            yield f"{key}: {_yaml(value)}"
    if pipeline and content.get("scores"):
        yield "model-index:"
        yield f"- {_yaml({'name': content.get('name') or 'model', 'results': [_result(content, pipeline)]})}"


def _result(content: Content, pipeline: str) -> dict[str, Any]:
    """All scores in the Hub's form; a measured value, not one the Hub has verified."""
    source = next(iter(_sources(content)), "unknown")
    return {
        "task": {"type": pipeline},
        "dataset": {"name": source, "type": source, "split": content.get("part") or "test"},
        "metrics": [
            {"type": _hub_metric(name), "name": name, "value": score["value"], "verified": False}
            for name, score in content["scores"].items()
        ],
    }


def _hub_metric(name: str) -> str:
    variant = VARIANT.fullmatch(name)
    return HUB_METRICS.get(name) or (variant and (variant[1] or variant[3])) or name


def _sources(content: Content) -> list[str]:
    """Where the rows came from, each once."""
    named = ((content.get("data") or {}).get("sources") or {}).values()
    return list(
        dict.fromkeys(
            source for value in named for source in ([value] if isinstance(value, str) else value or [])
        )
    )


def _hub_ids(names: list[Any]) -> Iterator[str]:
    """Those that read `owner/name`, without their revision; a path with a suffix of a data file is none."""
    for name in names:
        found = HUB_ID.fullmatch(name or "")
        if (
            found
            and not re.search(r"\.(jsonl?|csv|tsv|txt|parquet|gz)$", found[1])
            and not Path(name).exists()
        ):
            yield found[1]


def _yaml(value: Any) -> str:
    """JSON with one difference: YAML 1.1 reads a float only if it has a point (1.0e-06, not 1e-06)."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_yaml(key)}: {_yaml(own)}" for key, own in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))
    return json.dumps(value, ensure_ascii=False)
