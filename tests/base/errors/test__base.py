"""Error lines, exit codes and the helpers for messages."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from llmkit.base import errors
from llmkit.base.errors import DataError, ErrorDetail, LlmkitError, raise_if, shorten_list, suggest

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, LlmkitError)
}
TREE = re.compile(r"^    ([| ]*)(?:\+-- )?(\w+) +(\d+)?", re.MULTILINE)


def tree() -> list[tuple[str, int]]:
    """Return (class, exit code) of each line of the tree in the docstring; a class without a code inherits it."""
    rows: list[tuple[int, str, int]] = []
    assert errors.__doc__ is not None
    for match in TREE.finditer(errors.__doc__):
        depth, name, code = match.start(2), match[2], match[3]
        depth -= match.start()
        parent = next((row for row in reversed(rows) if row[0] < depth), None)
        assert code or parent
        rows.append((depth, name, int(code) if code else parent[2] if parent else 0))
    return [(name, code) for _, name, code in rows]


def test_docstring_lists_every_class_with_its_exit_code() -> None:
    assert len(CLASSES) == 11
    assert sorted(tree()) == sorted((name, kind.exit_code) for name, kind in CLASSES.items())


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("LlmkitError", 1),
        ("UserError", 2),
        ("RecipeError", 2),
        ("DataError", 2),
        ("ModelError", 2),
        ("AssetError", 2),
        ("RunError", 2),
        ("TrainingError", 2),
        ("StorageError", 74),
        ("Stopped", 75),
        ("Interrupted", 130),
    ],
)
def test_exit_code_of_each_class(name: str, code: int) -> None:
    assert CLASSES[name].exit_code == code


def test_every_class_is_exported() -> None:
    assert set(CLASSES) <= set(errors.__all__)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            ErrorDetail("L05", "val.jsonl:812", 'label "refnd" is unknown', "correct it"),
            'error[L05] val.jsonl:812: label "refnd" is unknown. Fix: correct it',
        ),
        (ErrorDetail("U01", "", "no text"), "error[U01] no text."),
        (
            ErrorDetail("C03", "a.yaml:2", 'unknown key "lr"; did you mean "x"?', "remove it"),
            'error[C03] a.yaml:2: unknown key "lr"; did you mean "x"? Fix: remove it',
        ),
        (
            ErrorDetail("F01", "a\nb\tc", "is  not\r\nthere", "look\n\nagain"),
            "error[F01] a b c: is not there. Fix: look again",
        ),
        (
            ErrorDetail("F01", "\x1b[31mred\x00", "\u202eabc \ud800 好", ""),
            "error[F01] \ufffd[31mred\ufffd: \ufffdabc \ufffd 好.",
        ),
    ],
)
def test_error_is_formatted_as_one_printable_line(error: ErrorDetail, line: str) -> None:
    assert str(error) == line
    line.encode("utf-8")


def test_errors_beyond_twenty_are_counted() -> None:
    details = [ErrorDetail("L05", f"a:{number}", "wrong") for number in range(23)]
    assert DataError.of(details[:20]).lines() == [str(detail) for detail in details[:20]]
    assert DataError.of(details[:21]).lines() == [str(detail) for detail in details[:21]]
    lines = DataError.of(details).lines()
    assert lines[:20] == [str(detail) for detail in details[:20]]
    assert lines[20:] == ["... and 3 more errors"]
    assert DataError.of(details).details == details  # the exception still holds all of them


def test_error_is_constructed_in_one_call() -> None:
    error = DataError("L05", "a:1", "wrong", "correct it")
    assert error.details == [ErrorDetail("L05", "a:1", "wrong", "correct it")]
    assert str(error) == "error[L05] a:1: wrong. Fix: correct it"
    assert (
        DataError.of(error.details[0]).details == DataError.of(iter(error.details)).details == error.details
    )


def test_error_can_be_pickled() -> None:
    details = [ErrorDetail("L05", f"a:{number}", "wrong") for number in range(3)]
    copy = pickle.loads(pickle.dumps(DataError.of(details)))
    assert copy.details == details
    assert isinstance(copy, DataError)


def test_errors_without_details_print_their_message() -> None:
    assert LlmkitError("broken").lines() == ["error: broken"]
    assert errors.Stopped("stopped at step 3").lines() == ["stopped at step 3"]


def test_raise_if_raises_all_errors_at_once() -> None:
    raise_if([], DataError)
    details = [ErrorDetail("L05", "a:1", "wrong"), ErrorDetail("L06", "a:2", "wrong")]
    with pytest.raises(DataError) as caught:
        raise_if(details, DataError)
    assert caught.value.details == details


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("acuracy", '; did you mean "accuracy"?'),
        ("F1", '; did you mean "f1"?'),  # differs only in case
        ("LOSS", '; did you mean "loss"?'),
        ("banana", ""),
        ("", ""),
    ],
)
def test_suggest_returns_the_most_similar_word(word: str, hint: str) -> None:
    assert suggest(word, iter(["loss", "accuracy", "f1"])) == hint


def test_shorten_list_counts_the_hidden_items() -> None:
    assert shorten_list([]) == ""
    assert shorten_list(range(5)) == "0, 1, 2, 3, 4"
    assert shorten_list(range(6)) == "0, 1, 2, 3, 4 and 1 more"
    assert shorten_list(iter("abcd"), 2) == "a, b and 2 more"
