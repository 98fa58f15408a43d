"""An LSTM language model under the interface of transformers, so that it trains, saves and generates as a GPT does.

    model = LSTMForCausalLM(LSTMConfig(vocab_size=70, hidden_size=256, num_hidden_layers=2))

Hochreiter and Schmidhuber 1997, with the embedding as output layer (Press and Wolf 2017). Importing this module
registers the classes with transformers' Auto classes; a saved model opens in plain transformers after that import.
Shapes: B texts, L tokens, N = B * L, D hidden size, V vocabulary, S segments, K layers.
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

from llmkit.base.cache_name import cache_name

__all__ = ["LSTMConfig", "LSTMForCausalLM", "LSTMModel"]

State = tuple[Tensor, Tensor]  # hidden and cell state behind the last token, each (K, B, D)


class LSTMConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """dropout: share set to zero of the embeddings, between layers, and of the states under the output layer."""

    model_type = "lstm"

    vocab_size: int = 32000
    hidden_size: int = 256
    num_hidden_layers: int = 2
    dropout: float = 0.1
    initializer_range: float = 0.1  # with 0.02 a model of two layers learns nothing in its first 60 steps
    use_cache: bool = True
    tie_word_embeddings: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None


class LSTMPreTrainedModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    config_class = LSTMConfig
    base_model_prefix = "model"
    _is_stateful = True  # the state of an earlier token can't be had back


class LSTMModel(LSTMPreTrainedModel):  # type: ignore[no-untyped-call]
    """Token ids to states: each one of those up to it in its segment."""

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
        """States (B, L, D). A text begins, with a state of zeros, wherever position_ids are 0.

        Without positions it begins behind the padding on its left, if attention_mask (B, all tokens so far) shows any.
        state: the state to go on from. Padding on the right has no effect on what stands before it.
        """
        segments = _Segments.of(_begins(input_ids, attention_mask, position_ids, state is not None))
        embedded_BLD = self.dropout(self.embed_tokens(input_ids))
        packed = PackedSequence(embedded_BLD.flatten(0, 1)[segments.order_N], segments.sizes)
        before = segments.begin_with(state) if state else None
        output, after = self.lstm(packed, before)
        states_BLD = output.data[segments.order_N.argsort()].view_as(embedded_BLD)
        return BaseModelOutputWithPast(
            last_hidden_state=self.dropout(states_BLD),
            **{cache_name(): segments.end_of(after) if use_cache else None},  # type: ignore[arg-type]
        )


class LSTMForCausalLM(LSTMPreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """Next tokens. The state serves generate() as its cache, whatever the length of the text."""

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
        """Logits (B, L, V), or of the last logits_to_keep tokens; labels (B, L) are shifted in here, as elsewhere.

        cache, past_key_values: the state to go on from, under the name that this transformers gives it (`cache_name`).
        """
        body = self.model(input_ids, attention_mask, position_ids, cache or past_key_values, use_cache)
        logits_BLV = self.lm_head(body.last_hidden_state[:, -logits_to_keep:])  # -0: all of them
        loss = None
        if labels is not None:
            loss = self.loss_function(logits_BLV, labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss, logits=logits_BLV, **{cache_name(): getattr(body, cache_name())}
        )

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # generate() leaves it to the forward to make the cache

    def _reorder_cache(self, state: State, beams_B: Tensor) -> State:
        return state[0][:, beams_B], state[1][:, beams_B]


@dataclass(frozen=True)
class _Segments:
    """Texts, or the pieces that a packed block holds, as a PackedSequence wants them: step by step, longest first."""

    order_N: Tensor  # the token at each packed place
    rank_BL: Tensor  # each token's segment, counted from the longest
    sizes: Tensor  # segments that have a token at each step; on the CPU
    fresh_B: Tensor  # whether the first segment of a row begins with it, and does not go on from a state

    @classmethod
    def of(cls, begins_BL: Tensor) -> _Segments:
        cuts_BL = begins_BL.clone()
        cuts_BL[:, 0] = True
        cuts_N = cuts_BL.flatten()
        segment_N = cuts_N.cumsum(0) - 1
        first_S = cuts_N.nonzero()[:, 0]
        step_N = torch.arange(len(cuts_N), device=cuts_N.device) - first_S[segment_N]
        rank_S = segment_N.bincount().argsort(descending=True, stable=True).argsort()
        rank_N = rank_S[segment_N]
        order_N = (step_N * len(first_S) + rank_N).argsort()
        return cls(order_N, rank_N.view_as(begins_BL), step_N.bincount().cpu(), begins_BL[:, 0])

    def begin_with(self, state: State) -> State:
        """The state before each segment, (K, S, D): that of its row where it goes on from there, else zeros."""
        hidden_KBD, cell_KBD = (part.masked_fill(self.fresh_B[:, None], 0.0) for part in state)
        shape = (len(hidden_KBD), int(self.sizes[0]), hidden_KBD.shape[2])
        first_B = self.rank_BL[:, 0]
        hidden_KSD, cell_KSD = hidden_KBD.new_zeros(shape), cell_KBD.new_zeros(shape)
        return hidden_KSD.index_copy(1, first_B, hidden_KBD), cell_KSD.index_copy(1, first_B, cell_KBD)

    def end_of(self, state: State) -> State:
        """The state behind the last token of each row, (K, B, D)."""
        last_B = self.rank_BL[:, -1]
        return state[0][:, last_B], state[1][:, last_B]


def _begins(
    input_ids: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None, goes_on: bool
) -> Tensor:
    """Where texts begin, (B, L)."""
    if position_ids is not None:
        return (position_ids == 0).expand(input_ids.shape)
    if attention_mask is not None:
        first = (attention_mask.cumsum(1) == 1) & (attention_mask == 1)
        return first[:, -input_ids.shape[1] :]
    begins_BL = torch.zeros_like(input_ids, dtype=torch.bool)
    begins_BL[:, 0] = not goes_on
    return begins_BL


AutoConfig.register("lstm", LSTMConfig)
AutoModel.register(LSTMConfig, LSTMModel)
AutoModelForCausalLM.register(LSTMConfig, LSTMForCausalLM)
