"""Reports in a real browser: what a reader sees and does, and what a page never does."""
