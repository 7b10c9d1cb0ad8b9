"""Benchmarks: what is trained on what, within which budget, and how the results compare."""
