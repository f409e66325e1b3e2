"""Market data: sources behind one `load`, a store, calendars, quality reports, and data cards."""

from steelyard.data.cards import Card, datasets, show
from steelyard.data.quality import check, check_file
from steelyard.data.report import Finding, Report
from steelyard.data.sources import Source, load
from steelyard.data.store import Manifest, Store
from steelyard.data.synthetic import Optimum, optimum

__all__ = [
    "Card",
    "Finding",
    "Manifest",
    "Optimum",
    "Report",
    "Source",
    "Store",
    "check",
    "check_file",
    "datasets",
    "load",
    "optimum",
    "show",
]
