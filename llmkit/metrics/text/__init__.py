"""Metrics of generated text against references: BLEU, chrF, TER, ROUGE, WER and CER."""
