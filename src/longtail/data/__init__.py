"""Data: sources, the long-tail cut, splits, samplers, views, batches."""
