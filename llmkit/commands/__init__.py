"""One module per command: load what it needs, call the layers below, return the result. `cli` parses and prints."""
