"""Metrics as statistics per example and pure scores of their sums; numpy only, no disk access, no torch.

`score` defines the types, `intervals` turns statistics into scores with confidence intervals, `paired` compares two
systems on the same examples, and `independent` two scores from different examples. Each module in `tasks` and `text`
defines the statistics of one family of metrics, for example `classification.scores(references, predictions, names)`.
"""
