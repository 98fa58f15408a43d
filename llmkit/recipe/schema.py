"""What a recipe can say: frozen sections, every field with its meaning and unit, nothing unknown accepted.

The defaults live here and nowhere else, so a recipe file holds only what is special about it. Values that follow
from others (number of steps, warm-up) are not fields: `engine.optim.Schedule` computes them once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from llmkit.metrics.resampling import Resampling

__all__ = ["Checkpoint", "Data", "Evaluate", "Lora", "Model", "Recipe", "Scratch", "Section", "Train"]

Share = Annotated[float, Field(ge=0, lt=1)]
Source = str | list[str]
Column = Annotated[
    str,
    BeforeValidator(lambda name: str(name) if type(name) is int else name, json_schema_input_type=str | int),
]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A part of a recipe: values can't be changed later, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Lora(Section):
    """Low-rank adapters on the frozen checkpoint (Hu et al. 2021), through peft."""

    rank: int = Field(default=8, ge=1)
    """Columns of the two factors."""
    alpha: float = Field(default=16.0, gt=0)
    """Scale: the adapter's output is multiplied by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to zero in training."""
    targets: Literal["auto"] | list[str] = "auto"
    """Names of the linear layers that get an adapter; auto: every linear layer of the body."""
    merge: bool = True
    """At the end add the adapter to the weights (true), or keep it as an adapter in model/ (false)."""


