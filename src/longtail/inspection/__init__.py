"""A dataset looked at before training: counts, copies, near-duplicates, what is worth a look.

Nothing that is trained depends on it, so a change here leaves finished runs done.
"""
