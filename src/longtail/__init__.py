"""Train classifiers that also work on rare classes."""
