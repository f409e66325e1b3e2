"""The report of a run: verdict, tables and charts in one HTML file that loads nothing.

`render(score)` is the page, `verdict(score)` its sentences.
"""

from steelyard.evaluation.report.page import render
from steelyard.evaluation.report.verdict import verdict

__all__ = ["render", "verdict"]
