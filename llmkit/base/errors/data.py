"""Errors of data: files (F), rows (J), texts and labels (L), tags and entities (N), questions and answers (Q)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "DataError"]


class DataError(UserError):
    """A data file, a row, a text or a label is wrong."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "F01": (
        "file not found",
        "There is no file at this path. The message suggests the most similar name in the folder. Write a Hub "
        "data set as owner/name, and a data set of the package index as index:NAME.",
    ),
    "F02": (
        "unusable path or no permission",
        "The path is a folder without data files, is neither a file nor a folder, or may not be read by this "
        "user.",
    ),
    "F03": ("empty file", "The file has no bytes, or no rows after its header."),
    "F04": (
        "content does not match the file name",
        "llmkit chooses the reader by the suffix of the file name, and this file holds something else: a JSON "
        "array in a .jsonl file, an HTML error page, a git-LFS pointer (run `git lfs pull`) or an archive.",
    ),
    "F05": (
        "encoding contradicts the byte order mark",
        "The file begins with a UTF-8 byte order mark, but data.encoding names another encoding. Set "
        "data.encoding=utf-8.",
    ),
    "F06": (
        "UTF-16 or UTF-32 text",
        "The file is not UTF-8 but UTF-16 or UTF-32, which some Windows programs write. Convert it: iconv -f "
        "UTF-16 -t UTF-8 OLD > NEW.",
    ),
    "F07": (
        "wrong text encoding",
        "A byte of the file is not valid in the text encoding. The message gives its position and a likely "
        "encoding. Set data.encoding=cp1252 (Western Windows) or data.encoding=gb18030 (Chinese), or convert the "
        "file to UTF-8.",
    ),
    "F08": ("binary file", "The file holds NUL bytes, so it is not a text file."),
    "F09": (
        "line too long",
        "A line, or a sentence of a CoNLL file, is longer than data.max_line_bytes. Usually line ends or blank "
        "lines are missing. Raise the limit if the line is correct.",
    ),
    "F10": (
        "incomplete file",
        "A compressed file or a parquet file ends too early or is damaged, usually by an interrupted copy or "
        "download. Copy or download it again.",
    ),
    "J01": (
        "malformed JSON",
        "The line is not valid JSON. The place is the first wrong character, and the message quotes the text "
        "around it.",
    ),
    "J02": (
        "Python or JavaScript instead of JSON",
        "The line has a trailing comma or single quotes, which JSON does not allow. Write the file with a JSON "
        "library.",
    ),
    "J03": (
        "line is not an object",
        "Each line of a .jsonl file must be one object {...}. This one is a list, a string or a number.",
    ),
    "J04": (
        "key twice in an object",
        "An object has two equal keys. Other JSON readers silently keep only the last value. Remove one of the "
        "keys.",
    ),
    "J05": (
        "NaN or Infinity",
        "JSON has no NaN and no Infinity, and no numbers too large for a double. Write null, or leave out the "
        "row.",
    ),
    "J06": (
        "column with mixed types",
        "A column holds strings in some rows and numbers or lists in others. The message names the first row of "
        "each type.",
    ),
    "J07": (
        "wrong number of fields",
        "A CSV row has more or fewer fields than the header, usually because a text with a comma is not quoted. "
        "Or a line given to `llmkit predict` does not have exactly one tab between its two texts.",
    ),
    "J08": (
        "quote not closed",
        "A quoted CSV field has no closing quote before the end of the file. The place is the line with the "
        "opening quote.",
    ),
    "J09": (
        "missing or repeated column name",
        "The first row of a CSV file must name all columns, and two columns must not have the same name.",
    ),
    "J10": (
        "wrong delimiter",
        "The fields are not separated by data.delimiter, but by another character. Correct the key, or leave it "
        "out. The delimiter is then recognized from the header.",
    ),
    "J11": (
        "lone surrogate",
        "A lone surrogate (\\ud800 ... \\udfff) is half of a UTF-16 pair and not a character. Correct the program "
        "that wrote the text.",
    ),
    "L01": (
        "column missing",
        "The task needs this column. If the file has it under another name, map the name with data.columns, for "
        "example data.columns.text=sentence.",
    ),
    "L02": (
        "text is null or not a string",
        "Every row needs a text, and the text must be a string. Fill it in, or remove the row.",
    ),
    "L03": (
        "empty text",
        "The model can't learn from an empty or blank text, and predictions for it can't be evaluated. Fill it "
        "in, or set data.empty_text=drop to leave out such rows; llmkit reports how many.",
    ),
    "L04": ("label missing", "The label is null, NaN or empty. Fill it in, or remove the row."),
    "L05": (
        "label unknown to the model",
        "A validation or test row has a label that no training row has, so the model can never predict it. Often "
        "the label is misspelled; the message suggests the most similar one. data.unknown_labels=drop leaves out "
        "such rows and reports how many.",
    ),
    "L06": (
        "label number out of range",
        "The labels are numbers, and this one is not between 0 and n - 1. Here n is the number of names in "
        "data.labels, or else the number of classes in the training rows.",
    ),
    "L07": (
        "labels that differ only in case or spaces",
        "Two labels are almost certainly the same class, spelled in two ways. Use one spelling.",
    ),
    "L08": ("only one class", "All training rows have the same label, so there is nothing to learn."),
    "L09": (
        "too few examples for a split",
        "When llmkit makes the validation or test split itself, every class must appear in every split. Add rows, "
        "give your own files with data.validation and data.test, or set data.validation_share or data.test_share "
        "to 0.",
    ),
    "L10": (
        "label of the wrong kind",
        "A class label is an integer or a name, so 0.5 is not one. A score is a finite number. Several references "
        "of one example are a list of strings.",
    ),
    "L11": (
        "labels do not match the checkpoint's head",
        "The checkpoint was already fine-tuned for other classes. If its labels mean the same, name your classes "
        "in its order with data.labels. Otherwise set model.new_head=true to replace its head.",
    ),
    "L12": (
        "texts longer than max_length",
        "llmkit never truncates texts silently. Raise train.max_length, or set train.truncation=true; the report "
        "then says what share of the tokens was lost.",
    ),
    "L13": (
        "duplicate text",
        "A training text that is also in the validation or test split makes the score too high (leakage), and a "
        "text with two different labels contradicts itself. data.duplicates=drop removes these training rows; "
        "data.duplicates=allow keeps them and reports them.",
    ),
    "L14": (
        "entities not marked",
        "A relation needs two marked entities. Write <e1>...</e1> and <e2>...</e2>, each once in the text, or "
        "give columns head and tail whose texts occur in the text.",
    ),
    "N01": (
        "tokens and tags differ in number",
        "Every token needs exactly one tag; a token outside all entities has the tag O. Usually a token was split "
        "or lost after tagging. Correct the row.",
    ),
    "N02": (
        "invalid tag sequence",
        "The tag is not allowed at this position in the tagging scheme of the data, such as I-PER after O in "
        "IOB2. Correct it, or set task.repair_tags=true. Such tags are then read as the script conlleval reads "
        "them (an I- tag without a beginning starts an entity), and llmkit reports how many there are.",
    ),
    "N03": (
        "unknown tag",
        "A tag is O, or a prefix of the tagging scheme and a type, such as B-PER. Either this value is not a tag, "
        "often because the wrong column is read (set data.columns.tags), or its type does not occur in the "
        "training rows. Tags such as B_PER, and types without prefixes beside O, are read, but not mixed with B-PER. "
        "Parts of speech are not entities and can't be trained. "
        "data.unknown_labels=drop leaves out such validation and test rows and reports how many.",
    ),
    "N04": (
        "wrong number of columns in a CoNLL line",
        "All token lines of a CoNLL file have as many columns as its first one. Columns are separated by tabs if "
        "the first line has a tab, else by spaces. A missing tag or a space inside a token shifts the columns.",
    ),
    "N05": (
        "entity outside the text or overlapping",
        "start and end count characters from 0; end is the position after the last character. Both must lie "
        "within the text. Entities must not overlap, because each word has only one tag.",
    ),
    "N06": (
        "entity that does not consist of whole words",
        "A span must start at the start of a word and end at the end of a word, without white space at its edges. "
        "A Chinese character counts as a word. The message gives the correct position. If all spans are shifted "
        "by the same amount, the offsets were computed on another text.",
    ),
    "N07": (
        "offsets that count bytes or UTF-16 units",
        "start and end count characters (Unicode code points, as Python does). A file whose entities all fit when they "
        "count UTF-16 units (as JavaScript and Java do) or UTF-8 bytes is converted, and a note says so. In this file "
        "most entities fit one of these units, but not all do. Correct the entities that fit neither.",
    ),
    "N08": (
        "entity whose own text differs from its span",
        'The text from start to end is not the "text" that is written beside them, so one of them is wrong. Usually '
        "the text of the row was edited after the entities were marked. The message gives the nearest position.",
    ),
    "Q01": (
        "answer at another position",
        "The context does not contain the answer at answer_start. The message gives the position where it does. "
        "Offsets become wrong when a text is stripped or normalized after they were computed.",
    ),
    "Q02": (
        "answer not in the context",
        "In extractive question answering, the answer must be an exact part of the context. Copy it from there, "
        "or leave out the question.",
    ),
    "Q03": (
        "offset outside the context",
        "answer_start is missing, negative or beyond the end of the context. Some data sets use -1 if there is no "
        "answer: write empty lists instead and set task.unanswerable=true.",
    ),
    "Q04": (
        "question without an answer",
        "The task expects an answer to every question, as in SQuAD 1.1. If some questions have no answer on "
        "purpose, as in SQuAD 2.0, set task.unanswerable=true.",
    ),
    "Q05": (
        "offsets in bytes or UTF-16 units",
        "answer_start must count characters (Unicode code points, as in Python). All wrong offsets of this file "
        "are correct when counted in UTF-8 bytes, or in UTF-16 units as in Java and JavaScript. The message says "
        "which, and how to convert them.",
    ),
    "Q06": (
        "answer split between windows",
        "A context longer than train.max_length is read in overlapping windows. An answer that no window contains "
        "completely can't be learned. Let the windows overlap more, or raise train.max_length.",
    ),
}
