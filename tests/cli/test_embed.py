"""`llmkit embed`: vectors as lines, JSON, .jsonl and .npy, and the table of the nearest texts."""

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
    """The matrix of TEXTS; the blank one is NaN."""
    from llmkit.commands.embed import embed

    return np.stack([one.vector for one in embed(str(tiny_bert), TEXTS)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def test_a_line_a_text_shows_the_first_numbers(command: Command, tiny_bert: Path, expected: Any) -> None:
    done = command("embed", tiny_bert, *TEXTS)
    assert done.code == 0
    numbers = " ".join(f"{value:+.4f}" for value in expected[0, :4])
    assert done.out.splitlines()[:2] == [f"{numbers} ... (32)\t{TEXTS[0]}", "-\t"]
    assert done.err == "1 blank texts have no embedding (null in JSON, NaN in .npy)\n"


def test_json_is_one_object_with_all_vectors(command: Command, tiny_bert: Path, expected: Any) -> None:
    done = command("embed", tiny_bert, *TEXTS, "--json")
    assert done.json["model"] == str(tiny_bert)
    rows = done.json["embeddings"]
    assert [row["text"] for row in rows] == TEXTS
    assert rows[1]["embedding"] is None
    assert (np.array(rows[2]["embedding"], np.float32) == expected[2]).all()  # to the bit


def test_jsonl_keeps_every_bit_and_null_for_a_blank_text(
    command: Command, tiny_bert: Path, file: Path, expected: Any, tmp_path: Path
) -> None:
    done = command("embed", tiny_bert, "--file", file, "--out", tmp_path / "new" / "v.jsonl")
    assert done.out == f"3 embeddings of dimension 32 written to {tmp_path / 'new' / 'v.jsonl'}\n"
    lines = (tmp_path / "new" / "v.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["text"] for row in rows] == TEXTS
    assert rows[1]["embedding"] is None
    assert (np.array([rows[0]["embedding"], rows[2]["embedding"]], np.float32) == expected[::2]).all()


def test_npy_opens_with_numpy_and_has_nan_for_a_blank_text(
    command: Command, tiny_bert: Path, file: Path, expected: Any, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "v.npy"
    done = command("embed", tiny_bert, "--file", file, "--out", out, "--json")
    assert done.json == {"model": str(tiny_bert), "out": str(out), "texts": 3, "blank": 1, "dimension": 32}
    matrix = np.load(out, allow_pickle=False)
    assert (matrix.shape, matrix.dtype) == ((3, 32), np.float32)
    assert np.array_equal(matrix, expected, equal_nan=True)
    assert [path.name for path in out.parent.iterdir()] == ["v.npy"]  # and nothing half-written


def test_a_pipe_goes_to_npy_too(
    command: Command, tiny_bert: Path, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "\n".join(TEXTS).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert command("embed", tiny_bert, "--out", "v.npy").code == 0
    assert np.array_equal(np.load(tmp_path / "v.npy"), expected, equal_nan=True)


def test_an_old_file_stays_when_the_work_fails(
    command: Command, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "v.npy").write_bytes(b"old")
    monkeypatch.setattr("llmkit.models.sentence_embedding.pool_mean", lambda *_: 1 / 0)
    assert command("embed", tiny_bert, *TEXTS, "--out", "v.npy").code == 1
    assert (tmp_path / "v.npy").read_bytes() == b"old"
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize("name", ["v.npy", "v.jsonl"])
def test_a_folder_in_the_way_is_a_storage_error(
    command: Command, tiny_bert: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    done = command("embed", tiny_bert, "a film", "--out", name)
    assert done.code == 74
    assert done.err.startswith(f"error[W03] {name}: writing failed")
    assert not list(tmp_path.glob(".tmp-*"))


def test_the_nearest_texts_come_as_a_table(command: Command, tiny_bert: Path, tmp_path: Path) -> None:
    rows = ["dull " * 9, "", "the warm film", "a [bold] 5 . 3", "the   warm film"]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    done = command("embed", tiny_bert, "--file", "t.jsonl", "--near", "the warm film", "--top", "3")
    assert done.code == 0, done.err
    title, header, *lines = done.out.splitlines()
    assert title.rstrip() == 'most similar to "the warm film"'
    assert header.split() == ["rank", "cosine", "similarity", "row", "text"]
    assert [line.rstrip().split(maxsplit=3) for line in lines[:2]] == [
        ["1", "1.000", "3", "the warm film"],
        ["2", "1.000", "5", "the warm film"],
    ]
    assert len(lines) == 3


def test_the_table_has_one_line_a_text_and_brackets_as_they_are(command: Command, tiny_bert: Path) -> None:
    texts = ["a [bold] film", "影" * 400]
    done = command("embed", tiny_bert, *texts, "--near", "[red] film")
    assert done.out.startswith('most similar to "[red] film"')
    assert "a [bold] film" in done.out
    assert len(done.out.splitlines()) == 4
    assert "影…" in done.out  # cut at the width of the screen


def test_the_nearest_texts_as_json(command: Command, tiny_bert: Path) -> None:
    done = command("embed", tiny_bert, "dull plot", "the warm film", "--near", "the warm film", "--json")
    assert done.json["near"] == "the warm film"
    first, second = done.json["neighbours"]
    assert first == {"rank": 1, "similarity": 1.0, "row": 2, "text": "the warm film"}
    assert (second["rank"], second["row"]) == (2, 1)
    assert second["similarity"] < 1


def test_five_are_shown_unless_told_otherwise(command: Command, tiny_bert: Path) -> None:
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
def test_mistakes_are_one_line(command: Command, tiny_bert: Path, arguments: list[str], line: str) -> None:
    done = command("embed", tiny_bert, *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith(line)
    assert len(done.err.splitlines()) == 1 or "blank texts" in done.err


def test_no_such_model_is_one_line(command: Command) -> None:
    done = command("embed", "no_such", "a")
    assert done.code == 2
    assert done.err.startswith("error[M01] no_such: ")


def test_a_run_is_embedded_by_its_model(command: Command, finished: Path) -> None:
    of_run = command("embed", finished, "a great film", "--json").json["embeddings"]
    assert of_run == command("embed", finished / "model", "a great film", "--json").json["embeddings"]