class Scratch(Section):
    """A model of a known architecture with new weights, which follow from the seed alone."""

    shape: Literal["bert", "gpt2", "llama", "t5", "bart", "lstm"]
    """Architecture."""
    layers: int = Field(default=4, ge=1)
    """Layers; t5 and bart have so many in the encoder and as many in the decoder."""
    hidden: int = Field(default=256, ge=2)
    """Width of embeddings and states; feed-forward layers are 4 times as wide (llama: 8/3)."""
    heads: int | None = Field(default=None, ge=1)
    """Attention heads, which share `hidden` evenly; null: one for each 64 of it. lstm has none."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Share of the activations set to zero in training (llama: of the attention weights); null: 0.1, for llama 0."""

    @property
    def attention_heads(self) -> int:
        """At least 1; of no use to lstm."""
        return self.heads or max(1, self.hidden // 64)

    @model_validator(mode="after")
    def _even_shares(self) -> Scratch:
        if self.shape == "lstm":
            if self.heads is not None:
                raise ValueError("an lstm has no heads; remove model.from_scratch.heads")
            return self
        share, rest = divmod(self.hidden, self.attention_heads)
        pairs = self.shape == "llama"  # its positions are rotations of pairs
        if rest or (pairs and share % 2):
            message = f"{self.attention_heads} heads can't share a width of {self.hidden} evenly"
            raise ValueError(f"{message}; make hidden a multiple of {self.attention_heads * (1 + pairs)}")
        return self


class Model(Section):
    """What to start from: a checkpoint, or new weights."""

    name: str | None = Field(default=None, min_length=1)
    """A local folder, a Hub id (`owner/name`, `@revision` allowed), or `index:NAME` from the package index."""
    from_scratch: Scratch | None = None
    """New weights of this shape, in place of a checkpoint; null: `name` is the checkpoint."""
    tokenizer: str | None = Field(default=None, min_length=1)
    """Whose vocabulary a model from scratch has: a folder of `llmkit tokenizer train`, or as `name`."""
    new_head: bool = False
    """Replace a task head whose labels differ from the data's, instead of stopping."""
    lora: Lora | None = None
    """Train low-rank adapters instead of all weights; null: train all weights."""

    @property
    def title(self) -> str:
        """What messages and reports call it."""
        return self.name or (f"{self.from_scratch.shape} from scratch" if self.from_scratch else "no model")

    @property
    def source(self) -> str:
        """KeyPath the tokenizer comes from, and the weights unless they are new."""
        found = self.tokenizer or self.name
        assert found, "the recipe was checked"
        return found

    @model_validator(mode="after")
    def _one_start(self) -> Model:
        if self.from_scratch is None:
            if self.tokenizer is not None:
                raise ValueError("a checkpoint has its own tokenizer; remove model.tokenizer")
            return self
        if self.name is not None:
            raise ValueError("name and from_scratch exclude each other; keep one of them")
        if self.tokenizer is None:
            fix = "name one with model.tokenizer (`llmkit tokenizer train` makes them)"
            raise ValueError(f"a model from scratch needs a tokenizer; {fix}")
        if self.lora or self.new_head:
            raise ValueError("lora and new_head are for checkpoints, not for from_scratch; remove them")
        return self


class Data(Section):
    """Which rows to read, and what to do about faults in them."""

    train: Source | None = None
    """A file (jsonl, json, csv, tsv, conll, txt, parquet; .gz allowed), a folder of them, a Hub id, or `index:NAME`."""
    validation: Source | None = None
    """As `train`; null: a seeded part of the training rows."""
    test: Source | None = None
    """As `train`; null: a seeded part of the training rows."""
    validation_share: Share = 0.1
    """Share of the training rows set aside for validation when `validation` is null."""
    test_share: Share = 0.1
    """Share of the training rows set aside for the test when `test` is null."""
    columns: dict[str, Column] = {}
    """What the task reads, by the name it has in the file, e.g. `{text: sentence}`; in CoNLL files a number from 0."""
    labels: list[str] | None = None
    """Names of the classes in the order of their numbers, when the rows hold numbers; null: found in the rows."""
    encoding: str = "utf-8"
    """Text encoding of the files."""
    max_line_bytes: int = Field(default=10_000_000, ge=1)
    """Longest line (bytes) accepted in a text file."""
    unknown_labels: Literal["error", "drop"] = "error"
    """Rows of validation or test whose label the training rows don't have."""
    empty_text: Literal["error", "drop"] = "error"
    """Rows whose text is empty or blank."""
    duplicates: Literal["error", "drop", "allow"] = "error"
    """Training texts that stand in validation or test too, or that carry two labels: stop, drop them, or go on."""


class Train(Section):
    """How an update is made; its examples and sums do not depend on how many processes or devices there are."""

    epochs: float | None = Field(default=None, gt=0)
    """Passes over the training rows; null with `max_steps` null: 3."""
    max_steps: int | None = Field(default=None, ge=1)
    """Updates in all; excludes `epochs`."""
    max_hours: float | None = Field(default=None, gt=0)
    """Save and stop (exit code 75) after so long, to go on with --resume; null: never."""
    batch_size: int = Field(default=32, ge=1)
    """Examples an update, over all processes."""
    learning_rate: float = Field(default=5e-5, gt=0)
    """Peak step size of AdamW."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Course of the learning rate after the warm-up."""
    warmup_ratio: float = Field(default=0.06, ge=0, lt=1)
    """Share of the updates over which the learning rate rises from 0."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled decay of matrices; biases and norms have none."""
    max_grad_norm: float | None = Field(default=1.0, gt=0)
    """Gradients are scaled down to this global norm; null: never."""
    max_length: int = Field(default=128, ge=2)
    """Longest example in tokens, special tokens included."""
    truncation: bool = False
    """Cut longer examples (counted and reported) instead of stopping."""
    micro_batch_tokens: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Tokens in one forward pass: speed and memory only. The update is the same but for rounding and dropout."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of the forward pass; auto: the fastest this device is good at."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, slower."""
    shard: bool = False
    """Spread weights, gradients and optimizer state over the processes (FSDP2), instead of a copy of all in each."""
    compile: bool = False
    """Run the model through torch.compile."""
    early_stopping: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations without a better `evaluate.best`; null: never."""
    seeds: list[Seed] | None = Field(default=None, min_length=1)
    """Seeds of order, head and dropout; several: train once for each, report mean and spread. Null: `seed`."""

    @model_validator(mode="after")
    def _no_contradiction(self) -> Train:
        if self.epochs is not None and self.max_steps is not None:
            raise ValueError("epochs and max_steps exclude each other; keep one of them")
        if self.compile and self.shard:
            raise ValueError("compile and shard exclude each other; keep one of them")
        return self


class Evaluate(Section):
    """What is measured, when, and how sure the figures are."""

    metrics: list[str] = []
    """Scores shown first; empty: the task's own choice."""
    best: str = "loss"
    """Validation score that picks the final model: `loss` (lowest) or a metric (highest)."""
    every_steps: int | None = Field(default=None, ge=1)
    """Updates between two validations; null: once an epoch."""
    resamples: int = Field(default=2000, ge=100)
    """Draws of the bootstrap behind each interval."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Share of the intervals that should cover the true value."""
    baselines: bool | list[str] = True
    """Compare with baselines on the same test rows: the task's quick ones (true), none, or those named (lstm too)."""

    def resampling(self, seed: int) -> Resampling:
        """Return the settings of the confidence intervals."""
        return Resampling(self.confidence, self.resamples, seed)


class Checkpoint(Section):
    """When to save all that a resume needs."""

    every_steps: int | None = Field(default=None, ge=1)
    """Updates between two checkpoints; null: once an epoch."""
    keep: int = Field(default=2, ge=2)
    """Newest checkpoints kept, beside the best one and those with a file `pinned` in them."""


class Recipe(Section):
    """One run, whole: what the task is, from which checkpoint, on which rows, how trained and how judged."""

    task: dict[str, Any]
    """`name` of the task, and the task's own options."""
    model: Model
    data: Data = Data()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    checkpoint: Checkpoint = Checkpoint()
    seed: Seed = 1
    """Root of every random choice: split, order, head, dropout."""

    @property
    def training_seed(self) -> int:
        """The seed of order, head and dropout; only a recipe with one of them can be trained."""
        assert self.train.seeds is None or len(self.train.seeds) == 1, "one run for each of train.seeds"
        return self.train.seeds[0] if self.train.seeds else self.seed
