"""Errors of checkpoints, tokenizers and adapters (M), and of conversations, targets and special tokens (S)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "ModelError"]


class ModelError(UserError):
    """A checkpoint, a tokenizer or an adapter can't be used."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "M01": (
        "unusable model",
        "transformers can't load this model: config.json, the tokenizer or the weights are missing or malformed, "
        "or the architecture is unknown.",
    ),
    "M02": (
        "weights only as pickle",
        "Files such as pytorch_model.bin can run code when they are loaded, so llmkit loads only safetensors. "
        "Convert the model on a machine you trust: load it with transformers, then call "
        "model.save_pretrained(folder).",
    ),
    "M03": (
        "damaged weights",
        "The safetensors file is incomplete, or its header is wrong. Download or copy it again.",
    ),
    "M06": (
        "checkpoint with its own code",
        "The config.json of the checkpoint names code to download and run (auto_map and similar keys). llmkit "
        "never runs such code.",
    ),
    "M07": (
        "adapter of another base model",
        "An adapter fits only the base model that it was trained on. Name that model.",
    ),
    "M08": (
        "LoRA targets match nothing",
        "model.lora.targets must name linear layers of this architecture. The message lists them. `auto` selects "
        "all of them.",
    ),
    "M09": (
        "different recipe or data",
        "A run can be resumed, and evaluated again, only with the recipe and the data that it was started with. "
        "Otherwise its result would belong to neither. Use the run's own recipe.yaml and the old files, or start "
        "a new run.",
    ),
    "M11": (
        "model that does not fit the task",
        "The checkpoint has no head or no architecture for this use, or lacks a setting that it needs. Fine-tune "
        "it first, or choose another checkpoint.",
    ),
    "M12": (
        "processes with different weights",
        "Each process loads the checkpoint itself, and they did not load the same weights. Usually one machine "
        "has an older copy of the model.",
    ),
    "M13": (
        "nothing to quantize to int8",
        "--int8 quantizes the weights of linear layers, on the CPU. GPT-2 has another kind of layers, and an LSTM "
        "has no linear layers to quantize.",
    ),
    "S01": (
        "not a list of turns",
        "A conversation is a list of turns, each with a text and a role: system, user or assistant (human and gpt "
        "in files of ShareGPT). llmkit can't train on other roles, such as those of tools. Leave out such rows.",
    ),
    "S02": (
        "conversation without an answer",
        "The model learns only the turns of the assistant, and this conversation has none. Leave it out.",
    ),
    "S03": (
        "turns that the chat template can't format",
        "After at most one system message, the turns of user and assistant must alternate: chat templates are "
        "made for that. Also, the formatted text of the first turns must not change when more turns follow, "
        "because otherwise the answers can't be located in it. Correct the rows, or choose a checkpoint with a "
        "suitable template.",
    ),
    "S05": (
        "empty target",
        "The target (a translation, a summary or an answer) is empty or blank, so the model would learn to "
        "generate nothing. Fill it in, or set data.empty_text=drop to leave out such rows; llmkit reports how "
        "many.",
    ),
    "S06": (
        "several chat templates",
        "The tokenizer has several chat templates, which format a conversation differently. Keep one: set "
        "tokenizer.chat_template to its text and save the tokenizer.",
    ),
    "S07": (
        "special token missing",
        "The tokenizer lacks a token that the task needs: a padding token for batches of texts of different "
        "lengths (an end token can serve), an end token after documents and generated texts, or a mask token for "
        "masked language models. Add it to the tokenizer and save it.",
    ),
    "S08": (
        "chat template changed since training",
        "The model learned from conversations that were formatted by another chat template, so its answers would "
        "be worse with this one. The SHA-256 of the right template is in the model's llmkit.json. Restore the "
        "chat_template.jinja of the model, or train again.",
    ),
    "S09": (
        "packing not verified for this architecture",
        "Documents that are packed into one sequence must not attend to each other. The tests of llmkit verify "
        "that for some architectures only. Set task.packing=false to give each document its own sequence.",
    ),
    "S10": (
        "chosen and rejected answers are equal",
        "Preference tuning learns from the difference between the chosen and the rejected answer, and these two "
        "are the same text. Leave out such rows.",
    ),
    "S11": (
        "chosen and rejected answers to different prompts",
        "The chosen and the rejected answer of a row must follow the same turns; otherwise their difference would "
        "include that of the prompts. Give one prompt for both, or two conversations that are equal except for "
        "their last turn.",
    ),
}
