"""Loading checkpoints: errors of one line, no code of the checkpoint runs, a new head depends only on the seed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import BertModel, GPT2Config, GPT2Model

from llmkit.base.errors import ModelError
from llmkit.models import load
from llmkit.tasks._shared.classes import class_config

HEAD = "AutoModelForSequenceClassification"


def load_classifier(folder: Path, labels: list[str], *, new_head: bool = False, seed: int = 1) -> Any:
    """Load the checkpoint under a classification head."""
    return load.load_pretrained(
        folder,
        "AutoModelForSequenceClassification",
        class_config(labels, "single_label_classification"),
        new_head=new_head,
        seed=seed,
        tokenizer=load.load_tokenizer(folder),
    )


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint that a test may damage."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "checkpoint"))


def edit_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def get_error(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_classifier(folder, ["a", "b"], new_head=False, seed=1)
    assert len(caught.value.lines()) == 1
    return caught.value.lines()[0]


def test_label_names_are_in_the_config(folder: Path) -> None:
    model = load_classifier(folder, ["no", "yes", "perhaps"], new_head=False, seed=1)
    assert model.config.id2label == {0: "no", 1: "yes", 2: "perhaps"}
    assert model.config.label2id == {"no": 0, "yes": 1, "perhaps": 2}
    assert model.dtype == torch.float32


def test_a_new_head_depends_only_on_the_seed(folder: Path) -> None:
    def head(seed: int) -> torch.Tensor:
        return load_classifier(folder, ["a", "b"], new_head=False, seed=seed).classifier.weight

    torch.rand(5)
    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_loading_prints_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_classifier(folder, ["a", "b"], new_head=False, seed=1)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    assert get_error(tmp_path).startswith(f"error[M01] {tmp_path}: is not a model folder")


def test_a_malformed_config_is_an_error(folder: Path) -> None:
    (folder / "config.json").write_text("{oops")
    assert "error[M01]" in get_error(folder)


def test_pickle_weights_are_an_error(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "error[M02]" in get_error(folder)
    assert "pytorch_model.bin" in get_error(folder)


def test_incomplete_weights_are_an_error(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert "error[M03]" in get_error(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"trust_remote_code": True},
        {"_attn_implementation": "someone/kernel"},
        {"_attn_implementation_internal": "someone/kernel"},
    ],
)
def test_a_config_that_asks_to_run_code_is_an_error(folder: Path, change: dict[str, Any]) -> None:
    edit_config(folder, **change)
    assert "error[M06]" in get_error(folder)
    with pytest.raises(ModelError, match="M06"):
        load.load_tokenizer(folder, weights=False)


def test_an_unknown_architecture_is_an_error(folder: Path) -> None:
    edit_config(folder, model_type="nonsense")
    assert "error[M01]" in get_error(folder)


def test_a_missing_tokenizer_is_an_error(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match=r"error\[M01\].*contains no tokenizer"):
        load.load_tokenizer(folder)


def test_a_head_for_other_labels_is_an_error_unless_a_new_head_is_requested(
    folder: Path, tmp_path: Path
) -> None:
    model = load_classifier(folder, ["x", "y", "z"], new_head=False, seed=1)
    trained = tmp_path / "trained"
    model.save_pretrained(trained)
    load.load_tokenizer(folder).save_pretrained(trained)
    assert "error[L11]" in get_error(trained)
    assert "3 labels (x, y, z), but the data has 2 labels (a, b)" in get_error(trained)
    fresh = load_classifier(trained, ["a", "b"], new_head=True, seed=1)
    assert fresh.classifier.weight.shape[0] == 2
    same = load_classifier(trained, ["x", "y", "z"], new_head=False, seed=9)
    assert torch.equal(same.classifier.weight, model.classifier.weight)


# Heads of other tasks.


def save_trained(folder: Path, tmp_path: Path, head: dict[str, Any]) -> Path:
    """Save the checkpoint with a head and return the new folder."""
    tokenizer = load.load_tokenizer(folder)
    model = load.load_pretrained(folder, HEAD, head, new_head=False, seed=1, tokenizer=tokenizer)
    model.save_pretrained(tmp_path / "trained")
    tokenizer.save_pretrained(tmp_path / "trained")
    return tmp_path / "trained"


REGRESSION = {"num_labels": 1, "problem_type": "regression"}


def test_a_regression_head_does_not_fit_two_labels(folder: Path, tmp_path: Path) -> None:
    trained = save_trained(folder, tmp_path, REGRESSION)
    load.check_head(trained, HEAD, REGRESSION, new_head=False)
    with pytest.raises(ModelError, match=r"L11.*1 output \(LABEL_0\), but the data has 2 labels \(a, b\)"):
        load.check_head(
            trained, HEAD, class_config(["a", "b"], "single_label_classification"), new_head=False
        )
    load.check_head(trained, HEAD, {}, new_head=False)  # any head of this class fits


def test_a_classification_head_does_not_fit_a_regression(folder: Path, tmp_path: Path) -> None:
    trained = save_trained(folder, tmp_path, class_config(["a", "b"], "single_label_classification"))
    with pytest.raises(ModelError, match=r"L11.*2 labels \(a, b\), but the data has 1 output \(LABEL_0\)"):
        load.check_head(trained, HEAD, REGRESSION, new_head=False)
    fresh = load.load_pretrained(
        trained, HEAD, REGRESSION, new_head=True, seed=1, tokenizer=load.load_tokenizer(trained)
    )
    assert (fresh.config.num_labels, fresh.config.problem_type) == (1, "regression")
    assert fresh.classifier.weight.shape[0] == 1


# New tokens.

MARKERS = ("<e1>", "</e1>", "<e2>", "</e2>")


def load_embeddings(folder: Path, seed: int = 1, special: tuple[str, ...] = MARKERS) -> torch.Tensor:
    tokenizer = load.load_tokenizer(folder, special=special)
    head = class_config(["a", "b"], "single_label_classification")
    model = load.load_pretrained(folder, HEAD, head, new_head=False, seed=seed, tokenizer=tokenizer)
    assert model.config.vocab_size == len(tokenizer)
    return model.get_input_embeddings().weight.detach()


def test_a_new_token_is_not_split_even_inside_a_word(folder: Path) -> None:
    tokenizer = load.load_tokenizer(folder, special=MARKERS)
    assert tokenizer.tokenize("good<e1>film</e1>.") == ["good", "<e1>", "film", "</e1>", "."]
    original = load.load_tokenizer(folder)
    assert tokenizer("a good film")["input_ids"] == original("a good film")["input_ids"]
    assert tokenizer.convert_tokens_to_ids(list(MARKERS)) == list(range(len(original), len(original) + 4))
    assert len(load.load_tokenizer(folder, special=())) == len(original)


def test_new_embeddings_depend_only_on_the_seed_and_existing_ones_stay(folder: Path) -> None:
    existing = load_embeddings(folder, special=())
    first, other = load_embeddings(folder, seed=1), load_embeddings(folder, seed=2)
    torch.rand(5)
    assert torch.equal(load_embeddings(folder, seed=1), first)
    assert torch.equal(first[: len(existing)], existing)
    assert torch.equal(other[: len(existing)], existing)
    assert not torch.equal(first[len(existing) :], other[len(existing) :])
    three = load.load_pretrained(
        folder,
        HEAD,
        class_config(["a", "b", "c"], "single_label_classification"),
        new_head=False,
        seed=1,
        tokenizer=load.load_tokenizer(folder, special=MARKERS),
    )
    assert torch.equal(
        three.get_input_embeddings().weight, first
    )  # however many random numbers the head has drawn


def test_new_embeddings_vary_as_much_as_existing_ones(folder: Path) -> None:
    """With transformers' initialization, close to the mean, all new tokens would begin almost identical."""
    existing = load_embeddings(folder, special=())
    many = load_embeddings(folder, special=tuple(f"<{number}>" for number in range(200)))[len(existing) :]
    assert many.std(0).mean().item() == pytest.approx(existing.std(0).mean().item(), rel=0.1)
    assert (many.mean(0) - existing.mean(0)).abs().max() < 4 * existing.std(0).max() / 200**0.5
    pairs = torch.cdist(many, many) + torch.eye(200)
    assert pairs.min() > 0.2 * torch.cdist(existing, existing).mean()


