"""From files to batches: rows with their places, checks, splits, token ids, order."""
