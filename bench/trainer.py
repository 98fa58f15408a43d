"""The same fine-tuning with plain transformers: Trainer with dynamic padding, as its users run it. One JSON line out.

Usage: trainer.py MODEL TRAIN.jsonl TEST.jsonl SEED EPOCHS LEARNING_RATE
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)


def main(
    model_name: str, train: str, test: str, seed: int, epochs: float, learning_rate: float
) -> dict[str, Any]:
    rows = datasets.load_dataset("json", data_files={"train": train, "test": test})
    names = sorted(set(rows["train"]["label"]))
    tokenizer = AutoTokenizer.from_pretrained(model_name)

    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        encoded = tokenizer(batch["text"], truncation=True, max_length=128)
        return {**encoded, "labels": [names.index(label) for label in batch["label"]]}

    rows = rows.map(encode, batched=True, remove_columns=rows["train"].column_names)
    model = AutoModelForSequenceClassification.from_pretrained(model_name, num_labels=len(names))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=32,
            learning_rate=learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=0.06,  # a share of the steps where below 1
            weight_decay=0.01,
            max_grad_norm=1.0,
            seed=seed,
            save_strategy="no",
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=rows["train"],
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        began = time.perf_counter()
        outcome = trainer.train()
        seconds = time.perf_counter() - began
        predicted = trainer.predict(rows["test"])
    return {
        "predictions": [names[number] for number in predicted.predictions.argmax(-1)],
        "golds": [names[number] for number in predicted.label_ids],
        "train_seconds": seconds,
        "steps": outcome.global_step,
    }


if __name__ == "__main__":
    model_name, train, test, seed, epochs, learning_rate = sys.argv[1:]
    print(
        json.dumps(main(model_name, str(Path(train)), test, int(seed), float(epochs), float(learning_rate)))
    )
