"""Write the model card: README.md beside the weights, with the front matter that the Hugging Face Hub reads.

The front matter names a base model or a data set only if it is a Hub id, because the Hub refuses others in a card.
Files and assets of the package index are named in the text. JSON is YAML too, so no YAML writer is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from llmkit.report.page import render
from llmkit.report.report import Report

__all__ = ["text"]

GENERATION = {  # of a report that does not say how its texts were generated
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
DATA_FILE = re.compile(r"\.(jsonl?|csv|tsv|txt|parquet|gz)$")


def text(report: Report) -> str:
    """Return the card of the model that the report is about."""
    limit = f", max_length={report.lengths.max_length}" if report.lengths else ""
    return render(
        "card.md.j2",
        report=report,
        wording=report.wording,
        truncation=f"truncation={report.wording.usage_truncation}{limit}",
        front=list(_front_matter(report)),
        labels=list(report.details.per_class or ()),
        generation=report.details.generation or GENERATION,
        max_answer_tokens=_max_answer_tokens(report),
    )


def _max_answer_tokens(report: Report) -> int:
    """Read the longest answer, in tokens, from the recipe of a question answering run."""
    line = re.search(r"^ *max_answer_length: *(\d+)", report.recipe, re.MULTILINE)
    return int(line[1]) if line else 30


def _front_matter(report: Report) -> Iterator[str]:
    """Yield lines of YAML, without the keys whose value is not known."""
    pipeline = report.wording.pipeline
    values = {
        "library_name": "transformers",
        "pipeline_tag": pipeline,
        "base_model": next(_find_hub_ids([report.model]), None),
        "datasets": list(_find_hub_ids(_list_sources(report))),
        "metrics": list(dict.fromkeys(_hub_metric(name) for name in report.headline_scores)),
        "tags": ["llmkit"],
    }
    for key, value in values.items():
        if value:
            yield f"{key}: {_to_yaml(value)}"
    if pipeline and report.scores:
        source = next(iter(_list_sources(report)), "unknown")
        result = {
            "task": {"type": pipeline},
            "dataset": {"name": source, "type": source, "split": report.split},
            "metrics": [  # measured here, not verified by the Hub
                {"type": _hub_metric(name), "name": name, "value": score.value, "verified": False}
                for name, score in report.scores.items()
            ],
        }
        yield "model-index:"
        yield f"- {_to_yaml({'name': report.name or 'model', 'results': [result]})}"


def _hub_metric(name: str) -> str:
    variant = VARIANT.fullmatch(name)
    return HUB_METRICS.get(name) or (variant and (variant[1] or variant[3])) or name


def _list_sources(report: Report) -> list[str]:
    """List the sources of all splits, each once."""
    sources = ([value] if isinstance(value, str) else value or [] for value in report.data.sources.values())
    return list(dict.fromkeys(source for each in sources for source in each))


def _find_hub_ids(names: Sequence[str]) -> Iterator[str]:
    """Yield the names of the form `owner/name`, without their revision, unless they are files or folders."""
    for name in names:
        match = HUB_ID.fullmatch(name)
        if match and not DATA_FILE.search(match[1]) and not Path(name).exists():
            yield match[1]


def _to_yaml(value: object) -> str:
    """Return JSON with one difference: YAML 1.1 reads a float only if it has a point (1.0e-06, not 1e-06)."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_to_yaml(key)}: {_to_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_to_yaml, value)) + "]"
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))
    return json.dumps(value, ensure_ascii=False)
