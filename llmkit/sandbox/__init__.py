"""Run programs that a model generated in an isolated process (Linux, x86_64)."""
