"""Rows from SQuAD articles (JSON of v1.1 and v2.0): one row a question, under the names that the Hub's squad sets have.

    {"title": ..., "paragraphs": [{"context": ..., "qas": [{"id": ..., "question": ..., "answers": [...]}]}]}
    ->  {"id", "title", "question", "context", "answers": {"text": [...], "answer_start": [...]}, "is_impossible"}

plausible_answers are left out: they answer another question. Format: Rajpurkar et al. 2016 and 2018.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llmkit.data.reading.file_errors import FileErrors

__all__ = ["is_article", "parse_article"]

Row = dict[str, Any]

_QUESTION = re.compile(r'"question"\s*:')  # inside a string the quotes would be escaped


def is_article(row: Row) -> bool:
    """Whether an object of a document holds paragraphs with questions."""
    paragraphs = row.get("paragraphs")
    return isinstance(paragraphs, list) and (
        not paragraphs or any(isinstance(paragraph, dict) and "qas" in paragraph for paragraph in paragraphs)
    )


def parse_article(article: Row, text: str, line: int, errors: FileErrors) -> Iterator[tuple[int, Row]]:
    """(line of its key "question", row) of each question. Problems J03 go to the errors.

    text is the article as written, from `line` on. Where a question lacks that key, all are at the article's line.
    """
    rows = list(_rows(article, line, errors))
    lines = _question_lines(text, line)
    yield from zip(lines if len(lines) == len(rows) else [line] * len(rows), rows)


def _rows(article: Row, line: int, errors: FileErrors) -> Iterator[Row]:
    for paragraph in _objects(article, "paragraphs", line, errors):
        title = article.get("title", paragraph.get("title"))  # CMRC 2018 has it in the paragraph
        for question in _objects(paragraph, "qas", line, errors):
            answers = _objects(question, "answers", line, errors) if question.get("answers") else []
            yield {
                "id": question.get("id"),
                "title": title,
                "question": question.get("question"),
                "context": paragraph.get("context"),
                "answers": {key: [answer.get(key) for answer in answers] for key in ("text", "answer_start")},
                "is_impossible": question.get("is_impossible") or False,
            }


def _objects(owner: Row, key: str, line: int, errors: FileErrors) -> list[Row]:
    """The objects in the list under a key; J03 for anything else."""
    values = owner.get(key)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        whose = f' (question "{owner["id"]}")' if "id" in owner else ""
        message = f'"{key}" is no list of objects{whose}'
        errors.add("J03", message, "write it as SQuAD does", line=line)
        return []
    return values


def _question_lines(text: str, line: int) -> list[int]:
    lines, counted = [], 0
    for found in _QUESTION.finditer(text):
        line += text.count("\n", counted, found.start())
        counted = found.start()
        lines.append(line)
    return lines
