"""Check rows before training: each problem is reported with its place and a fix."""