def test_embeddings_stay_when_the_model_already_has_the_tokens(folder: Path, tmp_path: Path) -> None:
    tokenizer = load.load_tokenizer(folder, special=MARKERS)
    head = class_config(["a", "b"], "single_label_classification")
    model = load.load_pretrained(folder, HEAD, head, new_head=False, seed=1, tokenizer=tokenizer)
    model.save_pretrained(tmp_path / "trained")
    tokenizer.save_pretrained(tmp_path / "trained")
    again = load.load_tokenizer(tmp_path / "trained", special=MARKERS)
    assert len(again) == len(tokenizer)
    assert again("<e1>film</e1>")["input_ids"] == tokenizer("<e1>film</e1>")["input_ids"]
    assert torch.equal(load_embeddings(tmp_path / "trained", seed=9), model.get_input_embeddings().weight)


def test_unused_embedding_rows_are_used_before_new_ones_are_added(folder: Path, tmp_path: Path) -> None:
    """Some checkpoints have more rows than tokens, and then nothing is added."""

    model = BertModel.from_pretrained(folder)
    model.resize_token_embeddings(64)
    model.save_pretrained(folder)
    tokenizer = load.load_tokenizer(folder, special=MARKERS)
    head = class_config(["a", "b"], "single_label_classification")
    loaded = load.load_pretrained(folder, HEAD, head, new_head=False, seed=1, tokenizer=tokenizer)
    assert len(tokenizer) < 64
    assert torch.equal(loaded.get_input_embeddings().weight, model.get_input_embeddings().weight)


