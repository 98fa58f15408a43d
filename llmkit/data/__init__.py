"""Turn files into batches: read rows with their line numbers, check, split, tokenize and order them."""
