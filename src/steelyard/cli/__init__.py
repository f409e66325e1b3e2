"""The command line: one thin file per verb; data on stdout, everything else on stderr."""

from steelyard.cli.app import app, main

__all__ = ["app", "main"]
