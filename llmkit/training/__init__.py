"""The stages of a training run: prepare, train, validate, resume, compare with baselines, finalize."""
