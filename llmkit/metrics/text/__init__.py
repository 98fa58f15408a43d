"""Metrics of generated text: BLEU, chrF, TER, ROUGE, and word and character error rate."""
