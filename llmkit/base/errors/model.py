"""Errors of checkpoints, tokenizers and adapters (M), and of chat templates and generation (S)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "ModelError"]


class ModelError(UserError):
    """A checkpoint, a tokenizer or an adapter cannot be used."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "M01": (
        "no usable model",
        "The folder is no model that transformers can open: config.json, tokenizer or weights are "
        "missing or malformed, or the architecture is unknown.",
    ),
    "M02": (
        "weights as pickle only",
        "Files like pytorch_model.bin can run code when they are opened. llmkit opens safetensors "
        "only. Convert it on a machine you trust: load it with transformers, then "
        "model.save_pretrained(folder).",
    ),
    "M03": (
        "damaged weights",
        "The safetensors file is cut short or its header is wrong. Fetch or copy it again.",
    ),
    "M06": (
        "checkpoint wants to run its own code",
        "Its config.json names code to be fetched and run (auto_map and the like). llmkit never does that.",
    ),
    "M07": ("adapter of another base model", "A kept adapter only fits the model that it was trained on."),
    "M08": (
        "adapter targets match nothing",
        "model.lora.targets must name linear layers of this architecture; the line lists them. `auto` "
        "takes all of them.",
    ),
    "M09": (
        "resume under another recipe or other data",
        "A run is resumed, and scored again, only with what it began with, or the result would be "
        "neither. Use the run's own recipe.yaml, or start a new run.",
    ),
    "M11": (
        "no head that fits a task",
        "The checkpoint has no task head that llmkit can score or answer with. Fine-tune it first.",
    ),
    "M12": (
        "processes with different weights",
        "Each process reads the checkpoint itself, and they did not read the same. Most often one machine holds "
        "an older copy of the model.",
    ),
    "M13": (
        "nothing to compute in 8 bits",
        "--int8 rounds the weights of linear layers, on a CPU. GPT-2 has layers of its own kind, and an LSTM none.",
    ),
    "S01": (
        "no list of turns",
        "A conversation is a list of turns, each with a role (system, user, assistant; human and gpt in ShareGPT's "
        "files) and a text. Other roles, such as those of tools, can't be learned here; leave such rows out.",
    ),
    "S02": (
        "no answer in a conversation",
        "Only what the assistant says is learned, so a conversation without such a turn teaches nothing.",
    ),
    "S03": (
        "turns that the chat template can't write",
        "User and assistant take turns, behind at most one system message; that is what chat templates are made for. "
        "And the text of the first turns must stay the same when others follow, or the answers in it can't be told "
        "from the rest. Correct the rows, or take a checkpoint whose template writes them.",
    ),
    "S05": (
        "nothing to learn to write",
        "The target (a translation, a summary, an answer) is empty or blank, so the model would learn to say nothing. "
        "Fill it in, or set data.empty_text=drop to leave out such rows, counted.",
    ),
    "S06": (
        "several chat templates",
        "The tokenizer has a choice of chat templates, and each writes another text. Keep the one that is meant: set "
        "tokenizer.chat_template to its text and save the tokenizer.",
    ),
    "S07": (
        "special token missing",
        "Batches of texts of different lengths need a padding token (an end token can serve), documents and "
        "generated texts an end token behind them, masked language models a mask token. Add it to the "
        "tokenizer and save it.",
    ),
    "S09": (
        "packing not known to be exact",
        "Packed documents must not see each other, and the tests show that for some model types only. "
        "With task.packing=false each document has a block to itself.",
    ),
    "S10": (
        "no preference between equal answers",
        "Preference tuning learns from what tells the chosen answer from the rejected one. Where they are the same "
        "text there is nothing to tell; leave such rows out.",
    ),
    "S11": (
        "answers to no common prompt",
        "The chosen and the rejected answer of a row must go on from the same turns, or their difference would be one "
        "of the questions too. Give both with one prompt, or as two conversations that are the same up to their last "
        "turn.",
    ),
    "S08": (
        "another chat template than in training",
        "The model learned to answer conversations that are written in one way; written in another way it answers "
        "worse. The template's SHA-256 is in the model's llmkit.json. Put the chat_template.jinja of the run's model "
        "back, or train again.",
    ),
}
