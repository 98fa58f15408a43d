"""Metrics of classification, regression, span extraction, ranking, preference and language-modelling tasks."""
