"""Train LoRA adapters on instructions with TRL's SFTTrainer and its defaults, except for the settings that both sides
share.

--fp32 turns off bfloat16, TRL's default. Processors without bfloat16 units compute it many times slower than float32.

Usage: trl_sft.py MODEL TRAIN.jsonl OUT --seed 1 [--examples N] [--fp32]
"""

from __future__ import annotations

import argparse
from typing import Any

from bench.clock import Clock

clock = Clock()

import datasets  # noqa: E402
from peft import LoraConfig  # noqa: E402
from transformers import TrainerCallback  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402


class MarkSteps(TrainerCallback):
    """Marks the first optimizer step."""

    def on_step_end(self, *_: Any, **__: Any) -> None:
        clock.mark("step")


def main(options: argparse.Namespace) -> None:
    rows = datasets.load_dataset("json", data_files=options.train, split="train")
    rows = rows.select(range(options.examples or len(rows)))
    rows = rows.map(make_turns, remove_columns=rows.column_names)
    trainer = SFTTrainer(
        model=options.model,
        args=SFTConfig(
            output_dir=options.out,
            num_train_epochs=1,
            per_device_train_batch_size=8,
            learning_rate=2e-4,
            seed=options.seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            **({"bf16": False} if options.fp32 else {}),
        ),
        train_dataset=rows,
        peft_config=LoraConfig(r=16, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=[MarkSteps()],
    )
    clock.mark("training")
    outcome = trainer.train()
    clock.mark("trained")
    clock.end(examples=len(rows), steps=outcome.global_step, outputs={"loss": outcome.training_loss})


def make_turns(row: dict[str, str]) -> dict[str, list[dict[str, str]]]:
    question = f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"]
    answer = {"role": "assistant", "content": row["output"]}
    return {"prompt": [{"role": "user", "content": question}], "completion": [answer]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("model", "train", "out"):
        parser.add_argument(name)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--examples", type=int)
    parser.add_argument("--fp32", action="store_true")
    main(parser.parse_args())
