"""Loading: doubts in one line, no code of the checkpoint run, the head a function of the seed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from llmkit.base.errors import ModelError
from llmkit.models import load
from llmkit.tasks._shared.texts import named_classes

HEAD = "AutoModelForSequenceClassification"


def opened(folder: Path, labels: list[str], *, new_head: bool = False, seed: int = 1) -> Any:
    """The checkpoint under a classification head."""
    return load.load_pretrained(
        folder,
        "AutoModelForSequenceClassification",
        named_classes(labels, "single_label_classification"),
        new_head=new_head,
        seed=seed,
        tokenizer=load.load_tokenizer(folder),
    )


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint, to be damaged."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "checkpoint"))


def edit_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def fault(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        opened(folder, ["a", "b"], new_head=False, seed=1)
    assert len(caught.value.lines()) == 1
    return caught.value.lines()[0]


def test_labels_are_names_in_the_config(folder: Path) -> None:
    model = opened(folder, ["no", "yes", "perhaps"], new_head=False, seed=1)
    assert model.config.id2label == {0: "no", 1: "yes", 2: "perhaps"}
    assert model.config.label2id == {"no": 0, "yes": 1, "perhaps": 2}
    assert model.dtype == torch.float32


def test_a_missing_head_is_drawn_from_the_seed(folder: Path) -> None:
    def head(seed: int) -> torch.Tensor:
        return opened(folder, ["a", "b"], new_head=False, seed=seed).classifier.weight

    torch.rand(5)
    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_nothing_is_printed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    opened(folder, ["a", "b"], new_head=False, seed=1)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_no_model_folder(tmp_path: Path) -> None:
    assert fault(tmp_path).startswith(f"error[M01] {tmp_path}: is no model folder")


def test_malformed_config(folder: Path) -> None:
    (folder / "config.json").write_text("{oops")
    assert "error[M01]" in fault(folder)


def test_pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "error[M02]" in fault(folder)
    assert "pytorch_model.bin" in fault(folder)


def test_cut_short_weights(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "error[M03]" in fault(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"trust_remote_code": True},
        {"_attn_implementation": "someone/kernel"},
        {"_attn_implementation_internal": "someone/kernel"},
    ],
)
def test_a_config_that_wants_code_run_is_refused(folder: Path, change: dict[str, Any]) -> None:
    edit_config(folder, **change)
    assert "error[M06]" in fault(folder)
    with pytest.raises(ModelError, match="M06"):
        load.load_tokenizer(folder, weights=False)


def test_an_unknown_architecture(folder: Path) -> None:
    edit_config(folder, model_type="nonsense")
    assert "error[M01]" in fault(folder)


def test_no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match=r"error\[M01\].*holds no tokenizer"):
        load.load_tokenizer(folder)


def test_a_head_for_other_labels_is_kept_until_one_asks_for_a_new_one(folder: Path, tmp_path: Path) -> None:
    model = opened(folder, ["x", "y", "z"], new_head=False, seed=1)
    trained = tmp_path / "trained"
    model.save_pretrained(trained)
    load.load_tokenizer(folder).save_pretrained(trained)
    assert "error[L11]" in fault(trained)
    assert "3 labels (x, y, z), the data has 2 labels (a, b)" in fault(trained)
    fresh = opened(trained, ["a", "b"], new_head=True, seed=1)
    assert fresh.classifier.weight.shape[0] == 2
    same = opened(trained, ["x", "y", "z"], new_head=False, seed=9)
    assert torch.equal(same.classifier.weight, model.classifier.weight)


# heads of other tasks


def saved(folder: Path, tmp_path: Path, head: dict[str, Any]) -> Path:
    """The checkpoint with a trained head."""
    tokenizer = load.load_tokenizer(folder)
    model = load.load_pretrained(folder, HEAD, head, new_head=False, seed=1, tokenizer=tokenizer)
    model.save_pretrained(tmp_path / "trained")
    tokenizer.save_pretrained(tmp_path / "trained")
    return tmp_path / "trained"


REGRESSION = {"num_labels": 1, "problem_type": "regression"}


def test_a_head_of_one_number_is_one_output(folder: Path, tmp_path: Path) -> None:
    trained = saved(folder, tmp_path, REGRESSION)
    load.check_head(trained, HEAD, REGRESSION, new_head=False)
    with pytest.raises(ModelError, match=r"L11.*1 output \(LABEL_0\), the data has 2 labels \(a, b\)"):
        load.check_head(
            trained, HEAD, named_classes(["a", "b"], "single_label_classification"), new_head=False
        )
    load.check_head(trained, HEAD, {}, new_head=False)  # any head of this kind will do


def test_a_classifier_is_no_regression(folder: Path, tmp_path: Path) -> None:
    trained = saved(folder, tmp_path, named_classes(["a", "b"], "single_label_classification"))
    with pytest.raises(ModelError, match=r"L11.*2 labels \(a, b\), the data has 1 output \(LABEL_0\)"):
        load.check_head(trained, HEAD, REGRESSION, new_head=False)
    fresh = load.load_pretrained(
        trained, HEAD, REGRESSION, new_head=True, seed=1, tokenizer=load.load_tokenizer(trained)
    )
    assert (fresh.config.num_labels, fresh.config.problem_type) == (1, "regression")
    assert fresh.classifier.weight.shape[0] == 1


# new tokens

MARKERS = ("<e1>", "</e1>", "<e2>", "</e2>")


def embeddings(folder: Path, seed: int = 1, special: tuple[str, ...] = MARKERS) -> torch.Tensor:
    tokenizer = load.load_tokenizer(folder, special=special)
    head = named_classes(["a", "b"], "single_label_classification")
    model = load.load_pretrained(folder, HEAD, head, new_head=False, seed=seed, tokenizer=tokenizer)
    assert model.config.vocab_size == len(tokenizer)
    return model.get_input_embeddings().weight.detach()


def test_a_new_token_is_one_token_also_inside_a_word(folder: Path) -> None:
    tokenizer = load.load_tokenizer(folder, special=MARKERS)
    assert tokenizer.tokenize("good<e1>film</e1>.") == ["good", "<e1>", "film", "</e1>", "."]
    known = load.load_tokenizer(folder)
    assert tokenizer("a good film")["input_ids"] == known("a good film")["input_ids"]
    assert tokenizer.convert_tokens_to_ids(list(MARKERS)) == list(range(len(known), len(known) + 4))
    assert len(load.load_tokenizer(folder, special=())) == len(known)


def test_new_rows_are_drawn_from_the_seed_and_the_known_stay(folder: Path) -> None:
    known = embeddings(folder, special=())
    first, other = embeddings(folder, seed=1), embeddings(folder, seed=2)
    torch.rand(5)
    assert torch.equal(embeddings(folder, seed=1), first)
    assert torch.equal(first[: len(known)], known)
    assert torch.equal(other[: len(known)], known)
    assert not torch.equal(first[len(known) :], other[len(known) :])
    three = load.load_pretrained(
        folder,
        HEAD,
        named_classes(["a", "b", "c"], "single_label_classification"),
        new_head=False,
        seed=1,
        tokenizer=load.load_tokenizer(folder, special=MARKERS),
    )
    assert torch.equal(three.get_input_embeddings().weight, first)  # whatever the head took of the generator


def test_new_rows_differ_as_much_as_the_known_do(folder: Path) -> None:
    """All at the mean (transformers' own choice), the markers would begin as one and the same token."""
    known = embeddings(folder, special=())
    many = embeddings(folder, special=tuple(f"<{number}>" for number in range(200)))[len(known) :]
    assert many.std(0).mean().item() == pytest.approx(known.std(0).mean().item(), rel=0.1)
    assert (many.mean(0) - known.mean(0)).abs().max() < 4 * known.std(0).max() / 200**0.5
    pairs = torch.cdist(many, many) + torch.eye(200)
    assert pairs.min() > 0.2 * torch.cdist(known, known).mean()


def test_a_model_that_knows_the_tokens_already_is_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    tokenizer = load.load_tokenizer(folder, special=MARKERS)
    head = named_classes(["a", "b"], "single_label_classification")
    model = load.load_pretrained(folder, HEAD, head, new_head=False, seed=1, tokenizer=tokenizer)
    model.save_pretrained(tmp_path / "trained")
    tokenizer.save_pretrained(tmp_path / "trained")
    again = load.load_tokenizer(tmp_path / "trained", special=MARKERS)
    assert len(again) == len(tokenizer)
    assert again("<e1>film</e1>")["input_ids"] == tokenizer("<e1>film</e1>")["input_ids"]
    assert torch.equal(embeddings(tmp_path / "trained", seed=9), model.get_input_embeddings().weight)


def test_spare_rows_are_used_before_new_ones(folder: Path, tmp_path: Path) -> None:
    """Some checkpoints have more rows than tokens; there nothing grows."""
    from transformers import BertModel

    model = BertModel.from_pretrained(folder)
    model.resize_token_embeddings(64)
    model.save_pretrained(folder)
    tokenizer = load.load_tokenizer(folder, special=MARKERS)
    head = named_classes(["a", "b"], "single_label_classification")
    found = load.load_pretrained(folder, HEAD, head, new_head=False, seed=1, tokenizer=tokenizer)
    assert len(tokenizer) < 64
    assert torch.equal(found.get_input_embeddings().weight, model.get_input_embeddings().weight)


# what a fresh head answers


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "DistilBert"])
def test_a_drawn_head_begins_at_its_bias(folder: Path, kind: str) -> None:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    how: dict[str, Any] = {"new_head": False, "seed": 1, "tokenizer": load.load_tokenizer(folder)}
    model, plain = (
        load.load_pretrained(folder, HEAD, REGRESSION, bias=bias, **how).eval() for bias in ([2.5], None)
    )
    ids = torch.tensor([[2, 5, 6, 3]])
    with torch.no_grad():
        found, without = (one(input_ids=ids, attention_mask=ids.sign()).logits for one in (model, plain))
    assert torch.allclose(found, without + 2.5)


