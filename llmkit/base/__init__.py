"""Modules that every other package may import: errors, files, run folders, progress, seeds and processes.

This package imports no other package of llmkit.
"""