# The bias of a new head.


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "DistilBert"])
def test_a_new_head_begins_with_the_given_bias(folder: Path, kind: str) -> None:

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    options: dict[str, Any] = {"new_head": False, "seed": 1, "tokenizer": load.load_tokenizer(folder)}
    model, plain = (
        load.load_pretrained(folder, HEAD, REGRESSION, bias=bias, **options).eval() for bias in ([2.5], None)
    )
    ids = torch.tensor([[2, 5, 6, 3]])
    with torch.no_grad():
        logits, without = (each(input_ids=ids, attention_mask=ids.sign()).logits for each in (model, plain))
    assert torch.allclose(logits, without + 2.5)


def test_a_trained_head_keeps_its_bias(folder: Path, tmp_path: Path) -> None:
    trained = save_trained(folder, tmp_path, REGRESSION)
    options: dict[str, Any] = {"seed": 1, "tokenizer": load.load_tokenizer(trained), "bias": [2.5]}
    kept = load.load_pretrained(trained, HEAD, REGRESSION, new_head=False, **options)
    assert kept.classifier.bias.item() == 0
    assert (
        load.load_pretrained(trained, HEAD, REGRESSION, new_head=True, **options).classifier.bias.item()
        == 2.5
    )


def test_a_head_without_bias_stays_without(folder: Path) -> None:

    GPT2Model(
        GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, bos_token_id=2, eos_token_id=3)
    ).save_pretrained(folder)
    tokenizer = load.load_tokenizer(folder)
    model = load.load_pretrained(
        folder, HEAD, REGRESSION, new_head=False, seed=1, tokenizer=tokenizer, bias=[2.5]
    )
    assert model.score.bias is None


@pytest.mark.parametrize(
    ("architecture", "auto_class", "expected"),
    [
        ("GPT2LMHeadModel", "AutoModelForCausalLM", True),
        ("LlamaForCausalLM", "AutoModelForCausalLM", True),
        ("BertForPreTraining", "AutoModelForMaskedLM", True),
        ("AlbertForMaskedLM", "AutoModelForMaskedLM", True),
        ("BertModel", "AutoModelForMaskedLM", False),
        ("BertForPreTraining", "AutoModelForSequenceClassification", False),
    ],
)
def test_a_head_is_recognized_by_any_of_its_architecture_names(
    architecture: str, auto_class: str, expected: bool
) -> None:
    assert load.has_head({"architectures": [architecture]}, auto_class) is expected
