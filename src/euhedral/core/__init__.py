"""Crystals, batches of them, elements, units and files."""
