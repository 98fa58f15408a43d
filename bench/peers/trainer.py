"""Fine-tune a classifier with transformers' Trainer, as its text-classification example does.

--padding max_length pads all texts to 128 tokens, the default of the example; longest pads each batch to its longest
text; grouped also puts texts of similar length into a batch.

Usage: trainer.py MODEL TRAIN.jsonl VALIDATION.jsonl TEST.jsonl OUT --seed 1 --padding max_length [--first-step]
"""

from __future__ import annotations

import argparse
from typing import Any

from bench.clock import Clock

clock = Clock()

import datasets  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)


class FirstStepDone(Exception):
    """Stops training after the first optimizer step."""


class MarkSteps(TrainerCallback):
    """Marks the first optimizer step, and stops after it if asked to."""

    def __init__(self, first_step: bool) -> None:
        self.first_step = first_step

    def on_step_end(self, *_: Any, **__: Any) -> None:
        clock.mark("step")
        if self.first_step:
            raise FirstStepDone


def main(options: argparse.Namespace) -> None:
    files = {"train": options.train, "validation": options.validation, "test": options.test}
    rows = datasets.load_dataset("json", data_files=files)
    names = sorted(set(rows["train"]["label"]))
    config = {"num_labels": len(names), "label2id": {name: number for number, name in enumerate(names)}}
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForSequenceClassification.from_pretrained(options.model, **config)
    fixed_length = options.padding == "max_length"

    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        padding = "max_length" if fixed_length else False
        encoded = tokenizer(batch["text"], truncation=True, max_length=128, padding=padding)
        return {**encoded, "labels": [names.index(label) for label in batch["label"]]}

    rows = rows.map(encode, batched=True, remove_columns=rows["train"].column_names)
    trainer = Trainer(
        model=model,
        args=make_arguments(options),
        train_dataset=rows["train"],
        eval_dataset=rows["validation"],
        data_collator=default_data_collator if fixed_length else DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        callbacks=[MarkSteps(options.first_step)],
    )
    clock.mark("training")
    outcome = trainer.train()
    clock.mark("trained")
    trainer.save_model()
    trainer.evaluate()
    predictions = trainer.predict(rows["test"])
    clock.mark("predicted")
    # With grouping, Trainer returns the predictions in the order of its sampler.
    order = list(trainer._get_eval_sampler(rows["test"]))
    clock.end(
        examples=len(rows["train"]),
        steps=outcome.global_step,
        outputs={
            "predictions": _restore_order(
                [names[number] for number in predictions.predictions.argmax(-1)], order
            ),
            "labels": _restore_order([names[number] for number in predictions.label_ids], order),
        },
    )


def _restore_order(values: list[str], order: list[int]) -> list[str]:
    """Sort values by their row in the file, which `order` gives."""
    return [value for _, value in sorted(zip(order, values, strict=True))]


def make_arguments(options: argparse.Namespace) -> TrainingArguments:
    return TrainingArguments(
        output_dir=options.out,
        num_train_epochs=1,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=32,
        learning_rate=2e-4,
        lr_scheduler_type="linear",
        warmup_steps=0.06,  # below 1: a fraction of the steps
        weight_decay=0.01,
        max_grad_norm=1.0,
        seed=options.seed,
        train_sampling_strategy="group_by_length" if options.padding == "grouped" else "random",
        save_strategy="no",
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("model", "train", "validation", "test", "out"):
        parser.add_argument(name)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--padding", choices=["max_length", "longest", "grouped"], required=True)
    parser.add_argument("--first-step", action="store_true", help="stop after the first step")
    try:
        main(parser.parse_args())
    except FirstStepDone:
        clock.end(examples=0)
