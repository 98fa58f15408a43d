"""Metrics as per-example statistics and pure scores of their sums; numpy only, no disk, no torch.

`score` holds the types, `intervals` turns statistics into scores with intervals, `paired` compares two
systems, and one module a task family says what its statistics are: `classification.scores(golds, predictions,
names)`.
"""
