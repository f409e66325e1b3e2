"""Learned factors: many features of a market distilled into a few columns, with their origin."""
