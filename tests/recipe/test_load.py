"""Loading recipes: overrides, layers, all errors at once, defaults, dump, digest and differences."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.base.errors import RecipeError
from llmkit.recipe.load import compute_digest, dump, list_differences, load
from llmkit.recipe.schema import Recipe, Section

Load = Callable[..., Recipe]
ErrorLines = Callable[..., list[str]]

GOOD = """\
# A comment.
task:
  name: classification
  label_smoothing: 0.1
model:
  name: "index:all-MiniLM-L6-v2"
data:
  train: [a.jsonl, b.jsonl]
  validation: v.jsonl
  test: t.jsonl
  columns: {text: sentence}
train:
  epochs: 2
  learning_rate: 1e-5
  truncation: true
"""


def test_recipe_holds_every_default_including_task_options(load_text: Load) -> None:
    recipe = load_text(GOOD)
    assert recipe.task == {"name": "classification", "label_smoothing": 0.1, "class_weights": "none"}
    assert recipe.train.learning_rate == 1e-5
    assert recipe.train.batch_size == 32
    assert recipe.data.train == ["a.jsonl", "b.jsonl"]


def test_task_name_is_the_first_key_of_the_task_section(load_text: Load) -> None:
    recipe = load_text("task: {label_smoothing: 0.1, name: chat}\nmodel: {name: m}\n")
    assert next(iter(recipe.task)) == "name"


def test_packaged_recipe_is_loaded_by_name(
    options: type[Section], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sentiment").mkdir()  # a folder of the same name is not a recipe
    recipe = load("sentiment", task_names=["classification"], task_options=lambda _: options)
    assert recipe.task["name"] == "classification"


@pytest.mark.parametrize("source", ["./a", "a", "a.yml"])
def test_path_or_existing_file_is_loaded_as_a_file(
    source: str, options: type[Section], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(source).write_text(GOOD + "sed: 1\n")
    with pytest.raises(RecipeError) as caught:
        load(source, task_names=["classification"], task_options=lambda _: options)
    assert caught.value.details[0].place == f"{source}:16:1"


def test_overrides_replace_values_of_the_file(load_text: Load) -> None:
    overrides = [
        "train.learning_rate=3e-5",
        "data.labels=[neg, pos]",
        "data.test=null",
        "task.label_smoothing=0",
    ]
    recipe = load_text(GOOD, [*overrides, "data.columns.label=polarity", "model.name=a/b@main"])
    assert recipe.train.learning_rate == 3e-5
    assert recipe.data.labels == ["neg", "pos"]
    assert recipe.data.test is None
    assert recipe.task["label_smoothing"] == 0
    assert recipe.data.columns == {"text": "sentence", "label": "polarity"}
    assert recipe.model.name == "a/b@main"


@pytest.mark.parametrize("lora", ["", "  lora: null\n", "  lora: {rank: 2}\n"])
def test_override_creates_its_section(lora: str, load_text: Load) -> None:
    recipe = load_text(f"task: {{name: chat}}\nmodel:\n  name: m\n{lora}", ["model.lora.rank=4"])
    assert recipe.model.lora is not None
    assert recipe.model.lora.rank == 4


def test_override_of_epochs_or_max_steps_removes_the_other(load_text: Load) -> None:
    assert (load_text(GOOD, ["train.max_steps=6"]).train.epochs) is None
    steps = GOOD.replace("epochs: 2", "max_steps: 6")
    assert load_text(steps, ["train.epochs=1"]).train.max_steps is None
    assert load_text(steps, ["train.epochs=null"]).train.max_steps == 6


def test_override_of_training_data_removes_validation_and_test_data(load_text: Load) -> None:
    data = load_text(GOOD, ["data.train=x.jsonl"]).data
    assert (data.train, data.validation, data.test) == ("x.jsonl", None, None)
    data = load_text(GOOD, ["data.test=y.jsonl", "data.train=x.jsonl"]).data
    assert (data.train, data.validation, data.test) == ("x.jsonl", None, "y.jsonl")
    data = load_text(GOOD, ["data.test=y.jsonl"]).data
    assert (data.validation, data.test) == ("v.jsonl", "y.jsonl")


OVERRIDES = {
    "misspelled": (
        ["train.lerning_rate=1"],
        '[C03] train.lerning_rate=1: train has no key "lerning_rate"; did you mean "learning_rate"?.',
    ),
    "misspelled section": (
        ["trian.epochs=1"],
        '[C03] trian.epochs=1: a recipe has no key "trian"; did you mean "train"?.',
    ),
    "hyphen": (
        ["train.batch-size=1"],
        '[C05] train.batch-size=1: train has no key "batch-size". Fix: write batch_size',
    ),
    "out of range": (
        ["model.lora.rank=0"],
        "[C09] model.lora.rank=0: model.lora.rank is 0. Fix: give an integer >= 1",
    ),
    "item of a list": (
        ["data.labels=[a, 1]"],
        "[C08] data.labels=[a, 1]: item 2 of data.labels is 1. Fix: put it in quotes",
    ),
    "task": (
        ["task.name=chta"],
        '[C09] task.name=chta: there is no task "chta"; did you mean "chat"?. '
        "Fix: choose one of classification, chat",
    ),
    "no value": (["seed="], "[C13] seed=: the value is missing. Fix: write e.g. seed=null"),
    "no equals sign": (["seed"], "[C13] seed: not of the form KEY=VALUE. Fix: write e.g. train.epochs=1"),
    "no key": (
        ["train..epochs=1"],
        "[C13] train..epochs=1: not of the form KEY=VALUE. Fix: write e.g. train.epochs=1",
    ),
    "open bracket": (
        ["data.labels=[a"],
        '[C13] data.labels=[a: the "[" opened here is not closed (reading stopped at 1:3). '
        'Fix: close it with "]"',
    ),
    "twice": (["seed=1", "seed=2"], "[C02] seed=2: seed=1 sets the same key. Fix: keep one of them"),
    "a section and a key in it": (
        ["model.lora={rank: 4}", "model.lora.alpha=1"],
        "[C02] model.lora.alpha=1: model.lora={rank: 4} sets the same key. Fix: keep one of them",
    ),
    "both durations": (
        ["train.max_steps=1", "train.epochs=1"],
        "[C10] train.epochs=1: train.epochs and train.max_steps exclude each other. Fix: keep one of them",
    ),
    "a key below a value": (
        ["train.epochs.x=1"],
        "[C08] train.epochs.x=1: train.epochs is not a section in a.yaml. Fix: correct the file or the override",
    ),
    "not UTF-8": (
        ["model.name=\udce9"],
        "[C13] model.name=?: the value is not valid UTF-8. Fix: write it as UTF-8",
    ),
}


@pytest.mark.parametrize("case", OVERRIDES)
def test_error_line_of_an_invalid_override(case: str, error_lines: ErrorLines) -> None:
    overrides, line = OVERRIDES[case]
    assert error_lines(GOOD, overrides) == [line]


def test_key_missing_in_a_section_of_an_override_is_reported_at_the_override(error_lines: ErrorLines) -> None:
    lines = error_lines("task: {name: chat}\n", ["model.new_head=true"])
    assert [line.partition(" is missing")[0] for line in lines] == ["[C11] model.new_head=true: model.name"]


def test_all_errors_are_reported_at_once_sorted_by_place(error_lines: ErrorLines) -> None:
    text = """\
