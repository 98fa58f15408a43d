"""Turn SQuAD articles (JSON of v1.1 and v2.0) into one row per question, with the column names of the Hub's sets.

    {"title": ..., "paragraphs": [{"context": ..., "qas": [{"id": ..., "question": ..., "answers": [...]}]}]}
    ->  {"id", "title", "question", "context", "answers": {"text": [...], "answer_start": [...]}, "is_impossible"}

plausible_answers are left out, because the question they belong to has no answer in the context.

Source: the format of Rajpurkar et al. 2016 (v1.1) and 2018 (v2.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llmkit.data.reading.file_errors import FileErrors

__all__ = ["is_article", "parse_article"]

Row = dict[str, Any]

_QUESTION = re.compile(r'"question"\s*:')  # matches only keys: inside a string the quotes are escaped


def is_article(row: Row) -> bool:
    """Return whether a JSON object contains paragraphs with questions."""
    paragraphs = row.get("paragraphs")
    return isinstance(paragraphs, list) and (
        not paragraphs or any(isinstance(paragraph, dict) and "qas" in paragraph for paragraph in paragraphs)
    )


def parse_article(article: Row, text: str, line: int, errors: FileErrors) -> Iterator[tuple[int, Row]]:
    """Yield (line number of its key "question", row) for each question of an article.

    Args:
        article: The parsed article.
        text: The article as it is written in the file. When its number of "question" keys differs from the number of
            questions, every question gets the article's line.
        line: The line number where `text` begins.
        errors: Receives J03 for a value that should be a list of objects.
    """
    rows: list[Row] = []
    for paragraph in _list_objects(article, "paragraphs", line, errors):
        title = article.get("title", paragraph.get("title"))  # CMRC 2018 has the title in the paragraph
        for question in _list_objects(paragraph, "qas", line, errors):
            answers = _list_objects(question, "answers", line, errors) if question.get("answers") else []
            rows.append(
                {
                    "id": question.get("id"),
                    "title": title,
                    "question": question.get("question"),
                    "context": paragraph.get("context"),
                    "answers": {
                        key: [answer.get(key) for answer in answers] for key in ("text", "answer_start")
                    },
                    "is_impossible": question.get("is_impossible") or False,
                }
            )
    lines = _find_question_lines(text, line)
    yield from zip(lines if len(lines) == len(rows) else [line] * len(rows), rows)


def _list_objects(parent: Row, key: str, line: int, errors: FileErrors) -> list[Row]:
    """Return the objects in the list under a key; for anything else add J03 and return none."""
    values = parent.get(key)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        question = f' of question "{parent["id"]}"' if "id" in parent else ""
        errors.add("J03", f'"{key}"{question} is not a list of objects', "use the format of SQuAD", line=line)
        return []
    return values


def _find_question_lines(text: str, line: int) -> list[int]:
    """Return the line number of each key "question"; `line` is the number of the text's first line."""
    lines, counted = [], 0
    for match in _QUESTION.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        lines.append(line)
    return lines
