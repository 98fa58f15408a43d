"""The schema of a recipe: frozen pydantic sections whose fields have a default, an allowed range and a description.

The defaults are defined only here, so a recipe file holds only what differs from them. Values that follow from others,
such as the number of steps and of warm-up steps, are not fields: `engine.optim.Schedule` computes them.

The docstring of a field is its description in `llmkit recipes show --schema`, in the JSON Schema and in the
documentation.
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
    """Base class of the sections of a recipe: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Lora(Section):
    """Low-rank adapters on the frozen checkpoint (LoRA, Hu et al. 2021), through peft."""

    rank: int = Field(default=8, ge=1)
    """Rank of the adapter matrices."""
    alpha: float = Field(default=16.0, gt=0)
    """Scale of the adapters: their output is multiplied by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of setting an input of an adapter to zero during training."""
    targets: Literal["auto"] | list[str] = "auto"
    """Names of the linear layers that get an adapter; auto: all linear layers except the task head."""
    merge: bool = True
    """Merge the adapters into the weights of the final model; false: save them as an adapter in model/."""


class Scratch(Section):
    """A new model of a known architecture with random weights, which depend only on the seed."""

    shape: Literal["bert", "gpt2", "llama", "t5", "bart", "lstm"]
    """Architecture of the new model."""
    layers: int = Field(default=4, ge=1)
    """Number of layers; t5 and bart have this many in the encoder and this many in the decoder."""
    hidden: int = Field(default=256, ge=2)
    """Width of embeddings and hidden states; feed-forward layers are 4 times as wide (llama: 8/3 times)."""
    heads: int | None = Field(default=None, ge=1)
    """Number of attention heads, a divisor of `hidden`; null: hidden / 64. Not for lstm."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Probability of dropping an activation in training (llama: an attention weight); null: 0.1 (llama: 0)."""

    @property
    def attention_heads(self) -> int:
        """The number of attention heads, at least 1. Meaningless for lstm."""
        return self.heads or max(1, self.hidden // 64)

    @model_validator(mode="after")
    def _check_heads(self) -> Scratch:
        if self.shape == "lstm":
            if self.heads is not None:
                raise ValueError("an lstm has no attention heads; remove model.from_scratch.heads")
            return self
        width, remainder = divmod(self.hidden, self.attention_heads)
        needs_even = self.shape == "llama"  # rotary position embeddings rotate pairs of dimensions
        if remainder or (needs_even and width % 2):
            divisor = self.attention_heads * (1 + needs_even)
            raise ValueError(
                f"a width of {self.hidden} can't be divided evenly among {self.attention_heads} heads; "
                f"make hidden a multiple of {divisor}"
            )
        return self


class Model(Section):
    """The model to start from: a checkpoint, or a new model with random weights."""

    name: str | None = Field(default=None, min_length=1)
    """Checkpoint: a local folder, a Hub id (`owner/name`, optionally `@revision`), or `index:NAME`."""
    from_scratch: Scratch | None = None
    """Architecture of a new model with random weights, instead of `name`; null: start from a checkpoint."""
    tokenizer: str | None = Field(default=None, min_length=1)
    """Tokenizer of a model from scratch: a folder written by `llmkit tokenizer train`, or anything `name` accepts."""
    new_head: bool = False
    """Replace the task head of the checkpoint if its labels differ from those of the data; false: it is an error."""
    lora: Lora | None = None
    """Train low-rank adapters instead of all weights; null: train all weights."""

    @property
    def title(self) -> str:
        """The name of the model in messages and reports."""
        return self.name or (f"{self.from_scratch.shape} from scratch" if self.from_scratch else "no model")

    @property
    def source(self) -> str:
        """Where to load the tokenizer from, and also the weights unless they are new."""
        source = self.tokenizer or self.name
        assert source, "a checked recipe names a model or a tokenizer"
        return source

    @model_validator(mode="after")
    def _check_start(self) -> Model:
        if self.from_scratch is None:
            if self.tokenizer is not None:
                raise ValueError("a checkpoint has its own tokenizer; remove model.tokenizer")
            return self
        if self.name is not None:
            raise ValueError("name and from_scratch exclude each other; keep one of them")
        if self.tokenizer is None:
            fix = "set model.tokenizer (`llmkit tokenizer train` trains one)"
            raise ValueError(f"a model from scratch needs a tokenizer; {fix}")
        if self.lora or self.new_head:
            raise ValueError("lora and new_head need a checkpoint, not from_scratch; remove them")
        return self


class Data(Section):
    """The data to train and evaluate on, and what to do about errors in it."""

    train: Source | None = None
    """A file (jsonl, json, csv, tsv, conll, txt or parquet, also .gz), a folder, a Hub id, `index:NAME`, or a list."""
    validation: Source | None = None
    """Validation data, as for `train`; null: a random part of the training rows."""
    test: Source | None = None
    """Test data, as for `train`; null: a random part of the training rows."""
    validation_share: Share = 0.1
    """Fraction of the training rows to use for validation if `validation` is null; 0: none."""
    test_share: Share = 0.1
    """Fraction of the training rows to use as the test set if `test` is null; 0: none."""
    columns: dict[str, Column] = {}
    """Column names in the file, by the names that the task uses: `{text: sentence}`; in CoNLL files numbers from 0."""
    labels: list[str] | None = None
    """Names of the classes if the rows hold class numbers, in the order of the numbers; null: taken from the rows."""
    encoding: str = "utf-8"
    """Text encoding of the files."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Character between the fields of csv and tsv files; null: recognized from the header."""
    quoting: Literal["auto", "double", "backslash", "none"] = "auto"
    """How csv and tsv files quote fields. double: a quote inside quotes is written `""`; backslash: it is `\\"`; none:
    quotes are part of the text; auto: double, but in a tsv file none if every line then has all its fields."""
    max_line_bytes: int = Field(default=10_000_000, ge=1)
    """Longest accepted line of a text file, in bytes."""
    unknown_labels: Literal["error", "drop"] = "error"
    """What to do with validation and test rows whose label does not occur in the training rows."""
    empty_text: Literal["error", "drop"] = "error"
    """What to do with rows whose text is empty or blank."""
    duplicates: Literal["error", "drop", "allow"] = "error"
    """What to do with training texts that also occur in validation or test, or that have two different labels."""


class Train(Section):
    """How to train. The examples of an optimizer step do not depend on the number of processes or devices."""

    epochs: float | None = Field(default=None, gt=0)
    """Number of passes over the training examples; null: 3, unless `max_steps` is set."""
    max_steps: int | None = Field(default=None, ge=1)
    """Number of optimizer steps; excludes `epochs`."""
    max_hours: float | None = Field(default=None, gt=0)
    """Time limit in hours: save, stop with exit code 75, and continue later with --resume; null: no limit."""
    batch_size: int = Field(default=32, ge=1)
    """Examples per optimizer step, over all processes."""
    learning_rate: float = Field(default=5e-5, gt=0)
    """Peak learning rate of AdamW."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Learning-rate schedule after the warm-up: linear or cosine decay to 0, or constant."""
    warmup_ratio: float = Field(default=0.06, ge=0, lt=1)
    """Fraction of the steps in which the learning rate rises linearly from 0 to its peak."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay of AdamW for weight matrices; biases and norms have none."""
    max_grad_norm: float | None = Field(default=1.0, gt=0)
    """Largest global gradient norm; larger gradients are scaled down to it. Null: no clipping."""
    max_length: int = Field(default=128, ge=2)
    """Longest example in tokens, special tokens included."""
    truncation: bool = False
    """Truncate longer examples and report how many; false: stop with an error."""
    micro_batch_tokens: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Tokens per forward pass. Affects speed and memory only: the step is the same up to rounding and dropout."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of the forward and backward pass; auto: the fastest that this device computes well in."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass instead of storing them: less memory, but slower."""
    shard: bool = False
    """Divide weights, gradients and optimizer state among the processes (FSDP2); false: each process has a copy."""
    compile: bool = False
    """Compile the model with torch.compile."""
    early_stopping: int | None = Field(default=None, ge=1)
    """Stop after this many evaluations in a row without a better `evaluate.best`; null: never."""
    seeds: list[Seed] | None = Field(default=None, min_length=1)
    """Seeds of order, head and dropout. Several: train once per seed, report mean and spread. Null: use `seed`."""

    @model_validator(mode="after")
    def _check_conflicts(self) -> Train:
        if self.epochs is not None and self.max_steps is not None:
            raise ValueError("epochs and max_steps exclude each other; keep one of them")
        if self.compile and self.shard:
            raise ValueError("compile and shard exclude each other; keep one of them")
        return self


class Evaluate(Section):
    """Which metrics to compute, when to validate, and how to compute confidence intervals."""

    metrics: list[str] = []
    """Metrics to show first; empty: those that the task chooses."""
    best: str = "loss"
    """Validation score that selects the final model: `loss` (lowest), or a metric of the task."""
    every_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps between two validations; null: validate after every epoch."""
    resamples: int = Field(default=2000, ge=100)
    """Number of bootstrap resamples for each confidence interval."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence level of the intervals."""
    baselines: bool | list[str] = True
    """Baselines to evaluate on the test set: true: the task's fast ones; false: none; or a list of names (lstm too)."""

    def resampling(self, seed: int) -> Resampling:
        """Return the settings of the confidence intervals."""
        return Resampling(self.confidence, self.resamples, seed)


class Checkpoint(Section):
    """When to save the state that resuming needs, and how many checkpoints to keep."""

    every_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps between two checkpoints; null: save after every epoch."""
    keep: int = Field(default=2, ge=2)
    """Number of newest checkpoints to keep, besides the best one and those that contain a file named `pinned`."""


class Recipe(Section):
    """One run: the task, the model to start from, the data, and how to train and evaluate."""

    task: dict[str, Any]
    """Name of the task (`name`), and the options of that task."""
    model: Model
    data: Data = Data()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    checkpoint: Checkpoint = Checkpoint()
    seed: Seed = 1
    """Seed of every random choice: splits, order of examples, new weights, dropout."""

    @property
    def training_seed(self) -> int:
        """The seed of order, head and dropout. A recipe with several seeds is trained as one recipe per seed."""
        assert self.train.seeds is None or len(self.train.seeds) == 1, "one run for each of train.seeds"
        return self.train.seeds[0] if self.train.seeds else self.seed
