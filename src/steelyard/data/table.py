"""Price tables as they lie in files: reading them, naming every bad row, turning them to a panel.

A table is long: one row per date and asset. Reading does not judge: what is wrong with the rows
comes back as a list of `Defect`, so that a source can refuse the first and a report can show all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steelyard.data.adjust import PRICES, adjust
from steelyard.data.dates import read_dates
from steelyard.errors import DataError, MissingDataError
from steelyard.registry import did_you_mean
from steelyard.types import Floats, Panel

if TYPE_CHECKING:
    import polars as pl

REQUIRED = ("date", *PRICES, "volume")
OPTIONAL = ("adj_close", "vix")
SUFFIXES = (".csv", ".parquet")
_ALIASES = {
    "ticker": "tic",
    "symbol": "tic",
    "datetime": "date",
    "timestamp": "date",
    "adjclose": "adj_close",
    "adjusted_close": "adj_close",
}
_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "None"]


@dataclass(frozen=True)
class Defect:
    """Rows of a file that cannot stand: the first of them, and how many there are.

    Attributes:
        kind: what is wrong ("duplicate", "unsorted", "missing_value", ...).
        file: name of the file.
        line: line of the first row, counted as an editor does (a CSV header is line 1).
        asset: ticker of the rows; empty where it does not matter.
        date: ISO date of the first row; empty where it cannot be read.
        message: the first row in words.
        count: number of rows.
        hint: what to do about it.
    """

    kind: str
    file: str
    line: int
    asset: str
    date: str
    message: str
    count: int
    hint: str

    def __str__(self) -> str:
        bar = " ".join(part for part in (self.date, self.asset) if part)
        place = f" ({bar})" if bar else ""
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        return f"{self.file} line {self.line}{place}: {self.message}{more}"


@dataclass(frozen=True)
class Table:
    """Rows of one or several files.

    Attributes:
        frame: columns file, line, date (Datetime), tic, open, high, low, close, volume (Float64),
            and adj_close, vix where the file has them. An empty number is null.
        defects: rows with a cell that cannot be read; they are not in `frame`.
    """

    frame: pl.DataFrame
    defects: tuple[Defect, ...]


def find_files(request: str | Path | Sequence[str | Path]) -> list[Path]:
    """The price files that `request` names: a file, a folder of files, or several of these.

    Raises:
        MissingDataError: a path does not exist, or a folder holds no CSV or Parquet file.
        DataError: a file is neither CSV nor Parquet.
    """
    if not isinstance(request, str | Path):
        return [path for part in request for path in find_files(part)]
    path = Path(request)
    if path.is_dir():
        found = sorted(child for child in path.iterdir() if child.suffix.lower() in SUFFIXES)
        if not found:
            raise MissingDataError(f"the folder {path} holds no .csv and no .parquet file")
        return found
    if not path.is_file():
        near = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
        raise MissingDataError(
            f"no file {path}",
            hint=did_you_mean(path.name, near) if near else "check the path",
        )
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path.name} is neither .csv nor .parquet", hint="convert it to CSV")
    return [path]


def read_table(paths: Sequence[Path]) -> Table:
    """Read `paths` into one table; a file without a column `tic` is the asset of its own name.

    Column names match in any case, with blanks for underscores, and as ticker, symbol, datetime,
    timestamp; columns that are not known are ignored.

    Raises:
        DataError: a file cannot be read, holds no row, or lacks a column.
    """
    import polars as pl

    tables = [_read_one(path) for path in paths]
    frame = pl.concat([table.frame for table in tables], how="diagonal")
    return Table(frame, tuple(defect for table in tables for defect in table.defects))


def to_panel(frame: pl.DataFrame, *, how: str, name: str, sha256: str) -> Panel:
    """The panel of a table without defects: assets in alphabetical order, absent rows NaN.

    Args:
        frame: date, tic and number columns; at most one row per date and asset.
        how: what to do with adj_close, see `adjust`.
        name: of the panel.
        sha256: of the source.
    """
    stamps, row = np.unique(frame["date"].to_numpy(), return_inverse=True)
    assets, column = np.unique(frame["tic"].cast(str).to_numpy(), return_inverse=True)
    fields: dict[str, Floats] = {}
    for field in frame.columns:
        if field in (*PRICES, "volume", "adj_close"):
            fields[field] = np.full((len(stamps), len(assets)), np.nan)
            fields[field][row, column] = frame[field].cast(float).to_numpy()
    context = {}
    if "vix" in frame.columns:
        context["vix"] = _one_per_date(frame["vix"].cast(float).to_numpy(), row, stamps)
    days = stamps.astype("datetime64[D]")
    return Panel(
        timestamps=days if bool((days == stamps).all()) else stamps,
        assets=tuple(str(asset) for asset in assets),
        fields=adjust(fields, how),
        context=context,
        name=name,
        sha256=sha256,
    )


def _one_per_date(values: Floats, row: np.ndarray, stamps: np.ndarray) -> Floats:
    series = np.full(len(stamps), np.nan)
    known = np.isfinite(values)
    series[row[known]] = values[known]
    differs = known & (series[row] != values)
    if differs.any():
        day = np.datetime64(stamps[row[np.argmax(differs)]], "D")
        raise DataError(
            f"column vix has different values on {day}",
            hint="vix is one number per date, the same for every asset",
        )
    return series


def _read_one(path: Path) -> Table:
    import polars as pl

    raw = _read_raw(path)
    lines = raw.with_row_index("line", offset=2 if path.suffix.lower() == ".csv" else 1)
    wanted = [c for c in (*REQUIRED, *OPTIONAL) if c in raw.columns]
    lines = lines.filter(~pl.all_horizontal(pl.col(raw.columns).is_null()))  # blank lines
    asset = pl.col("tic") if "tic" in raw.columns else pl.lit(path.stem)
    texts = lines.select(
        pl.lit(path.name).alias("file"), "line", asset.cast(pl.String).alias("tic"), *wanted
    )
    frame = texts.with_columns(
        read_dates(texts["date"]),
        *(pl.col(c).cast(pl.Float64, strict=False) for c in wanted if c != "date"),
    )
    defects = []
    readable = pl.repeat(True, len(frame), eager=True)
    for column in ("tic", *wanted):
        unread = frame[column].is_null()
        if column not in ("tic", "date"):
            unread &= texts[column].is_not_null()  # an empty number is judged with the rows
        if unread.any():
            defects.append(_unread(texts.filter(unread), column))
        readable &= ~unread
    return Table(frame.filter(readable), tuple(defects))


def _unread(bad: pl.DataFrame, column: str) -> Defect:
    what = {"date": "a date", "tic": "a name"}.get(column, "a number")
    value = bad[column][0]
    return Defect(
        kind="unreadable",
        file=bad["file"][0],
        line=bad["line"][0],
        asset=bad["tic"][0] or "",
        date="" if column == "date" else str(bad["date"][0] or ""),
        message=f"{column} is {f'`{value}`' if value is not None else 'empty'}, not {what}",
        count=len(bad),
        hint="write dates as 2020-01-31" if column == "date" else "correct or delete the row",
    )


def _read_raw(path: Path) -> pl.DataFrame:
    import polars as pl

    try:
        if path.suffix.lower() == ".csv":
            raw = pl.read_csv(path, infer_schema=False, null_values=_MISSING)
        else:
            raw = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(
            f"{path.name} cannot be read: {reason}",
            hint="is it a table, with as many cells in every row as in the first?",
        ) from error
    names = {column: column.strip().lower().replace(" ", "_") for column in raw.columns}
    names = {column: _ALIASES.get(name, name) for column, name in names.items()}
    doubled = [name for name in names.values() if list(names.values()).count(name) > 1]
    if set(doubled) & {"tic", *REQUIRED, *OPTIONAL}:
        raise DataError(f"{path.name} has two columns for `{doubled[0]}`", hint="delete one")
    raw = raw.rename({old: new for old, new in names.items() if new not in doubled})
    missing = [column for column in REQUIRED if column not in raw.columns]
    if missing:
        raise DataError(
            f"{path.name} has no column {', '.join(f'`{column}`' for column in missing)}",
            hint=f"it has {', '.join(raw.columns)}; needed: date,tic,open,high,low,close,volume",
        )
    if raw.is_empty():
        raise DataError(f"{path.name} has no rows", hint="one row per date and asset is needed")
    return raw
