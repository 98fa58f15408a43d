"""Errors of data: files (F), rows (J), texts and labels (L), tags (N) and questions (Q)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "DataError"]


class DataError(UserError):
    """A data file, a row, a text or a label is wrong."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
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
}
