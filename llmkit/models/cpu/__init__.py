"""Faster training and inference on CPUs. The rest of llmkit works without this folder, only slower."""