def test_a_trained_head_keeps_its_bias(folder: Path, tmp_path: Path) -> None:
    trained = saved(folder, tmp_path, REGRESSION)
    how: dict[str, Any] = {"seed": 1, "tokenizer": load.load_tokenizer(trained), "bias": [2.5]}
    kept = load.load_pretrained(trained, HEAD, REGRESSION, new_head=False, **how)
    assert kept.classifier.bias.item() == 0
    assert load.load_pretrained(trained, HEAD, REGRESSION, new_head=True, **how).classifier.bias.item() == 2.5


def test_a_head_without_bias_is_left_as_it_is(folder: Path) -> None:
    from transformers import GPT2Config, GPT2Model

    GPT2Model(
        GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, bos_token_id=2, eos_token_id=3)
    ).save_pretrained(folder)
    tokenizer = load.load_tokenizer(folder)
    model = load.load_pretrained(
        folder, HEAD, REGRESSION, new_head=False, seed=1, tokenizer=tokenizer, bias=[2.5]
    )
    assert model.score.bias is None


@pytest.mark.parametrize(
    ("architecture", "auto_class", "known"),
    [
        ("GPT2LMHeadModel", "AutoModelForCausalLM", True),
        ("LlamaForCausalLM", "AutoModelForCausalLM", True),
        ("BertForPreTraining", "AutoModelForMaskedLM", True),
        ("AlbertForMaskedLM", "AutoModelForMaskedLM", True),
        ("BertModel", "AutoModelForMaskedLM", False),
        ("BertForPreTraining", "AutoModelForSequenceClassification", False),
    ],
)
def test_a_head_is_known_by_any_of_its_names(architecture: str, auto_class: str, known: bool) -> None:
    assert load.has_head({"architectures": [architecture]}, auto_class) is known