seed: -1
task: {name: chat, label_smoothing: 2}
train: {epochs: 0, lr: 1, max_steps: 1}
train: {}
model: {lora: {rank: x}}
"""
    lines = error_lines(text, ["evaluate.beest=f1", "train.batch_size=0", "data=1", "data=2"])
    assert [line.partition(": ")[0] for line in lines] == [
        "[C09] a.yaml:1:7",
        "[C09] a.yaml:2:37",
        "[C03] a.yaml:3:20",
        "[C10] a.yaml:3:27",
        "[C02] a.yaml:4:1",
        "[C11] a.yaml:5:1",
        "[C08] a.yaml:5:22",
        "[C03] evaluate.beest=f1",
        "[C09] train.batch_size=0",
        "[C08] data=1",
        "[C02] data=2",
    ]


def test_dumped_recipe_loads_to_an_equal_recipe(load_text: Load) -> None:
    recipe = load_text(GOOD, ["model.lora.targets=[q, '1e-5']", "data.encoding='012'", "evaluate.best=no"])
    assert load_text(dump(recipe)) == recipe


def test_digest_depends_on_settings_not_on_formatting(load_text: Load) -> None:
    recipe = load_text(GOOD)
    assert compute_digest(load_text(dump(recipe))) == compute_digest(recipe)
    assert compute_digest(load_text(GOOD.replace("1e-5", "0.00001").replace("# A", "# B"))) == compute_digest(
        recipe
    )
    first, second = "data.columns={text: a, label: b}", "data.columns={label: b, text: a}"
    assert compute_digest(load_text(GOOD, [first])) == compute_digest(load_text(GOOD, [second]))
    assert compute_digest(load_text(GOOD, ["seed=2"])) != compute_digest(recipe)
    assert len(compute_digest(recipe)) == 64


def test_differences_are_listed_by_key(load_text: Load) -> None:
    changed = load_text(
        GOOD, ["seed=2", "model.lora.rank=4", "task.label_smoothing=0", "data.columns.label=y"]
    )
    assert list_differences(load_text(GOOD), changed) == [
        "task.label_smoothing",
        "model.lora",
        "data.columns.label",
        "seed",
    ]
    assert list_differences(changed, changed) == []


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["delete", "insert", "replace"]),
        st.integers(0, len(GOOD)),
        st.sampled_from(
            [*"\n\t :-[]{}\"'#&*!|>%@,.0123456789eno\0\x85é", "- ", "\n\n", "null", "1e999", "---\n"]
        ),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_mutated_recipe_loads_or_raises_a_recipe_error(
    edits: list[tuple[str, int, str]], load_text: Load
) -> None:
    text = GOOD
    for edit, at, new in edits:
        text = text[:at] + ("" if edit == "delete" else new) + text[at + (edit != "insert") :]
    try:
        recipe = load_text(text)
    except RecipeError as error:
        assert all("\n" not in line for line in error.lines())
    else:
        assert load_text(dump(recipe)) == recipe


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(
        ["seed", "task", "task.name", "model", "model.lora", "data.labels", "train.max_steps", "x.y"]
    ),
    value=st.text(max_size=12)
    | st.sampled_from(["[]", "{}", "[[]]", "{a: }", ".nan", "1e400", "''", "\ud800"]),
)
def test_any_override_loads_or_raises_a_recipe_error(key: str, value: str, load_text: Load) -> None:
    try:
        load_text(GOOD, [f"{key}={value}"])
    except RecipeError as error:
        assert "\n".join(error.lines()).encode()
