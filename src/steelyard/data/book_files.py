"""Files of order books, read in chunks.

The memory that reading takes is that of the columns asked for and of one chunk, however large the
file is.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steelyard.data.book_layouts import Layout, is_flow, layout_of
from steelyard.data.book_rows import SIDES, BookRows
from steelyard.data.books import Duration, duration
from steelyard.data.dates import read_dates
from steelyard.data.progress import tell
from steelyard.errors import ConfigError, DataError
from steelyard.types import Floats

if TYPE_CHECKING:
    import polars as pl

SPARE = 2
"""Levels read behind those that are kept, for `repair="levels"`."""

_CHUNK = 1 << 22  # bytes of text
_ROWS = 1 << 16  # rows of Parquet
_ABSENT = -1
_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "None"]


def read_book(
    path: Path,
    *,
    levels: int | None,
    spare: int = 0,
    flows: bool = True,
    tick: float = 0.0,
    start: str = "2000-01-01",
    every: Duration = "1s",
) -> tuple[BookRows, str]:
    """The rows of a CSV or Parquet file, and the sha256 of the file.

    Args:
        path: the file.
        levels: per side; None for five, or for all where there are fewer.
        spare: levels to read behind these, where there are any.
        flows: whether to read what was placed, cancelled, taken and traded.
        tick: prices are rounded to whole ticks; 0 leaves them as they are.
        start, every: the nominal clock of a file that only counts its rows.

    Raises:
        DataError: the file is no book, has fewer levels, or prices off the grid of `tick`.
    """
    head = _columns(path)
    layout = layout_of(head, path.name)
    kept = min(5, layout.depth) if levels is None else levels
    if not 1 <= kept <= layout.depth:
        raise DataError(
            f"{path.name} has {layout.depth} levels per side, not {kept}",
            hint=f"levels={layout.depth}",
        )
    if not 0.0 <= tick < np.inf:
        raise ConfigError(f"a tick must not lie below 0, got {tick}", hint="tick=0.01")
    read = min(kept + spare, layout.depth)
    wanted = {
        field: name
        for field, name in layout.names.items()
        if int(re.sub(r"\D", "", field) or 0) <= read and (flows or not is_flow(field))
    }
    total, sha256 = _measure(path)
    stamps = np.empty(total, dtype="datetime64[us]")
    columns = {field: np.empty(total) for field in wanted}
    done = 0
    mid = ["midpoint"] if layout.relative else []
    for chunk in _chunks(path, [layout.clock, *mid, *wanted.values()], total):
        rows = slice(done, done + len(chunk))
        stamps[rows] = _times(chunk[layout.clock], start, every)
        for field, values in _fields(chunk, layout, wanted, read, tick, path.name, done).items():
            columns[field][rows] = values
        done += len(chunk)
        tell(f"reading {path.name}", done, total)
    columns = {field: values[:done] for field, values in columns.items()}
    return BookRows(stamps[:done], columns, read, path.name), sha256


def on_grid(prices: Floats, tick: float) -> Floats:
    """Prices rounded to whole ticks, as the decimals that people write."""
    per_unit = round(1.0 / tick)
    if per_unit >= 1 and abs(per_unit * tick - 1.0) < 1e-9:
        return np.asarray(np.rint(prices * per_unit) / per_unit)
    return np.asarray(np.rint(prices / tick) * tick)


def _fields(
    chunk: pl.DataFrame,
    layout: Layout,
    wanted: Mapping[str, str],
    levels: int,
    tick: float,
    place: str,
    before: int,
) -> dict[str, Floats]:
    """The fields of a book panel from the columns of a file."""
    found = {field: chunk[name].to_numpy() for field, name in wanted.items()}
    prices = [f"{side}_{k + 1}" for side in SIDES for k in range(levels)]
    with np.errstate(invalid="ignore", divide="ignore"):  # judged with the rows
        if layout.relative:
            mid = chunk["midpoint"].to_numpy()
            mid = on_grid(mid, tick / 2.0) if tick else mid
            found |= {name: mid * (1.0 + found[name]) for name in prices}
        if tick:
            found |= {name: _snapped(found[name], name, tick, place, before) for name in prices}
        if layout.relative:
            for name in prices:
                size = name.replace("_", "_size_")
                found[size] = found[size] / found[name]
        middle = (found["bid_1"] + found["ask_1"]) / 2.0
        found |= {f: found[f] * middle for f in layout.volumes if f in found}
    return found


def _snapped(prices: Floats, name: str, tick: float, place: str, before: int) -> Floats:
    rounded = on_grid(prices, tick)
    off = np.abs(rounded - prices) > tick / 4.0
    if off.any():
        row = int(np.argmax(off))
        raise DataError(
            f"{place} row {before + row + 1}: {name} is {prices[row]:.10g}, "
            f"no whole number of ticks of {tick:g}",
            hint="give the tick of the venue, or none",
        )
    return rounded


def _times(values: pl.Series, start: str, every: Duration) -> np.ndarray:
    """Times as datetime64[us], NaT where they cannot be read; whole numbers count from 1970."""
    import polars as pl

    if values.dtype == pl.String and values.str.contains(r"^\d{9,}$").all():
        values = values.cast(pl.Int64)
    if values.name != "row" and not values.dtype.is_integer():
        return read_dates(values, days=False).to_numpy().astype("datetime64[us]")
    counts = values.cast(pl.Int64, strict=False).fill_null(_ABSENT).to_numpy()
    known = counts != _ABSENT
    if values.name == "row":
        try:
            first = np.datetime64(start, "us")
        except ValueError:
            raise ConfigError(f"`{start}` is no time", hint="start=2000-01-01") from None
        times = first + np.where(known, counts, 0) * duration(every)
    else:
        digits = len(str(np.abs(counts[known]).max(initial=0)))
        unit = "s" if digits < 12 else "ms" if digits < 15 else "us" if digits < 18 else "ns"
        times = counts.astype(f"datetime64[{unit}]").astype("datetime64[us]")
    return np.where(known, times, np.datetime64("NaT"))


def _columns(path: Path) -> list[str]:
    """Names of the columns.

    Raises:
        DataError: the file cannot be read.
    """
    import polars as pl

    try:
        if path.suffix.lower() == ".csv":
            with path.open("rb") as file:
                top = io.BytesIO(file.readline() + file.readline())
            frame = pl.read_csv(top, infer_schema=False)
        else:
            frame = pl.scan_parquet(path, glob=False).head(0).collect()
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"{path.name} cannot be read: {reason}", hint="is it a table?") from error
    if frame.is_empty() and path.suffix.lower() == ".csv":
        raise DataError(f"{path.name} has no rows", hint="one row per time is needed")
    return frame.columns


def _measure(path: Path) -> tuple[int, str]:
    """Rows at most, and the sha256."""
    import polars as pl

    hasher, lines, last = hashlib.sha256(), 0, b""
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            hasher.update(block)
            lines += block.count(b"\n")
            last = block[-1:]
    if path.suffix.lower() == ".csv":
        return lines - (last == b"\n"), hasher.hexdigest()
    rows = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    return int(rows), hasher.hexdigest()


def _chunks(path: Path, wanted: Sequence[str], total: int) -> Iterator[pl.DataFrame]:
    """Columns of the file in chunks; numbers as Float64 with NaN where they cannot be read."""
    import polars as pl

    clock = wanted[0]
    numbers = [pl.col(c).cast(pl.Float64, strict=False).fill_null(np.nan) for c in wanted[1:]]
    if path.suffix.lower() != ".csv":
        scan = pl.scan_parquet(path, glob=False).select(clock, *numbers)
        for first in range(0, total, _ROWS):
            yield scan.slice(first, _ROWS).collect()
        return
    types = {clock: pl.String} | dict.fromkeys(wanted[1:], pl.Float64)
    for block in _blocks(path):
        try:
            chunk = pl.read_csv(
                io.BytesIO(block), columns=list(types), schema_overrides=types,
                null_values=_MISSING, ignore_errors=True,
            )  # fmt: skip
        except pl.exceptions.PolarsError as error:
            reason = str(error).strip().split("\n")[0]
            raise DataError(
                f"{path.name} cannot be read: {reason}",
                hint="has every row as many cells as the first?",
            ) from error
        yield chunk.select(clock, *numbers)


def _blocks(path: Path) -> Iterator[bytes]:
    """Whole lines of a text file, each time with its first line in front."""
    with path.open("rb") as file:
        head = file.readline()
        rest = b""
        while block := file.read(_CHUNK):
            lines, newline, rest = (rest + block).rpartition(b"\n")
            if newline:
                yield head + lines + newline
        if rest:
            yield head + rest
