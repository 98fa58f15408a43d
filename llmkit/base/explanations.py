"""What each error code means and what to do, for `llmkit explain-error`: data, not code."""

from __future__ import annotations

__all__ = ["EXPLANATIONS"]

# code -> (title, paragraph); the letter: C recipe, F file, J row, L text and label, N tag, Q question, M model,
# A fetching, R run folder, T training, E evaluation, X programs of a model, W writing, U command line
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "C01": (
        "tab in the indentation",
        "YAML forbids tabs in indentation, because their width is not defined. Indent with two spaces.",
    ),
    "C02": (
        "key given twice",
        "Most YAML readers silently keep the last of two equal keys. llmkit names both places "
        "instead; remove one of them. The same holds for an override given twice on the command line.",
    ),
    "C03": (
        "unknown key",
        "An unknown key would be a setting that is silently not honoured. The line names the nearest "
        "key that exists; `llmkit recipes show --schema` lists all of them. Names of other tools (lr, "
        "num_train_epochs, ...) are pointed to ours.",
    ),
    "C04": (
        "key in the wrong section",
        "The key exists, but under another section. Move it there, or write the full path in an "
        "override: train.learning_rate=3e-5.",
    ),
    "C05": ("hyphens in a key", "Keys are written with underscores: batch_size, not batch-size."),
    "C06": (
        "number in quotes",
        "A quoted number is text. Remove the quotes. 1e-5 without a decimal point is a number here, "
        "as in YAML 1.2.",
    ),
    "C07": (
        "yes/no/on/off for a boolean",
        "Only true and false are booleans. The others are plain words, so that a language code `no` "
        "or a class name `yes` stays what it is.",
    ),
    "C08": (
        "wrong type",
        "The value is of another kind than the key takes, for instance a list where one number belongs.",
    ),
    "C09": (
        "out of range",
        "The value is of the right kind but not allowed: a learning rate of 0, a dropout of 1, a "
        "choice that does not exist. The line states what is allowed.",
    ),
    "C10": (
        "settings that exclude each other",
        "Two settings can't both hold: epochs and max_steps, or a number format that this device "
        "can't compute in. Keep one of them.",
    ),
    "C11": (
        "required key missing",
        "Without this key there is nothing to run. The line shows an example to copy.",
    ),
    "C12": (
        "not a mapping",
        "A recipe is a mapping of sections. The file is empty, holds a list or a single value at the "
        "top, or several documents.",
    ),
    "C13": (
        "syntax error",
        "The file or the override can't be parsed: an unclosed bracket or quote, a byte that is not "
        "UTF-8, an override without `=`. The place is that of the opening where there is one.",
    ),
    "C14": (
        "construct refused for safety",
        "Tags (!!python/...), anchors and aliases, files over 1 MiB and nesting deeper than 32 are "
        "refused: a recipe is data, and these are the ways to make a YAML reader run code or fill the "
        "memory.",
    ),
    "C15": (
        "no such recipe",
        "The name is neither a packaged recipe (`llmkit recipes list`) nor a file that can be read.",
    ),
    "C16": (
        "target exists",
        "`llmkit recipes copy` never overwrites. Name another target or remove the old file.",
    ),
    "C17": (
        "recipe of another command",
        "Packaged recipes for running text are run by `llmkit pretrain`, the others by `llmkit finetune`.",
    ),
    "F01": (
        "file not found",
        "There is no such file. The line names the nearest name in that folder. A Hub data set is "
        "written owner/name, an asset index:NAME.",
    ),
    "F02": (
        "folder or permission",
        "The path is a folder without data files, or may not be read by this user.",
    ),
    "F03": ("empty file", "The file has no bytes, or no row behind its header."),
    "F04": (
        "content is not what the name says",
        "The suffix decides how a file is read. This one holds something else: a JSON array in "
        ".jsonl, an HTML error page, a git-LFS pointer (run `git lfs pull`), an archive.",
    ),
    "F05": ("byte order mark", "Accepted; only said once. UTF-8 needs no byte order mark."),
    "F06": (
        "UTF-16 text",
        "The file is UTF-16, as some Windows programs write. Convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW.",
    ),
    "F07": (
        "wrong text encoding",
        "A byte can't be decoded. The line says where it is and which encoding is likely; set "
        "data.encoding=cp1252 (Western Windows) or gb18030 (Chinese), or convert the file.",
    ),
    "F08": ("binary file", "The file holds NUL bytes: it is no text."),
    "F09": (
        "line too long",
        "One line is longer than data.max_line_bytes. Usually line ends are missing. Raise the limit "
        "if the line is really meant.",
    ),
    "F10": (
        "file cut short",
        "A compressed or parquet file ends too early: an interrupted copy or download. Fetch it again.",
    ),
    "J01": (
        "malformed JSON",
        "The line is no valid JSON. The place is that of the first wrong character, with the text around it.",
    ),
    "J02": (
        "Python or JavaScript instead of JSON",
        "A trailing comma or single quotes. JSON takes neither; write the file with a JSON library.",
    ),
    "J03": (
        "line is not an object",
        "Each line of a .jsonl file is one object {...}; this one is a list, a text or a number.",
    ),
    "J04": (
        "key twice in an object",
        "JSON readers silently keep the last of two equal keys, so one value would be lost.",
    ),
    "J05": ("NaN or Infinity", "These are not JSON. Write null, or leave the row out."),
    "J06": (
        "type of a column changes",
        "A column holds texts in some rows and numbers (or lists) in others. The line names the first "
        "row of each kind.",
    ),
    "J07": (
        "row with a wrong number of fields",
        "A CSV row has more or fewer fields than the header, mostly because a text with a comma is "
        "not quoted; or a line given to predict does not have one tab between its texts.",
    ),
    "J08": (
        "quote never closed",
        "A quoted CSV field runs to the end of the file. The place is the line that opened it.",
    ),
    "J09": ("header missing or doubled", "The first CSV row must name the columns, each name once."),
    "J10": (
        "wrong delimiter",
        "The file looks as if its fields were divided by another character. Use .tsv for tabs, or "
        "convert it.",
    ),
    "J11": (
        "half a character",
        "A lone surrogate (\\ud800 ... \\udfff) is half of a UTF-16 pair and no character. Repair the "
        "text where it was written.",
    ),
    "L01": (
        "column missing",
        "The task needs this column. Name the file's own column with data.columns, e.g. "
        "data.columns.text=sentence.",
    ),
    "L02": (
        "text is null or not a string",
        "Every row needs a text, and a text is a string. Fill it in, or remove the row.",
    ),
    "L03": (
        "empty text",
        "An empty or blank text teaches nothing and can't be judged. Fill it in, or set "
        "data.empty_text=drop (the rows are counted).",
    ),
    "L04": ("label missing", "The label is null, NaN or empty. Label the row or remove it."),
    "L05": (
        "label unseen in training",
        "A validation or test row has a label that no training row has, so the model can never give "
        "it. Often a spelling mistake; the line names the closest one. data.unknown_labels=drop "
        "leaves such rows out, counted.",
    ),
    "L06": (
        "label number out of range",
        "Labels are numbers, and this one is outside 0 to n-1, n being the number of names in "
        "data.labels or of classes in the training rows.",
    ),
    "L07": (
        "labels that differ only in case or space",
        "Two labels are almost surely one class spelled in two ways. Make them equal.",
    ),
    "L08": ("a single class", "All training rows have the same label, so there is nothing to learn."),
    "L09": (
        "too few examples of a class",
        "When llmkit makes the validation or test part, each class must appear in every part. Add "
        "rows, give data.validation and data.test, or set the share to 0.",
    ),
    "L10": ("fractions as class labels", "A label like 0.5 is no class. Write integers or names."),
    "L11": (
        "labels do not fit the checkpoint's head",
        "The checkpoint was already trained for other classes. If its labels mean the same, name them "
        "in its order with data.labels; else set model.new_head=true, which replaces its head.",
    ),
    "L12": (
        "texts longer than max_length",
        "Texts are never cut silently. Raise train.max_length, or write train.truncation=true; the "
        "report then says what share of the tokens was lost.",
    ),
    "L13": (
        "the same text twice",
        "A training text that stands in validation or test too makes the score too good; a text with "
        "two labels contradicts itself. data.duplicates=drop removes the training rows, allow goes on "
        "and says so.",
    ),
    "L14": (
        "entities not marked",
        "A relation holds between two marked places: <e1>...</e1> and <e2>...</e2>, each once in the text, or "
        "columns head and tail whose texts stand in it.",
    ),
    "N01": (
        "tokens and tags of different number",
        "Every token has one tag; O is the tag of a token outside all entities. Usually a token was "
        "split or lost after tagging. Correct the row.",
    ),
    "N02": (
        "tag where it can't stand",
        "In this corpus' scheme the tag continues an entity that did not begin, or leaves one open: "
        "I-PER after O in IOB2. Correct it, or set task.repair_tags=true: such tags are then read as the "
        "script conlleval reads them (an I- that continues nothing begins an entity), and counted.",
    ),
    "N03": (
        "unknown tag",
        "A tag is O, or a prefix of the corpus' scheme and a type: B-PER. Either the tag is none (often "
        "the wrong column: data.columns.tags), or its type does not stand in the training rows; "
        "data.unknown_labels=drop leaves such validation and test rows out, counted.",
    ),
    "N04": (
        "CoNLL line with another number of columns",
        "All lines of tokens in a file have as many columns as the first, separated by tabs if that has "
        "one, else by blanks. A missing tag or an unescaped blank shifts the columns.",
    ),
    "N05": (
        "entity outside the text, or over another",
        "start and end count characters from 0, end is the place after the last, and both lie in the "
        "text. Entities must not overlap, because each word has one tag.",
    ),
    "N06": (
        "entity that is no run of whole words",
        "A span begins where a word begins and ends where one ends, without white space at its ends; a "
        "Chinese character is a word of its own. The line says which place to write. If all spans are "
        "off by the same, the offsets were counted in another text, or in bytes.",
    ),
    "Q01": (
        "answer begins elsewhere",
        "context[answer_start:] must begin with the answer. The line says where it does stand; offsets "
        "go wrong when a text is stripped or normalised after they were counted.",
    ),
    "Q02": (
        "answer not in the context",
        "An extractive answer is a piece of the context, letter by letter. Copy it from there, or leave the "
        "question out.",
    ),
    "Q03": (
        "offset outside the context",
        "answer_start is missing, below 0 or past the end of the context. Some data write -1 where there "
        "is no answer: write empty lists there, and set task.unanswerable=true.",
    ),
    "Q04": (
        "question without an answer",
        "The task expects an answer to every question, as in SQuAD v1.1. If some have none on purpose, as "
        "in v2.0, set task.unanswerable=true.",
    ),
    "Q05": (
        "offsets in bytes or UTF-16 units",
        "answer_start counts characters (Unicode code points, as Python does). All wrong offsets of the "
        "file are right when they count UTF-8 bytes, or UTF-16 units as Java and JavaScript do; the line "
        "says which and how to convert them.",
    ),
    "Q06": (
        "answer lost between windows",
        "A context that is longer than train.max_length is read in windows that overlap. An answer that "
        "no window holds whole can't be learned: let the windows overlap more, or raise train.max_length.",
    ),
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
    "A01": (
        "no network",
        "The package index or the Hub can't be reached. Assets already in the cache work without it; "
        "PIP_INDEX_URL names another index, HF_ENDPOINT another Hub, LLMKIT_CACHE a cache that was "
        "filled elsewhere.",
    ),
    "A02": (
        "wrong hash",
        "What came is not the pinned file, so it was removed. Try again; if it happens twice, "
        "something between you and the index changes files.",
    ),
    "A03": (
        "not in the index",
        "The configured index does not carry this package or file. Use the default index, or a mirror "
        "that has it.",
    ),
    "A04": ("unknown asset", "index:NAME must be one of the assets that `llmkit doctor` lists."),
    "A05": (
        "not found on the Hub",
        "No such repository, or no such revision. Check the spelling and the revision behind the @.",
    ),
    "A06": (
        "gated or private",
        "The Hub asks for a login: accept the terms on the model's page, then run `hf auth login`.",
    ),
    "A07": (
        "connection cut",
        "The transfer broke off. What came is kept; run it again and it goes on from there.",
    ),
    "A08": (
        "data set can't be opened",
        "The Hub repository holds no data files that can be read without running its script, or has "
        "no such configuration.",
    ),
    "R01": (
        "no run there",
        "The folder has no recipe.yaml, so it is no run. `llmkit runs list` shows the runs.",
    ),
    "R02": (
        "run exists",
        "A run is never overwritten. Add --resume to go on with it, or choose another --out.",
    ),
    "R03": ("run in use", "Another process is writing this run folder. Two writers would spoil it."),
    "R04": ("folder not empty", "--out names a folder with other things in it."),
    "R05": ("run not finished", "The run has no model or report yet. Go on with --resume."),
    "R06": ("no test rows", "A bare model does not know any test rows. Give --data."),
    "R07": (
        "runs can't be compared",
        "A paired comparison needs the same test examples and the same labels in both runs.",
    ),
    "R08": (
        "another process has ended",
        "Of several processes one ended first: killed, out of memory, or with an error of its own. The others can't go "
        "on without it. The run is as of its last checkpoint; --resume goes on from there.",
    ),
    "T01": (
        "loss or gradient is not finite",
        "The update was not made, so the weights are still good. Most often the learning rate is too "
        "high or the warm-up too short; sometimes a broken example (the line names them). Lower "
        "train.learning_rate and use --resume.",
    ),
    "T02": (
        "one example does not fit into the memory",
        "Micro-batches were halved until one held a single example, and that was still too much. Shorten the "
        "examples (train.max_length), trade time for memory (train.gradient_checkpointing=true) or train fewer "
        "weights (model.lora). Under train.shard nothing is halved, as the processes can't go back together: "
        "lower train.micro_batch_tokens.",
    ),
    "T03": (
        "nothing to learn from in an update",
        "The loss is over the tokens of the answers, and these examples have none: their answers are empty, or cut "
        "off by train.max_length.",
    ),
    "E01": (
        "unknown metric",
        "There is no score of that name here. The line lists those there are; `llmkit metrics list` shows what "
        "each of them compares.",
    ),
    "E02": (
        "nothing to compare",
        "Split as this metric splits texts, nothing is left: a tokenizer made for English drops every Chinese "
        "character, and would score identical texts 0. Name the language (--language zh) or another tokenizer.",
    ),
    "E03": (
        "a package is missing",
        "This tokenizer or metric needs a package that llmkit does not install by itself. The line says which.",
    ),
    "E04": (
        "another number of predictions than of references",
        "Line by line both files must tell of the same examples. A blank line counts as an empty text.",
    ),
    "E05": (
        "examples that stand on one side only",
        "Predictions and references are paired by their ids, and these ids have no counterpart. A score over the "
        "rest alone would be one of other examples than the file's.",
    ),
    "E06": ("id given twice", "Two rows have the same id, so it is not clear which of them counts."),
    "E07": (
        "not what the metric compares",
        "The metric takes numbers, labels, texts, answers or tags, and this value is none; or the two files have "
        "other words at this place. `llmkit metrics show NAME` says what it takes.",
    ),
    "E08": (
        "two metrics with one score key",
        "Both metrics would write their score under the same name. Ask for them one by one.",
    ),
    "E09": (
        "a metric module that can't be used",
        "The folder or name given to --metric is no module of the `evaluate` library, or its code failed.",
    ),
    "E10": (
        "a tokenizer that can't be used",
        "There is no tokenizer of that name, its model could not be loaded, or it can't divide these texts into words: "
        "one made for English takes a Chinese sentence for a single word and would score identical texts 0. "
        "Name the language (--language zh) or another tokenizer.",
    ),
    "X01": (
        "no sandbox for a model's programs",
        "Programs that a model wrote are run only where the kernel can lock them in: Linux 5.13 or later on x86_64, "
        "with Landlock and seccomp. The line says what is missing. Nothing was run.",
    ),
    "X02": (
        "no program, or no tests",
        "A row's solution must be Python, and its tests a list of Python statements that run through when a program is "
        "right. Correct the row, or remove it. Without task.run_programs tests can be left out.",
    ),
    "W01": (
        "disk full",
        "Nothing was damaged: files appear only when complete. Free some space and run it again; a "
        "training run goes on with --resume.",
    ),
    "W02": (
        "not allowed to write",
        "This user may not write there. Choose another --out, or another cache with LLMKIT_CACHE.",
    ),
    "W03": (
        "writing failed",
        "The disk or file system reported an error. Nothing half-written is left under a file's real name.",
    ),
    "U01": (
        "wrong command line",
        "An unknown command or option, or arguments that don't go together. --help behind a command "
        "shows what it takes.",
    ),
    "U02": ("unknown error code", "Codes stand in the brackets of an error line, a letter and two digits."),
}
