"""Figures: pure functions from numbers to matplotlib figures, one file an idea."""
