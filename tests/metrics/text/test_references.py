import pytest

from llmkit.base.errors import UserError
from llmkit.metrics.text.references import align_references


def test_a_string_is_one_reference() -> None:
    assert align_references(["a", "b"], ["cd", ["e", "f"]]) == [["cd"], ["e", "f"]]


@pytest.mark.parametrize(
    ("predictions", "references", "code", "message"),
    [
        (["a"], [["a"], ["b"]], "E04", "1 predictions, but references for 2 rows"),
        ([], [], "E02", "no text in the references"),
        (["a", "b"], [["a"], []], "E02", "row 2 has no reference"),
        (["a", "b"], [["", " "], ["\n"]], "E02", "no text in the references"),
    ],
)
def test_missing_or_blank_references_are_errors(predictions, references, code, message) -> None:
    with pytest.raises(UserError, match=message) as caught:
        align_references(predictions, references)
    assert [problem.code for problem in caught.value.details] == [code]
