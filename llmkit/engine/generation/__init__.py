"""Generate text with greedy or beam search, in batches or as a stream."""
