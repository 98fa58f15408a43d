"""`llmkit embed`: embeddings as lines, JSON, .jsonl and .npy, and the table of the most similar texts."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TEXTS = ["a great superb film", "", "an awful stale plot, dull and dreary"]
Command = Callable[..., Any]


@pytest.fixture
def expected(tiny_bert: Path) -> Any:
    """Embeddings of TEXTS, with NaN for the blank text."""
    from llmkit.commands.embed import embed

    return np.stack([item.vector for item in embed(str(tiny_bert), TEXTS)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def test_each_line_shows_the_first_dimensions_and_the_text(
    command: Command, tiny_bert: Path, expected: Any
) -> None:
    outcome = command("embed", tiny_bert, *TEXTS)
    assert outcome.code == 0
    numbers = " ".join(f"{value:+.4f}" for value in expected[0, :4])
    assert outcome.out.splitlines()[:2] == [f"{numbers} ... (32)\t{TEXTS[0]}", "-\t"]
    assert outcome.err == "1 blank texts have no embedding (null in JSON, NaN in .npy)\n"


def test_json_has_all_embeddings(command: Command, tiny_bert: Path, expected: Any) -> None:
    outcome = command("embed", tiny_bert, *TEXTS, "--json")
    assert outcome.json["model"] == str(tiny_bert)
    rows = outcome.json["embeddings"]
    assert [row["text"] for row in rows] == TEXTS
    assert rows[1]["embedding"] is None
    assert (np.array(rows[2]["embedding"], np.float32) == expected[2]).all()  # bit for bit


def test_jsonl_is_exact_with_null_for_blank_texts(
    command: Command, tiny_bert: Path, file: Path, expected: Any, tmp_path: Path
) -> None:
    outcome = command("embed", tiny_bert, "--file", file, "--out", tmp_path / "new" / "v.jsonl")
    assert outcome.out == f"3 embeddings of dimension 32 written to {tmp_path / 'new' / 'v.jsonl'}\n"
    lines = (tmp_path / "new" / "v.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["text"] for row in rows] == TEXTS
    assert rows[1]["embedding"] is None
    assert (np.array([rows[0]["embedding"], rows[2]["embedding"]], np.float32) == expected[::2]).all()


def test_npy_loads_in_numpy_with_nan_for_blank_texts(
    command: Command, tiny_bert: Path, file: Path, expected: Any, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "v.npy"
    outcome = command("embed", tiny_bert, "--file", file, "--out", out, "--json")
    assert outcome.json == {"model": str(tiny_bert), "out": str(out), "texts": 3, "blank": 1, "dimension": 32}
    matrix = np.load(out, allow_pickle=False)
    assert (matrix.shape, matrix.dtype) == ((3, 32), np.float32)
    assert np.array_equal(matrix, expected, equal_nan=True)
    assert [path.name for path in out.parent.iterdir()] == ["v.npy"]  # no temporary file is left


def test_npy_can_be_written_from_a_pipe(
    command: Command, tiny_bert: Path, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "\n".join(TEXTS).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert command("embed", tiny_bert, "--out", "v.npy").code == 0
    assert np.array_equal(np.load(tmp_path / "v.npy"), expected, equal_nan=True)


def test_existing_file_is_kept_when_embedding_fails(
    command: Command, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "v.npy").write_bytes(b"old")
    monkeypatch.setattr("llmkit.models.sentence_embedding.pool_mean", lambda *_: 1 / 0)
    assert command("embed", tiny_bert, *TEXTS, "--out", "v.npy").code == 1
    assert (tmp_path / "v.npy").read_bytes() == b"old"
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize("name", ["v.npy", "v.jsonl"])
def test_existing_folder_at_the_output_path_is_a_storage_error(
    command: Command, tiny_bert: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    outcome = command("embed", tiny_bert, "a film", "--out", name)
    assert outcome.code == 74
    assert outcome.err.startswith(f"error[W03] {name}: writing failed")
    assert not list(tmp_path.glob(".tmp-*"))


def test_near_prints_a_table_of_similar_texts(command: Command, tiny_bert: Path, tmp_path: Path) -> None:
    rows = ["dull " * 9, "", "the warm film", "a [bold] 5 . 3", "the   warm film"]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    outcome = command("embed", tiny_bert, "--file", "t.jsonl", "--near", "the warm film", "--top", "3")
    assert outcome.code == 0, outcome.err
    title, header, *lines = outcome.out.splitlines()
    assert title.rstrip() == 'most similar to "the warm film"'
    assert header.split() == ["rank", "cosine", "similarity", "row", "text"]
    assert [line.rstrip().split(maxsplit=3) for line in lines[:2]] == [
        ["1", "1.000", "3", "the warm film"],
        ["2", "1.000", "5", "the warm film"],
    ]
    assert len(lines) == 3


def test_table_has_one_line_per_text_and_ignores_markup(command: Command, tiny_bert: Path) -> None:
    texts = ["a [bold] film", "影" * 400]
    outcome = command("embed", tiny_bert, *texts, "--near", "[red] film")
    assert outcome.out.startswith('most similar to "[red] film"')
    assert "a [bold] film" in outcome.out
    assert len(outcome.out.splitlines()) == 4
    assert "影…" in outcome.out  # truncated to the width of the table


def test_near_as_json(command: Command, tiny_bert: Path) -> None:
    outcome = command("embed", tiny_bert, "dull plot", "the warm film", "--near", "the warm film", "--json")
    assert outcome.json["near"] == "the warm film"
    first, second = outcome.json["neighbours"]
    assert first == {"rank": 1, "similarity": 1.0, "row": 2, "text": "the warm film"}
    assert (second["rank"], second["row"]) == (2, 1)
    assert second["similarity"] < 1


def test_near_shows_five_texts_by_default(command: Command, tiny_bert: Path) -> None:
    texts = [f"film {number}" for number in range(8)]
    assert len(command("embed", tiny_bert, *texts, "--near", "film", "--json").json["neighbours"]) == 5


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["a", "--out", "v.csv"], 'error[U01] --out v.csv: ".csv" is not a format'),
        (["a", "--out", "v"], 'error[U01] --out v: "" is not a format'),
        (["a", "--top", "3"], "error[U01] --top: sets how many texts --near prints"),
        (["a", "--near", "b", "--out", "v.npy"], "error[U01] --out v.npy: --near prints texts"),
        (["a", "--near", " "], "error[U01] --near: the text is blank"),
        (["", "--near", "b"], "error[U01] --near: there are no texts to compare with"),
        (["a", "--near", "b", "--top", "0"], "error[U01] Invalid value for '--top'"),
        (["a", "--file", "t.txt"], "error[U01] --file: cannot be combined with texts on the command line"),
        (["--near", "b", "--file", "no.txt"], "error[F01] no.txt: no such file"),
    ],
)
def test_usage_errors_are_one_line(
    command: Command, tiny_bert: Path, arguments: list[str], line: str
) -> None:
    outcome = command("embed", tiny_bert, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1].startswith(line)
    assert len(outcome.err.splitlines()) == 1 or "blank texts" in outcome.err


def test_missing_model_is_a_one_line_error(command: Command) -> None:
    outcome = command("embed", "no_such", "a")
    assert outcome.code == 2
    assert outcome.err.startswith("error[M01] no_such: ")


def test_run_and_its_model_folder_give_equal_embeddings(command: Command, finished: Path) -> None:
    embeddings = command("embed", finished, "a great film", "--json").json["embeddings"]
    assert embeddings == command("embed", finished / "model", "a great film", "--json").json["embeddings"]
