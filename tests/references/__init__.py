"""Slow loops written from the papers' equations; they share nothing with the package."""
