"""Checkpoints in and out: loading with checks, adapters, saving, and the simple baselines."""
