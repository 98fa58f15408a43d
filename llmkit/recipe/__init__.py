"""The recipe of a run: schema (what it can say), load (YAML and overrides), catalog (the packaged ones).

Nothing is imported here, so that `llmkit --help` and `llmkit recipes list` need neither pydantic nor PyYAML.
"""
