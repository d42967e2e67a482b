"""Records become pages: one run, several side by side, a folder of them, a dataset.

Needs what `longtail.record` and `longtail.metrics` need, matplotlib and Jinja, never torch: a
report opens and is written on any laptop.
"""
