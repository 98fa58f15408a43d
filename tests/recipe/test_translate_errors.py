"""The exact error line for each kind of error in a recipe."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from llmkit.recipe.describe import collect_sections
from llmkit.recipe.schema import Recipe, Section, Train
from llmkit.recipe.translate_errors import EXAMPLES, FOREIGN, Context, Place, translate_validation_error
from llmkit.recipe.yaml import parse

ErrorLines = Callable[..., list[str]]

TOP = "task:\n  name: classification\nmodel:\n  name: m\n"  # lines 1 to 4
SCRATCH = "task:\n  name: chat\nmodel:\n  from_scratch:\n    shape: llama\n"
LINES = {
    "C01 tab": (
        "task:\n\tname: chat\n",
        "[C01] a.yaml:2:1: a tab where only spaces are allowed. Fix: indent with spaces",
    ),
    "C02 repeated key": (
        TOP + "seed: 1\nseed: 2\n",
        '[C02] a.yaml:6:1: the key "seed" is given on line 5 and again on line 6. Fix: keep one of them',
    ),
    "C02 repeated section": (
        TOP + "train:\n  epochs: 1\ntrain:\n  batch_size: 8\n",
        '[C02] a.yaml:7:1: the key "train" is given on line 5 and again on line 7. Fix: keep one of them',
    ),
    "C03 misspelled key": (
        TOP + "train:\n  lerning_rate: 1e-5\n",
        '[C03] a.yaml:6:3: train has no key "lerning_rate"; did you mean "learning_rate"?.',
    ),
    "C03 misspelled section": (
        TOP + "trian:\n  epochs: 1\n",
        '[C03] a.yaml:5:1: a recipe has no key "trian"; did you mean "train"?.',
    ),
    "C03 misspelled task option": (
        "task:\n  name: chat\n  class_weight: none\nmodel: {name: m}\n",
        '[C03] a.yaml:3:3: task has no key "class_weight"; did you mean "class_weights"?.',
    ),
    "C03 unknown key": (
        TOP + "checkpoint:\n  zzz: 1\n",
        '[C03] a.yaml:6:3: checkpoint has no key "zzz". Fix: choose one of every_steps, keep',
    ),
    "C03 name of another tool": (
        TOP + "train:\n  lr: 1e-5\n",
        '[C03] a.yaml:6:3: train has no key "lr". Fix: write learning_rate',
    ),
    "C03 name of another tool, wrong section": (
        TOP + "train:\n  save_steps: 9\n",
        '[C03] a.yaml:6:3: train has no key "save_steps". Fix: write every_steps under checkpoint:',
    ),
    "C04 wrong section": (
        TOP + "  learning_rate: 1e-5\n",
        '[C04] a.yaml:5:3: model has no key "learning_rate". Fix: it belongs under train:',
    ),
    "C04 section at the top level": (
        TOP + "lora:\n  rank: 4\n",
        '[C04] a.yaml:5:1: a recipe has no key "lora". Fix: it belongs under model:',
    ),
    "C04 key of the top level": (
        TOP + "train:\n  seed: 3\n",
        '[C04] a.yaml:6:3: train has no key "seed". Fix: it belongs at the top level',
    ),
    "C04 key of the task": (
        TOP + "train:\n  label_smoothing: 0.1\n",
        '[C04] a.yaml:6:3: train has no key "label_smoothing". Fix: it belongs under task:',
    ),
    "C04 key of two sections": (
        TOP + "train:\n  every_steps: 3\n",
        '[C04] a.yaml:6:3: train has no key "every_steps". '
        "Fix: it belongs under evaluate: or under checkpoint:",
    ),
    "C05 hyphen": (
        TOP + "train:\n  batch-size: 8\n",
        '[C05] a.yaml:6:3: train has no key "batch-size". Fix: write batch_size',
    ),
    "C05 hyphen, other name": (
        TOP + "train:\n  num-epochs: 8\n",
        '[C05] a.yaml:6:3: train has no key "num-epochs". Fix: write epochs',
    ),
    "C05 hyphen, wrong section": (
        TOP + "  batch-size: 8\n",
        '[C05] a.yaml:5:3: model has no key "batch-size". Fix: write batch_size under train:',
    ),
    "C06 quoted number": (
        TOP + 'train:\n  learning_rate: "1e-5"\n',
        '[C06] a.yaml:6:18: train.learning_rate is the string "1e-5". Fix: remove the quotes',
    ),
    "C06 quoted boolean": (
        TOP + 'train:\n  compile: "true"\n',
        '[C06] a.yaml:6:12: train.compile is the string "true". Fix: remove the quotes',
    ),
    "C06 quoted null": (
        TOP + "train:\n  max_grad_norm: 'null'\n",
        '[C06] a.yaml:6:18: train.max_grad_norm is the string "null". Fix: remove the quotes',
    ),
    "C07 yes": (
        TOP + "train:\n  truncation: yes\n",
        '[C07] a.yaml:6:15: train.truncation is the string "yes". '
        "Fix: write true (booleans are true and false)",
    ),
    "C07 off": (
        TOP + "evaluate:\n  baselines: Off\n",
        '[C07] a.yaml:6:14: evaluate.baselines is the string "Off". '
        "Fix: write false (booleans are true and false)",
    ),
    "C08 string for a number": (
        TOP + "train:\n  epochs: two\n",
        '[C08] a.yaml:6:11: train.epochs is the string "two". Fix: give a number > 0, or null',
    ),
    "C08 number with a fraction": (
        TOP + "train:\n  batch_size: 1.5\n",
        "[C08] a.yaml:6:15: train.batch_size is 1.5. Fix: give an integer >= 1",
    ),
    "C08 integer written as a float": (
        TOP + "train:\n  max_steps: 1e4\n",
        "[C08] a.yaml:6:14: train.max_steps is 10000.0. Fix: write 10000",
    ),
    "C08 number for a string": (
        "task: {name: chat}\nmodel:\n  name: 12\n",
        "[C08] a.yaml:3:9: model.name is 12. Fix: put it in quotes",
    ),
    "C08 number in a list of strings": (
        TOP + "data:\n  labels: [no, 1]\n",
        "[C08] a.yaml:6:16: item 2 of data.labels is 1. Fix: put it in quotes",
    ),
    "C08 number in a list for a string or a list": (
        TOP + "data:\n  train: [a, 1]\n",
        "[C08] a.yaml:6:14: item 2 of data.train is 1. Fix: put it in quotes",
    ),
    "C08 null in a mapping": (
        TOP + "data:\n  columns: {text: }\n",
        "[C08] a.yaml:6:18: data.columns.text is empty (null). Fix: give a string",
    ),
    "C08 neither auto nor a list": (
        TOP + "  lora: {targets: all}\n",
        '[C08] a.yaml:5:19: model.lora.targets is the string "all". Fix: give auto or a list of strings',
    ),
    "C08 list for a section": (
        TOP + "train: [1]\n",
        "[C08] a.yaml:5:8: train is a list. Fix: give a section (a mapping of keys)",
    ),
    "C08 empty section": (
        TOP + "train:\n",
        "[C08] a.yaml:5:7: train is empty (null). Fix: write its keys below it, or remove the line",
    ),
    "C08 section for a number": (
        TOP + "seed: {a: 1}\n",
        "[C08] a.yaml:5:7: seed is a section. Fix: give an integer >= 0 and < 4294967296",
    ),
    "C08 boolean for a number": (
        TOP + "train:\n  batch_size: true\n",
        "[C08] a.yaml:6:15: train.batch_size is true. Fix: give an integer >= 1",
    ),
    "C09 learning rate of zero": (
        TOP + "train:\n  learning_rate: 0\n",
        "[C09] a.yaml:6:18: train.learning_rate is 0. Fix: give a number > 0",
    ),
    "C09 dropout of one": (
        TOP + "  lora:\n    dropout: 1\n",
        "[C09] a.yaml:6:14: model.lora.dropout is 1. Fix: give a number >= 0 and < 1",
    ),
    "C09 empty batch": (
        TOP + "train: {batch_size: 0}\n",
        "[C09] a.yaml:5:21: train.batch_size is 0. Fix: give an integer >= 1",
    ),
    "C09 word or number": (
        TOP + "train: {micro_batch_tokens: 0}\n",
        "[C09] a.yaml:5:29: train.micro_batch_tokens is 0. Fix: give auto or an integer >= 1",
    ),
    "C09 infinity": (
        TOP + "train: {learning_rate: .inf}\n",
        "[C09] a.yaml:5:24: train.learning_rate is inf. Fix: give a number > 0",
    ),
    "C09 empty string": (
        "task: {name: chat}\nmodel: {name: ''}\n",
        '[C09] a.yaml:2:15: model.name is the string "". Fix: give a non-empty string, or null',
    ),
    "C09 unknown choice": (
        TOP + "train: {schedule: cosin}\n",
        '[C09] a.yaml:5:19: train.schedule is the string "cosin"; did you mean "cosine"?. '
        "Fix: give linear, cosine or constant",
    ),
    "C09 option of the task": (
        "task: {name: chat, label_smoothing: 1}\nmodel: {name: m}\n",
        "[C09] a.yaml:1:37: task.label_smoothing is 1. Fix: give a number >= 0 and < 1",
    ),
    "C09 unknown task": (
        "task: {name: clasification}\nmodel: {name: m}\n",
        '[C09] a.yaml:1:14: there is no task "clasification"; did you mean "classification"?. '
        "Fix: choose one of classification, chat",
    ),
    "C10 epochs and max_steps": (
        TOP + "train:\n  max_steps: 9\n  epochs: 1\n",
        "[C10] a.yaml:7:3: train.epochs and train.max_steps exclude each other. Fix: keep one of them",
    ),
    "C10 compile and shard": (
        TOP + "train: {compile: true, shard: true}\n",
        "[C10] a.yaml:5:1: train: compile and shard exclude each other. Fix: keep one of them",
    ),
    "C10 heads": (
        SCRATCH + "    hidden: 100\n    heads: 3\n  tokenizer: t\n",
        "[C10] a.yaml:4:3: model.from_scratch: a width of 100 can't be divided evenly among 3 heads. "
        "Fix: make hidden a multiple of 6",
    ),
    "C10 no tokenizer": (
        SCRATCH,
        "[C10] a.yaml:3:1: model: a model from scratch needs a tokenizer. "
        "Fix: set model.tokenizer (`llmkit tokenizer train` trains one)",
    ),
    "C10 checkpoint and from_scratch": (
        SCRATCH + "  tokenizer: t\n  name: m\n",
        "[C10] a.yaml:3:1: model: name and from_scratch exclude each other. Fix: keep one of them",
    ),
    "C11 no shape": (
        "task: {name: chat}\nmodel: {tokenizer: t, from_scratch: {layers: 2}}\n",
        "[C11] a.yaml:2:23: model.from_scratch.shape is missing. "
        'Fix: add "shape: ... (bert, gpt2, llama, t5, bart or lstm)" under model.from_scratch:',
    ),
    "C11 no model": (
        "seed: 1\ntask: {name: chat}\n",
        "[C11] a.yaml:1:1: model is missing. "
        'Fix: add "model: {name: index:all-MiniLM-L6-v2}" at the top level',
    ),
    "C11 no name of the model": (
        "task: {name: chat}\nmodel: {new_head: true}\n",
        '[C11] a.yaml:2:1: model.name is missing. Fix: add "name: index:all-MiniLM-L6-v2" under model:',
    ),
    "C11 no name of the task": (
        "model: {name: m}\ntask: {label_smoothing: 0.1}\n",
        '[C11] a.yaml:2:1: task.name is missing. Fix: add "name: classification" under task:',
    ),
    "C12 empty": (
        "# to do\n",
        "[C12] a.yaml:1:1: the file has no content. Fix: begin with task:, model: and data:",
    ),
    "C12 list": (
        "- task\n",
        "[C12] a.yaml:1:1: the top level is a list. Fix: begin with task:, model: and data:",
    ),
    "C13 open bracket": (
        TOP + "data:\n  labels: [a, b\ntrain:\n  epochs: 1\n",
        '[C13] a.yaml:6:11: the "[" opened here is not closed (reading stopped at 7:6). '
        'Fix: close it with "]"',
    ),
    "C14 Python tag": (
        TOP + "seed: !!python/object/apply:os.getpid []\n",
        '[C14] a.yaml:5:7: tags ("!!python/object/apply:os.getpid") are not allowed in recipes. '
        "Fix: remove it, or put the text in quotes",
    ),
    "C14 alias": (
        TOP + "train: &x {epochs: 1}\n",
        '[C14] a.yaml:5:8: anchors and aliases ("x") are not allowed in recipes. '
        "Fix: write the value out, or put the text in quotes",
    ),
    "C14 too large": (
        "#" * (1 << 20) + "\n",
        "[C14] a.yaml: the file is larger than 1 MiB. Fix: name a recipe, not a data file",
    ),
    "C14 too deep": (
        TOP + "seed: " + "[" * 40,
        "[C14] a.yaml:5:38: values are nested more than 32 levels deep. Fix: nest them less deeply",
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_error_line_of(case: str, error_lines: ErrorLines) -> None:
    text, line = LINES[case]
    assert error_lines(text) == [line]


def test_every_error_code_is_tested() -> None:
    assert {case.split()[0] for case in LINES} == {f"C{number:02}" for number in range(1, 15)}


def test_missing_task_option_is_reported_with_a_line_to_add() -> None:
    class Translation(Section):
        target: str

    place = Place((0, 1, 1), "a.yaml:1:1")
    context = Context({"task": {}}, collect_sections(Translation, ("task",)), lambda path, of_key: place)
    with pytest.raises(ValidationError) as caught:
        Translation.model_validate({})
    [error] = translate_validation_error(caught.value, ("task",), context)
    assert (
        str(error.detail)
        == 'error[C11] a.yaml:1:1: task.target is missing. Fix: add "target: ... (a string)" under task:'
    )


def test_rule_about_several_keys_is_reported_with_its_message_and_fix() -> None:
    place = Place((0, 4, 1), "a.yaml:4:1")
    content = {"train": {"epochs": 1, "max_steps": 1}}
    context = Context(content, collect_sections(Recipe), lambda path, of_key: place)
    with pytest.raises(ValidationError) as caught:
        Train.model_validate(content["train"])
    [error] = translate_validation_error(caught.value, ("train",), context)
    assert (error.detail.code, error.detail.message) == (
        "C10",
        "train: epochs and max_steps exclude each other",
    )
    assert error.detail.fix == "keep one of them"


def test_names_of_other_tools_map_to_existing_keys() -> None:
    keys = {
        ".".join([*map(str, path), name])
        for path, model in collect_sections(Recipe).items()
        for name in model.model_fields
    }
    assert set(FOREIGN.values()) <= keys
    assert not {name for name in FOREIGN if name in {key.rpartition(".")[2] for key in keys}}


@pytest.mark.parametrize("path", EXAMPLES)
def test_example_lines_are_valid_yaml(path: tuple[str, ...]) -> None:
    assert path[-1] in parse(EXAMPLES[path], "example").value
