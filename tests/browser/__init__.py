"""Reports in a real browser: what a reader sees, clicks and hears of, and what the page never does."""
