"""A folder in which the commands of the documentation run: the files they name, and tiny stand-ins for the assets."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from llmkit import cli
from llmkit.assets import store
from llmkit.assets.pinned import Asset
from llmkit.report import plots
from tests import samples
from tests.checkpoints import write_bert, write_gpt
from tests.conftest import reviews
from tests.docs.pages import Block, Command, blocks, llmkit_arguments, name_of

ROWS = 80  # of each file
POSITIONS = 1024  # of the tiny models: the recipes keep their train.max_length
# What makes a training of the documentation short, unless the command itself says how long it is.
SHORT = {"train.max_steps": "3", "evaluate.resamples": "100"}
TYPED = "a good film\n/exit\n"  # what a person types into `llmkit chat`

Row = dict[str, Any]


class Workspace:
    """Runs commands in one folder, each distinct command once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: set[str] = set()

    def run(self, page: Path) -> int:
        """Run the page's blocks in their order. Returns how many commands and programs the page has."""
        count = 0
        for block in blocks(page):
            if block.reason:
                continue
            for words in block.commands:
                count += self._once(" ".join(words), lambda words=words: self._command(words, page))
            if block.language == "python":
                count += self._once(block.content, lambda block=block: self._python(block, page))
        return count

    def _once(self, key: str, work: Any) -> int:
        if key not in self.done:
            work()
            self.done.add(key)
        return 1

    def _command(self, words: Command, page: Path) -> None:
        arguments = llmkit_arguments(words)
        if arguments is None:  # pip, make: tests/docs/test_pages.py looks at their arguments
            return
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli._run(shortened(arguments))
        assert code == 0, f"{name_of(page)}: {' '.join(words)}\n{out.getvalue()}\n{err.getvalue()}"

    def _python(self, block: Block, page: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                exec(compile(block.content, name_of(page), "exec"), {"__name__": "__main__"})
            except Exception as error:
                raise AssertionError(f"{name_of(page)}: {error!r}\n{block.content}") from error


def shortened(arguments: Command) -> Command:
    """The arguments with the overrides of SHORT, for a command that trains and does not say how long."""
    if arguments[0] not in ("finetune", "pretrain"):
        return arguments
    given = {word.partition("=")[0] for word in arguments}
    short = dict(SHORT)
    if given & {"train.epochs", "train.max_steps"}:
        del short["train.max_steps"]
    else:
        short["train.epochs"] = "null"
    return [*arguments, *(f"{key}={value}" for key, value in short.items() if key not in given)]


@pytest.fixture(scope="module")  # its patches must not reach other tests of the process
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The folder with the files that the pages name; assets of the package index are tiny models and data."""
    folder = tmp_path_factory.mktemp("documentation")
    write_files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMKIT_CACHE", str(folder / "cache"))
        patch.setattr(store, "fetch_archive", lambda asset, part, progress: part.write_bytes(b""))
        patch.setattr(store, "convert", stand_in)
        patch.setattr(plots, "draw", lambda content: {})  # a third of the time, and tests/report draws them
        yield Workspace(folder)


@pytest.fixture
def in_workspace(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace as the current folder."""
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setenv("LLMKIT_CACHE", str(workspace.folder / "cache"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(TYPED))
    return workspace


def stand_in(asset: Asset, packed: Path, folder: Path, progress: Any) -> None:
    """Fill an asset's folder with a tiny model, or with a few examples."""
    if asset.kind == "model":
        write = write_gpt if "gguf" in (asset.convert or "") else write_bert
        write(folder, positions=POSITIONS)
    else:
        jsonl(folder / store.DATA, reviews(ROWS, seed=5))
    (folder / store.ABOUT).write_text(json.dumps({"rows": {"kept": ROWS}}), encoding="utf-8")


def write_files(folder: Path) -> None:
    """The files that the commands name, with the columns that the pages show."""
    rows = reviews(ROWS, seed=0)
    jsonl(folder / "reviews.jsonl", rows)
    jsonl(folder / "reviews.zh.jsonl", rows)
    jsonl(folder / "new.jsonl", rows[:40])
    jsonl(folder / "tweets.jsonl", rows[40:])
    table(
        folder / "reviews.csv",
        [{"sentence": r["text"], "class": int(r["label"] == "positive")} for r in rows],
    )
    rng = random.Random(0)
    teams = {"positive": "billing", "negative": "technical"}
    tickets = [
        {"message": r["text"], "team": teams[r["label"]], "channel": rng.choice(["mail", "chat"])}
        for r in rows
    ]
    table(folder / "tickets.csv", tickets, delimiter=";")
    table(folder / "new.csv", [{"message": "a good film"}, {"message": "a sad story"}])
    write_tasks(folder)
    write_entities(folder)
    for name in ("notes.txt", "written.txt", "references.txt", "hypotheses.txt"):
        (folder / name).write_text("".join(f"it was a {r['text']}\n\n" for r in rows), encoding="utf-8")
    (folder / "texts.txt").write_text("a good film\na sad story\n", encoding="utf-8")
    (folder / "book.txt").write_text("the story of the film 3 4 was warm", encoding="utf-8")


def write_tasks(folder: Path) -> None:
    """The samples of tests/samples.py under the names and columns of the pages."""

    def of(task: str) -> list[Row]:
        return samples.rows(task, ROWS)

    names = {
        "labels.jsonl": "multi_label", "scores.jsonl": "regression", "relations.jsonl": "relation_extraction",
        "questions.jsonl": "extractive_qa", "cmrc.jsonl": "extractive_qa", "translations.jsonl": "translation",
        "summaries.jsonl": "summarization", "conversations.jsonl": "chat", "preferences.jsonl": "dpo",
        "programs.jsonl": "code", "resumes.jsonl": "token_classification",
    }  # fmt: skip
    for name, task in names.items():
        jsonl(folder / name, of(task))
    pairs = {"text": "premise", "text_pair": "hypothesis"}
    jsonl(folder / "pairs.jsonl", renamed(of("pair_classification"), pairs))
    similar = {"text": "sentence1", "text_pair": "sentence2"}
    jsonl(folder / "similar.jsonl", renamed(of("pair_regression"), similar))
    jsonl(folder / "rated-pairs.jsonl", of("pair_regression"))
    same = {"no": "0", "yes": "1"}
    named = renamed(of("pair_classification"), similar)
    jsonl(folder / "paraphrases.jsonl", [{**row, "label": same[row["label"]]} for row in named])
    spam = {"positive": "ham", "negative": "spam"}
    jsonl(folder / "messages.jsonl", [{**row, "label": spam[row["label"]]} for row in of("classification")])
    questions = of("extractive_qa")
    for row in questions[::3]:
        row["answers"] = {"text": [], "answer_start": []}
    jsonl(folder / "unanswerable.jsonl", questions)


def write_entities(folder: Path) -> None:
    """The sentences of token classification as each annotation tool exports them."""
    texts, studio = [], []
    conll = ""
    for row in samples.rows("token_classification", ROWS):
        text, spans = spans_of(row)
        texts.append((text, spans))
        values = [{"value": {**span, "labels": [span["label"]]}} for span in spans]
        studio.append({"data": {"text": text}, "annotations": [{"result": values}]})
        lines = zip(row["tokens"], row["tags"], strict=True)
        conll += "".join(f"{token} NN X {tag}\n" for token, tag in lines) + "\n"
    jsonl(
        folder / "prodigy.jsonl",
        [{"text": text, "spans": spans, "answer": "accept"} for text, spans in texts],
    )
    listed = [[[s["start"], s["end"], s["label"]] for s in spans] for _, spans in texts]
    jsonl(
        folder / "doccano.jsonl", [{"text": t, "label": s} for (t, _), s in zip(texts, listed, strict=True)]
    )
    (folder / "label-studio.json").write_text(json.dumps(studio), encoding="utf-8")
    (folder / "names.conll").write_text(conll, encoding="utf-8")


def spans_of(row: Row) -> tuple[str, list[Row]]:
    """The text of a tagged sentence, and its entities as character spans."""
    text, spans = "", []
    for token, tag in zip(row["tokens"], row["tags"], strict=True):
        start = len(text) + bool(text)
        text = f"{text} {token}".strip()
        if tag.startswith("B-"):
            spans.append({"start": start, "end": len(text), "label": tag[2:]})
        elif tag.startswith("I-"):
            spans[-1]["end"] = len(text)
    return text, spans


def renamed(rows: Sequence[Row], names: dict[str, str]) -> list[Row]:
    return [{names.get(key, key): value for key, value in row.items()} for row in rows]


def jsonl(path: Path, rows: Sequence[Row]) -> None:
    samples.write(path, list(rows))


def table(path: Path, rows: Sequence[Row], delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
