"""Environments, and doors through which other libraries step them."""

DOORS = ("gymnasium", "stable_baselines", "torch")
"""Files that are imported by name only, as each needs the library that it opens to."""
