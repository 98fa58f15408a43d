"""Text processing without a model: normalization, words, sentences, tags, near-duplicates. No disk access, no torch."""
