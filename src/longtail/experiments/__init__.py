"""Experiments: several runs whose results are looked at together."""
