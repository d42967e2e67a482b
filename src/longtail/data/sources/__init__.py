"""One file a source: each returns a Dataset with its own train and test, nothing cut."""
