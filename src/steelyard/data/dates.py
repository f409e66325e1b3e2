"""Dates as files write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_ZONE = r"(:\d\d(?:\.\d+)?)(Z|[+-]\d\d:?\d\d)$"


def read_dates(values: pl.Series, *, days: bool = True) -> pl.Series:
    """Dates as Datetime[us] without zone; null where they cannot be read.

    Text may be 2020-01-31, 20200131, or a date and time with or without a UTC offset. Bars that
    all carry midnight of their own zone are days and keep their date; other times become UTC,
    and where `days` is not set, all do.
    """
    import polars as pl

    if isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone is not None:
        wall = values.dt.replace_time_zone(None)
        aware = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return (wall if days and _midnight(wall) else aware).cast(pl.Datetime("us"))
    if values.dtype.is_temporal():
        return values.cast(pl.Datetime("us"))
    text = values.cast(pl.String).str.strip_chars().str.replace("T", " ", literal=True)
    bare = text.str.replace(_ZONE, "${1}")
    wall = pl.select(
        pl.coalesce(
            bare.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")),
            bare.str.to_date("%Y%m%d", strict=False).cast(pl.Datetime("us")),
            bare.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False),
            bare.str.to_datetime("%Y-%m-%d %H:%M", time_unit="us", strict=False),
        )
    ).to_series()
    if days and _midnight(wall):
        return wall.rename(values.name)
    return (wall - _offset(text)).rename(values.name)


def _offset(text: pl.Series) -> pl.Series:
    """How far the zone named at the end of `text` is ahead of UTC; zero where none is named."""
    import polars as pl

    digits = text.str.extract(_ZONE, 2).str.replace(":", "", literal=True)
    hours = digits.str.slice(0, 3).cast(pl.Int64, strict=False)
    minutes = digits.str.slice(0, 1) + digits.str.slice(3)
    total = hours * 60 + minutes.cast(pl.Int64, strict=False)
    return (total * 60_000_000).fill_null(0).cast(pl.Duration("us"))


def _midnight(stamps: pl.Series) -> bool:
    return bool((stamps.dt.truncate("1d") == stamps).drop_nulls().all())
