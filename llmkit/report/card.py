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

from llmkit import files
from llmkit.report.content import headline
from llmkit.report.page import render
from llmkit.report.provenance import seed
from llmkit.report.tables import Content

__all__ = ["text", "write"]

PIPELINES = {
    "classification": "text-classification",
    "regression": "text-classification",
    "token_classification": "token-classification",
    "extractive_qa": "question-answering",
    "mlm": "fill-mask",
    "clm": "text-generation",
    "chat": "text-generation",
    "summarization": "summarization",
    "translation": "translation",
}
# transformers 5 has no pipeline for these; their models open with the class alone
CLASSES = {
    "question-answering": "AutoModelForQuestionAnswering",
    "summarization": "AutoModelForSeq2SeqLM",
    "translation": "AutoModelForSeq2SeqLM",
}
PURPOSES = {
    "classification": "puts a text into one of its classes",
    "regression": "gives a text a number",
    "token_classification": "marks spans of a text",
    "extractive_qa": "finds the answer to a question in a given text",
    "mlm": "fills masked tokens; meant as a base for fine-tuning",
    "clm": "continues a text",
    "chat": "answers in a chat",
    "summarization": "shortens a text",
    "translation": "translates a text",
}
HUB_METRICS = {"mcc": "matthews_correlation", "pearson": "pearsonr", "spearman": "spearmanr"}
HUB_ID = re.compile(r"([\w-][\w.-]*/[\w.-]+)(?:@[\w./-]+)?")


def write(folder: Path, content: Content) -> None:
    """Write model/README.md into a run folder."""
    files.write_text(folder / "model" / "README.md", text(content))


def text(content: Content) -> str:
    """The card of the model that this content is about."""
    pipeline = PIPELINES.get(content.get("task") or "")
    return render(
        "card.md.j2",
        content=content,
        front=list(_front_matter(content, pipeline)),
        scores=content.get("scores") or {},
        train=content.get("train") or {},
        data=content.get("data") or {},
        lengths=content.get("lengths") or {},
        labels=list(content.get("per_class") or {}),
        purpose=PURPOSES.get(content.get("task") or ""),
        pipeline=pipeline,
        model_class=CLASSES.get(pipeline or ""),
        seed=seed(content),
    )


def _front_matter(content: Content, pipeline: str | None) -> Iterator[str]:
    """Lines of YAML, only those that are known."""
    known = {
        "language": content.get("language"),
        "library_name": "transformers",
        "pipeline_tag": pipeline,
        "base_model": next(_hub_ids([content.get("model")]), None),
        "datasets": list(_hub_ids(_sources(content))),
        "metrics": [HUB_METRICS.get(name, name) for name in headline(content)],
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
        "dataset": {"name": source, "type": source, "split": "test"},
        "metrics": [
            {"type": HUB_METRICS.get(name, name), "name": name, "value": score["value"], "verified": False}
            for name, score in content["scores"].items()
        ],
    }


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
