"""Load, build, adapt and save models and tokenizers."""
