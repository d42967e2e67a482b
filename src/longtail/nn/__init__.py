"""Modules with parameters: encoders, heads, and the model that joins them."""
