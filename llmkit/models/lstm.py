"""An LSTM language model with the interface of transformers, which trains, saves and generates like a GPT.

    model = LSTMForCausalLM(LSTMConfig(vocab_size=70, hidden_size=256, num_hidden_layers=2))

Importing this module registers the classes with transformers' Auto classes; after that import, plain transformers
opens a saved model.

Source: Hochreiter and Schmidhuber 1997; output layer tied to the embedding, Press and Wolf 2017.
Shapes: B texts, L tokens, N = B L, D hidden size, V vocabulary, S segments, K layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from llmkit.base.cache_name import get_cache_name

__all__ = ["LSTMConfig", "LSTMForCausalLM", "LSTMModel"]

State = tuple[Tensor, Tensor]  # hidden and cell state after the last token, each (K, B, D)


class LSTMConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Configuration of the LSTM.

    `dropout` applies to the embeddings, between layers, and to the hidden states below the output layer.
    """

    model_type = "lstm"

    vocab_size: int = 32000
    hidden_size: int = 256
    num_hidden_layers: int = 2
    dropout: float = 0.1
    initializer_range: float = 0.1  # with 0.02, a model of two layers learns nothing in its first 60 steps
    use_cache: bool = True
    tie_word_embeddings: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None


class LSTMPreTrainedModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Base class of the LSTM models, with what transformers needs to know about them."""

    config_class = LSTMConfig
    base_model_prefix = "model"
    _is_stateful = True  # the state before an earlier token cannot be restored


class LSTMModel(LSTMPreTrainedModel):  # type: ignore[no-untyped-call]
    """The LSTM without a head. The hidden state of a token depends on the tokens of its segment up to it."""

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        between = config.dropout if config.num_hidden_layers > 1 else 0.0
        self.lstm = nn.LSTM(config.hidden_size, config.hidden_size, config.num_hidden_layers, dropout=between)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        state: State | None = None,
        use_cache: bool | None = None,
    ) -> BaseModelOutputWithPast:
        """Compute hidden states (B, L, D).

        Padding on the right has no effect on the tokens before it.

        Args:
            input_ids: Token ids (B, L).
            attention_mask: 0 at padding, (B, all tokens so far). Without positions, a text begins after the padding
                on its left.
            position_ids: A segment begins, with a state of zeros, wherever they are 0.
            state: The state to continue from.
            use_cache: Whether to return the state after the last token.
        """
        is_continuation = state is not None
        segments = _Segments.of(_find_starts(input_ids, attention_mask, position_ids, is_continuation))
        embedded_BLD = self.dropout(self.embed_tokens(input_ids))
        packed = PackedSequence(embedded_BLD.flatten(0, 1)[segments.order_N], segments.sizes)
        before = segments.select_initial(state) if state else None
        output, after = self.lstm(packed, before)
        states_BLD = output.data[segments.order_N.argsort()].view_as(embedded_BLD)
        return BaseModelOutputWithPast(
            last_hidden_state=self.dropout(states_BLD),
            **{get_cache_name(): segments.select_final(after) if use_cache else None},  # type: ignore[arg-type]
        )


class LSTMForCausalLM(LSTMPreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """The LSTM with an output layer. Its state is the cache of generate(), of one size for texts of any length."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__(config)
        self.model = LSTMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: State | None = None,
        past_key_values: State | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Compute logits (B, L, V), or those of the last `logits_to_keep` tokens, and the loss of `labels`.

        Labels (B, L) are shifted by one here, as in other causal models of transformers. `cache` or `past_key_values`
        is the state to continue from, under the name that the installed transformers uses (`get_cache_name`).
        """
        body = self.model(input_ids, attention_mask, position_ids, cache or past_key_values, use_cache)
        logits_BLV = self.lm_head(body.last_hidden_state[:, -logits_to_keep:])  # -0: all of them
        loss = None
        if labels is not None:
            loss = self.loss_function(logits_BLV, labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss, logits=logits_BLV, **{get_cache_name(): getattr(body, get_cache_name())}
        )

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # the forward creates the cache, not generate()

    def _reorder_cache(self, state: State, beams_B: Tensor) -> State:
        return state[0][:, beams_B], state[1][:, beams_B]


@dataclass(frozen=True)
class _Segments:
    """Texts, or segments of packed blocks, in the layout of a PackedSequence: step by step, longest segment first."""

    order_N: Tensor  # the token at each packed place
    rank_BL: Tensor  # the segment of each token, numbered from the longest
    sizes: Tensor  # the number of segments that have a token at each step; on the CPU
    is_new_B: Tensor  # whether a row's first token begins a segment instead of continuing from a state

    @classmethod
    def of(cls, starts_BL: Tensor) -> _Segments:
        """Compute the layout from a mask of the tokens that begin a segment."""
        is_first_BL = starts_BL.clone()
        is_first_BL[:, 0] = True
        is_first_N = is_first_BL.flatten()
        segment_N = is_first_N.cumsum(0) - 1
        first_S = is_first_N.nonzero()[:, 0]
        step_N = torch.arange(len(is_first_N), device=is_first_N.device) - first_S[segment_N]
        rank_S = segment_N.bincount().argsort(descending=True, stable=True).argsort()
        rank_N = rank_S[segment_N]
        order_N = (step_N * len(first_S) + rank_N).argsort()
        return cls(order_N, rank_N.view_as(starts_BL), step_N.bincount().cpu(), starts_BL[:, 0])

    def select_initial(self, state: State) -> State:
        """Return the state before each segment, (K, S, D): its row's state where it continues one, else zeros."""
        hidden_KBD, cell_KBD = (part.masked_fill(self.is_new_B[:, None], 0.0) for part in state)
        shape = (len(hidden_KBD), int(self.sizes[0]), hidden_KBD.shape[2])
        first_B = self.rank_BL[:, 0]
        hidden_KSD, cell_KSD = hidden_KBD.new_zeros(shape), cell_KBD.new_zeros(shape)
        return hidden_KSD.index_copy(1, first_B, hidden_KBD), cell_KSD.index_copy(1, first_B, cell_KBD)

    def select_final(self, state: State) -> State:
        """Return the state after the last token of each row, (K, B, D)."""
        last_B = self.rank_BL[:, -1]
        return state[0][:, last_B], state[1][:, last_B]


def _find_starts(
    input_ids: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None, is_continuation: bool
) -> Tensor:
    """Return a mask of the tokens that begin a text, (B, L)."""
    if position_ids is not None:
        return (position_ids == 0).expand(input_ids.shape)
    if attention_mask is not None:
        first = (attention_mask.cumsum(1) == 1) & (attention_mask == 1)
        return first[:, -input_ids.shape[1] :]
    starts_BL = torch.zeros_like(input_ids, dtype=torch.bool)
    starts_BL[:, 0] = not is_continuation
    return starts_BL


AutoConfig.register("lstm", LSTMConfig)
AutoModel.register(LSTMConfig, LSTMModel)
AutoModelForCausalLM.register(LSTMConfig, LSTMForCausalLM)
