"""Recipes: their schema, loading them from YAML and overrides, and the packaged ones.

This file imports nothing, so that `llmkit --help` and `llmkit recipes list` load neither pydantic nor PyYAML.
"""
