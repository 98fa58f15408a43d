"""Answer questions, one per line, with transformers' generate and a batch size of 1.

Usage: generate.py MODEL QUESTIONS.txt NEW_TOKENS
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.clock import Clock

clock = Clock()

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402


def main(name: str, file: str, new_tokens: int) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModelForCausalLM.from_pretrained(name)
    questions = Path(file).read_text(encoding="utf-8").splitlines()

    def answer(question: str) -> str:
        turns = [{"role": "user", "content": question}]
        inputs = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        tokens = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
        return tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    answer(questions[0])
    clock.mark("ready")
    texts = [answer(question) for question in questions]
    clock.mark("done")
    clock.end(examples=len(texts), outputs=texts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
