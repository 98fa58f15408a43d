"""Text as such: one normal form, near-duplicates. Pure functions on strings and arrays; no disk, no torch."""
