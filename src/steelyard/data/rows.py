"""The rows of a price table: what is wrong with them, and what may be set right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from steelyard.data.adjust import PRICES
from steelyard.data.table import OPTIONAL, Defect
from steelyard.errors import ConfigError
from steelyard.registry import did_you_mean

if TYPE_CHECKING:
    import polars as pl

REPAIRS = {
    "sort": "put the rows of each asset in the order of their dates",
    "duplicates": "keep one of several rows that say the same",
    "prices": "leave out the rows in which a number is empty or a price not above 0",
}
"""What `repair` may say, and what it does."""

_KEY = ("tic", "date")
_HINTS = {
    "missing_value": 'leave out dates on which the asset did not trade, or use repair="prices"',
    "non_positive_price": 'correct the file, or use repair="prices"',
    "negative_volume": "correct the file: volume counts units traded",
    "duplicate": 'delete one, or use repair="duplicates"',
    "conflict": "two rows disagree about one bar: delete the wrong one",
    "unsorted": 'sort the file by date, or use repair="sort"',
}


def row_defects(frame: pl.DataFrame) -> list[Defect]:
    """Every defect of a table's rows, one entry per kind and asset, in the order of the file.

    Kinds: missing_value (empty, NaN or infinite), non_positive_price, negative_volume, duplicate
    (equal rows), conflict (rows of one date and asset that differ), unsorted (a date before the
    one above it, within an asset).
    """
    import polars as pl

    prices = [c for c in (*PRICES, "adj_close") if c in frame.columns]
    absent = {c: pl.col(c).is_null() | ~pl.col(c).is_finite() for c in (*prices, "volume")}
    low = {c: ~absent[c] & (pl.col(c) <= 0) for c in prices}
    found = _group_cells(frame, "missing_value", absent, "is {}")
    found += _group_cells(frame, "non_positive_price", low, "is {}, not above 0")
    negative = {"volume": pl.col("volume") < 0}
    found += _group_cells(frame, "negative_volume", negative, "is {}, below 0")
    again = ~pl.struct(_KEY).is_first_distinct()
    same = ~pl.struct(_content(frame)).is_first_distinct()
    found += _group(frame.filter(again & same), "duplicate", "the row is there twice")
    found += _group(frame.filter(again & ~same), "conflict", "the date is there twice, and differs")
    earlier = pl.col("date") < pl.col("date").shift().over("tic")
    found += _group(frame.filter(earlier), "unsorted", "the date is before that of the row above")
    return sorted(found, key=lambda defect: (defect.file, defect.line))


def parse_repairs(repair: str | Sequence[str]) -> tuple[str, ...]:
    """The names in `repair`, given as a sequence or as text with commas.

    Raises:
        ConfigError: a name is none of `REPAIRS`.
    """
    parts = repair.split(",") if isinstance(repair, str) else list(repair)
    names = tuple(part.strip() for part in parts if part.strip())
    for name in names:
        if name not in REPAIRS:
            raise ConfigError(f"no repair named `{name}`", hint=did_you_mean(name, REPAIRS))
    return names


def repair_rows(frame: pl.DataFrame, repairs: Sequence[str]) -> pl.DataFrame:
    """The table after `repairs`; see `REPAIRS` for what each one does."""
    import polars as pl

    if "prices" in repairs:
        prices = [c for c in (*PRICES, "adj_close") if c in frame.columns]
        good = [pl.col(c).is_finite() & (pl.col(c) > 0) for c in prices]
        frame = frame.filter(pl.all_horizontal(good), pl.col("volume").is_finite())
    if "duplicates" in repairs:
        frame = frame.unique(_content(frame), keep="first", maintain_order=True)
    if "sort" in repairs:
        frame = frame.sort("date", maintain_order=True)
    return frame


def _content(frame: pl.DataFrame) -> list[str]:
    return [c for c in (*_KEY, *PRICES, "volume", *OPTIONAL) if c in frame.columns]


def _group_cells(
    frame: pl.DataFrame, kind: str, bad: Mapping[str, pl.Expr], words: str
) -> list[Defect]:
    """Rows with a bad cell; the message names the first bad cell of the first row."""
    import polars as pl

    value = [
        pl.when(where).then(pl.col(c).cast(pl.String).fill_null("empty"))
        for c, where in bad.items()
    ]
    column = [pl.when(where).then(pl.lit(c)) for c, where in bad.items()]
    text = pl.format(f"{{}} {words}", pl.coalesce(column), pl.coalesce(value))
    rows = frame.filter(pl.any_horizontal(*bad.values()))
    return _group(rows.with_columns(text.alias("message")), kind)


def _group(bad: pl.DataFrame, kind: str, message: str = "") -> list[Defect]:
    """One defect per file and asset; `message` from its column where not given."""
    import polars as pl

    if bad.is_empty():
        return []
    firsts = bad.group_by("file", "tic", maintain_order=True).agg(
        pl.col("line").first(),
        pl.col("date").first(),
        (pl.lit(message) if message else pl.col("message")).first().alias("message"),
        pl.len().alias("count"),
    )
    return [
        Defect(
            kind=kind,
            file=row["file"],
            line=row["line"],
            asset=row["tic"],
            date=str(row["date"]).removesuffix(" 00:00:00"),
            message=row["message"],
            count=row["count"],
            hint=_HINTS[kind],
        )
        for row in firsts.iter_rows(named=True)
    ]
