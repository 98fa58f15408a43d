"""Faster training and prediction on CPUs. llmkit works without this folder, only slower (and without --int8)."""
