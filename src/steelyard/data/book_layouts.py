"""How files write order books: which column holds what.

Three ways are known, told apart by the names of the columns:

* this package's own: `bid_1`, `bid_size_1`, `bid_limit_1`, ..., with `buys`, `sells`, `trades`;
* `bid1_price`, `bid1_size`, ..., as many exchanges' archives have them;
* that of the Kaggle set martinsn/high-frequency-crypto-limit-order-book-data: the mid, and per
  level the distance from it as a fraction (bids below 0) and the notional, which is size times
  price; levels count from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from steelyard.data.book_rows import FLOWS, SIDES
from steelyard.errors import DataError

CLOCKS = ("timestamp", "system_time", "datetime", "date", "time", "timestamp_ms")
_KINDS = {"price": "", "": "", "size": "size_", **{flow: f"{flow}_" for flow in FLOWS}}
_NUMBERED = re.compile(r"(bid|ask)s?_(?:(price|size|limit|cancel|market)_)?(\d+)")
_WORDED = re.compile(r"(bid|ask)s?_?(\d+)_(price|size)")
_DISTANCES = re.compile(r"(bid|ask)s_(distance|(?:(?:limit|cancel|market)_)?notional)_(\d+)")
_TOTALS = {"n_trades": "trades", "trades": "trades", "buys": "buys", "sells": "sells"}
_VOLUMES = {"buy_volume": "buys", "sell_volume": "sells"}


@dataclass(frozen=True)
class Layout:
    """How a file writes a book.

    Attributes:
        clock: column of the times; `row` for a file that only counts its rows.
        names: field of a book panel -> column of the file.
        depth: levels per side.
        relative: the file has the mid, distances from it as fractions, and sizes times prices.
        volumes: those of `names` that count units of the asset, not quote currency.
    """

    clock: str
    names: Mapping[str, str]
    depth: int
    relative: bool
    volumes: tuple[str, ...] = ()


def layout_of(columns: Sequence[str], place: str) -> Layout:
    """The layout of a file with these columns.

    Raises:
        DataError: there are no prices and sizes of both sides, or no times.
    """
    relative = "midpoint" in columns and any(_DISTANCES.fullmatch(name) for name in columns)
    found = {key: name for name in columns for key in _field(name, relative=relative)}
    lowest = 0 if any(key.endswith("_0") for key in found) else 1
    names = {re.sub(r"\d+$", lambda m: str(int(m[0]) + 1 - lowest), k): v for k, v in found.items()}
    depth = 0
    while all(f"{side}_{what}{depth + 1}" in names for side in SIDES for what in ("", "size_")):
        depth += 1
    if depth == 0:
        raise DataError(
            f"{place} is no order book: it has no prices and sizes of both sides",
            hint="columns bid_1, bid_size_1, ask_1, ask_size_1, ..., or those of the Kaggle set",
        )
    clock = next((name for name in (*CLOCKS, "row") if name in columns), "")
    if not clock:
        raise DataError(f"{place} has no column of times", hint=f"one of {', '.join(CLOCKS)}")
    totals = {field: name for name, field in _TOTALS.items() if name in columns}
    volumes = {f: name for name, f in _VOLUMES.items() if name in columns and f not in totals}
    return Layout(clock, names | totals | volumes, depth, relative, tuple(volumes))


def _field(name: str, *, relative: bool) -> Iterator[str]:
    """The field that a column holds, with the number of the file; nothing where it holds none."""
    if relative:
        if match := _DISTANCES.fullmatch(name):
            what = match[2].removesuffix("notional")
            kind = "" if what == "distance" else (what or "size_")
            yield f"{match[1]}_{kind}{match[3]}"
    elif match := _NUMBERED.fullmatch(name):
        yield f"{match[1]}_{_KINDS[match[2] or '']}{match[3]}"
    elif match := _WORDED.fullmatch(name):
        yield f"{match[1]}_{_KINDS[match[3]]}{match[2]}"


def is_flow(field: str) -> bool:
    """Whether a field is about what happened since the row before."""
    return field in ("buys", "sells", "trades") or any(f"_{flow}_" in field for flow in FLOWS)
