"""The words of a quality report: findings, their weight, and what to do about them.

Severity: "error" where numbers made from the data would be wrong, "warning" where a person should
look, "note" where the fact is worth knowing and nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

RULES: dict[str, tuple[str, str]] = {
    "unreadable": ("error", "correct or delete the row"),
    "duplicate": ("error", 'load with repair="duplicates"'),
    "conflict": ("error", "delete the wrong one of two rows for one bar"),
    "unsorted": ("error", 'load with repair="sort"'),
    "missing_value": ("error", 'load with repair="prices", which leaves these rows out'),
    "non_positive_price": ("error", 'load with repair="prices", which leaves these rows out'),
    "negative_volume": ("error", "correct the file: volume counts units traded"),
    "ohlc_violation": ("error", "high below or low above open or close: adjust all four together"),
    "unadjusted_split": ("error", "adjust the prices before that date for the split"),
    "rows_before_listing": ("error", "delete the rows: the asset was not traded yet"),
    "rows_after_delisting": ("error", "delete the rows: the asset was traded no more"),
    "gap": ("warning", "the asset is not tradable on these rows"),
    "missing_session": ("warning", "no asset has a row on these sessions of the exchange"),
    "extra_session": ("warning", "the exchange was closed: is it the right one?"),
    "segment_border": ("note", "the clock has a gap: no window, feature or episode crosses it"),
    "zero_volume": ("warning", "nothing was traded on these rows: the price is indicative"),
    "flat_row": ("warning", "open, high, low and close are one number: the price is indicative"),
    "late_listing": ("note", "not tradable before; start later for a balanced panel"),
    "early_delisting": ("note", "not tradable after"),
}
"""Kind of finding -> its severity and what to do."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing.

    Attributes:
        kind: a key of `RULES`.
        asset: whom it concerns; empty for the whole set.
        first: ISO date of the first row.
        count: number of rows, or of sessions.
        severity: "error", "warning" or "note".
        hint: what to do.
        detail: the first row in words, where there is more to say.
    """

    kind: str
    asset: str
    first: str
    count: int
    severity: str
    hint: str
    detail: str = ""


@dataclass(frozen=True)
class Report:
    """The quality of one data set.

    Attributes:
        name: of the data.
        exchange: calendar it was held against; empty for none.
        start, end: first and last timestamp, ISO; empty where there is no row.
        rows, assets: size of the panel.
        findings: errors first, then warnings, then notes.
    """

    name: str
    exchange: str
    start: str
    end: str
    rows: int
    assets: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether there is nothing above a note."""
        return all(one.severity == "note" for one in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The report ready for JSON."""
        return asdict(self) | {"clean": self.clean}


def finding(kind: str, asset: str, first: str, count: int, detail: str = "") -> Finding:
    """A finding with the severity and the hint of its kind."""
    severity, hint = RULES[kind]
    return Finding(kind, asset, first, count, severity, hint, detail)


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Errors first, then by kind, asset and date."""
    weight = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(findings, key=lambda f: (weight[f.severity], f.kind, f.asset, f.first)))
