"""Metrics of understanding tasks: labels, numbers, spans, rankings and language models."""
