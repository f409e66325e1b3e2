"""The order book on the device, and `build_book`: its door from the host.

In a book money is counted like this where it is exact: a price is a whole number of half ticks, so
that the mid is one too; a size is a whole number of lots; and the smallest amount is half a tick
times a lot, 5e-9 at a tick of 0.01 and a lot of 1e-6. All are held in float64 below 2**53.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from steelyard.errors import ConfigError, DataError, MissingDataError
from steelyard.types import Floats, Panel

Precision = Literal["float32", "float64", "exact"]
Rows: TypeAlias = NDArray[np.int64]

LARGEST = 2**53
"""Whole numbers below it are exact in float64."""

MOST_ROWS = 2**24
"""Rows of one market: numbers of rows are held beside prices, in float32 where these are."""


class BookMarket(eqx.Module):
    """What book environments trade on: row t is the book that is known at time t.

    Attributes:
        bid, ask: (T, L) price of each level, from the best.
        bid_size, ask_size: (T, L) base units on offer there; 0 where the level is not there.
        mark: (T,) mid of the best prices, at which a position is valued.
        segment: (T,) 0, 1, 2...: between rows of one segment there is no gap.
        left: (T,) rows that the segment still has after this one.
        jump: (T,) rows from here to where a later segment starts; to the last row in the last one.
        wait: (T,) rows from here to the first one of the segment that is warmed up; 0 after it.
        table: (T, D) float32 market part of the observation; 0 on rows that are not warmed up,
            which no episode observes.
        first: () first row on which everything is warmed up.
        money: () smallest amounts in one unit of quote currency: 1 in float money. An array,
            because XLA multiplies by the inverse of a constant, which rounds differently.
        lots: () lots in one base unit: 1 in float money.
        exact: whether money is whole; see the head of this file.
        columns: D names of the columns of `table`; empty where not given.
    """

    bid: Float[Array, "T L"]
    ask: Float[Array, "T L"]
    bid_size: Float[Array, "T L"]
    ask_size: Float[Array, "T L"]
    mark: Float[Array, " T"]
    segment: Int[Array, " T"]
    left: Int[Array, " T"]
    jump: Int[Array, " T"]
    wait: Int[Array, " T"]
    table: Float[Array, "T D"]
    first: Int[Array, ""]
    money: Float[Array, ""]
    lots: Float[Array, ""]
    exact: bool = eqx.field(static=True, default=False)
    columns: tuple[str, ...] = eqx.field(static=True, default=())

    @property
    def rows(self) -> int:
        """T, the number of rows."""
        return int(self.mark.shape[0])

    @property
    def assets(self) -> int:
        """1: a book is that of one asset."""
        return 1

    @property
    def levels(self) -> int:
        """L, the number of levels on each side."""
        return int(self.bid.shape[1])

    def showing(self, table: NDArray[np.float32], columns: Sequence[str]) -> BookMarket:
        """The same market with another table of observations (T, D) and its D names."""
        return replace(self, table=jnp.asarray(table, jnp.float32), columns=tuple(columns))

    def of_rows(self, rows: Rows, span: Rows) -> BookMarket:
        """A market of copies of some rows, in which no number of another row is left.

        Where the gaps are is worked out from these rows alone; the end of a span of rows is one.

        Args:
            rows: (S,) rows to copy.
            span: (S,) number of the span of rows that each belongs to; negative where a row only
                fills up a shape, behind all others.
        """
        own = int((span >= 0).sum())
        kept, fill = rows[:own], (0, len(rows) - own)
        border = np.diff(np.asarray(self.segment)[kept]) + np.diff(span[:own]) > 0
        segment = np.append(0, np.cumsum(border))
        *gaps, following = _gaps(segment, np.asarray(self.wait)[kept] == 0)
        first = np.append(following, own)[np.searchsorted(kept, int(self.first))]
        clock = [np.pad(segment, fill, "edge"), *(np.pad(one, fill) for one in gaps), first]
        with jax.enable_x64(self.mark.dtype == jnp.float64):
            picked = jax.tree.map(
                lambda leaf: jnp.asarray(np.asarray(leaf)[rows] if leaf.ndim else leaf), self
            )
        made: BookMarket = eqx.tree_at(
            lambda m: (m.segment, m.left, m.jump, m.wait, m.first),
            picked,
            [jnp.asarray(one, jnp.int32) for one in clock],
        )
        return made


def build_book(
    panel: Panel,
    table: NDArray[np.float32] | None = None,
    *,
    levels: int | None = None,
    tick: float = 1e-2,
    lot: float = 1e-6,
    precision: Precision = "float32",
    first: int = 0,
    columns: Sequence[str] = (),
) -> BookMarket:
    """Move a panel of books to the device.

    Args:
        panel: one asset with `bid_1`.., `ask_1`.. (quote currency) and `bid_size_1`..,
            `ask_size_1`.. (base units), level 1 the best; one below it may be NaN, which is not
            there. `segment` in its context tells rows with a gap between them apart.
        table: (T, D) market part of the observation. NaN at the start of a segment is its
            warm-up: no decision is made there.
        levels: how many levels orders may walk; all that the panel has where omitted.
        tick, lot: smallest step of prices (quote currency) and of sizes (base units). Exact money
            rounds prices to the nearest tick and sizes down to whole lots.
        precision: "float32" for training, "float64", or "exact" for scored backtests. The two
            latter need `jax.enable_x64` around their use.
        first: first row on which an episode may start.
        columns: D names of the columns.

    Raises:
        MissingDataError: a field is missing, a best price is, or nothing is left after the warm-up.
        DataError: a book is crossed or unsorted, a size negative, or the table has a gap.
        ConfigError: settings that cannot hold: a tick wider than the spread, a lot so fine that a
            size leaves the whole numbers of float64, shapes that do not fit.
    """
    exact = precision == "exact"
    table = _require_shapes(panel, table, columns, precision)
    bid, ask, bid_size, ask_size = read_levels(panel, levels)
    segment, left, jump, wait, ready = _schedule(panel, table, first)
    if exact:
        bid, ask = _half_ticks(bid, ask, tick)
        bid_size, ask_size = _whole_lots(bid_size, lot), _whole_lots(ask_size, lot)
    seen = np.where(np.isfinite(table), table, 0)  # 0 * NaN would reach a network's first layer
    real = np.float32 if precision == "float32" else np.float64
    with jax.enable_x64(precision != "float32"):
        return BookMarket(
            bid=jnp.asarray(bid, real),
            ask=jnp.asarray(ask, real),
            bid_size=jnp.asarray(bid_size, real),
            ask_size=jnp.asarray(ask_size, real),
            mark=jnp.asarray((bid[:, 0] + ask[:, 0]) / 2, real),
            segment=jnp.asarray(segment, jnp.int32),
            left=jnp.asarray(left, jnp.int32),
            jump=jnp.asarray(jump, jnp.int32),
            wait=jnp.asarray(wait, jnp.int32),
            table=jnp.asarray(seen, jnp.float32),
            first=jnp.asarray(ready, jnp.int32),
            money=jnp.asarray(_inverse(tick) * 2 * _inverse(lot) if exact else 1, real),
            lots=jnp.asarray(_inverse(lot) if exact else 1, real),
            exact=exact,
            columns=tuple(columns),
        )


def _require_shapes(
    panel: Panel, table: NDArray[np.float32] | None, columns: Sequence[str], precision: str
) -> NDArray[np.float32]:
    """The table, empty where there is none; refuses what does not fit together."""
    table = np.zeros((len(panel), 0), np.float32) if table is None else table
    if precision not in ("float32", "float64", "exact"):
        raise ConfigError(f"no precision named `{precision}`", hint="use float32, float64 or exact")
    rows = len(panel)
    if rows > MOST_ROWS:
        raise ConfigError(f"{rows:,} rows are more than {MOST_ROWS:,}", hint="panel.rows(a, b)")
    if len(table) != rows:
        raise ConfigError(f"the table has {len(table)} rows, the panel {rows}")
    if columns and len(columns) != table.shape[1]:
        raise ConfigError(f"the table has {table.shape[1]} columns, and {len(columns)} names")
    return table


def read_levels(panel: Panel, levels: int | None = None) -> tuple[Floats, Floats, Floats, Floats]:
    """Bids, asks and their sizes, (T, L) each; a level that is not there has size 0.

    Raises:
        MissingDataError, DataError, ConfigError: see `build_book`.
    """
    if len(panel.assets) != 1:
        raise ConfigError(
            f"a book market has one asset, panel `{panel.name}` has {len(panel.assets)}",
            hint=f'panel.select(["{panel.assets[0]}"])' if panel.assets else "",
        )
    held = 0
    while f"bid_{held + 1}" in panel.fields:
        held += 1
    wanted = held if levels is None else levels
    if not 1 <= wanted <= max(held, 1):
        raise ConfigError(f"{wanted} levels of {held} are wanted", hint=f"levels={held}")
    bid, ask, bid_size, ask_size = (
        np.hstack([panel[f"{side}_{level}"] for level in range(1, wanted + 1)])
        for side in ("bid", "ask", "bid_size", "ask_size")
    )
    there = [np.isfinite(price) & np.isfinite(size) for price, size in
             ((bid, bid_size), (ask, ask_size))]  # fmt: skip
    sides = [np.where(known, size, 0.0) for known, size in zip(there, (bid_size, ask_size))]
    _require_books(panel.name, bid, ask, *sides)
    # the price of a level that is not there is never paid, but arithmetic passes over it
    bid, ask = (np.where(known, price, price[:, :1]) for known, price in zip(there, (bid, ask)))
    return bid, ask, sides[0], sides[1]


def _require_books(name: str, bid: Floats, ask: Floats, bid_size: Floats, ask_size: Floats) -> None:
    """Best prices are there and do not cross, levels are sorted, sizes are not negative."""
    missing = ~(np.isfinite(bid[:, 0]) & np.isfinite(ask[:, 0]))
    missing |= ~((bid_size[:, 0] > 0) & (ask_size[:, 0] > 0))
    faults: dict[str, tuple[NDArray[np.bool_], type[DataError]]] = {
        "lacks its best level": (missing, MissingDataError),
        "is crossed (bid above ask)": (bid[:, 0] > ask[:, 0], DataError),
        "has a price that is not positive": (
            np.asarray((bid <= 0).any(axis=1)),
            DataError,
        ),
        "has unsorted levels": (
            np.asarray(
                (bid > np.fmin.accumulate(bid, axis=1)).any(axis=1)
                | (ask < np.fmax.accumulate(ask, axis=1)).any(axis=1)
            ),
            DataError,
        ),
        "has a negative size": (
            np.asarray(((bid_size < 0) | (ask_size < 0)).any(axis=1)),
            DataError,
        ),
    }
    for fault, (rows, kind) in faults.items():
        if rows.any():
            raise kind(
                f"panel `{name}`: {rows.sum()} of {len(rows)} books: the one at row "
                f"{int(np.argmax(rows))} {fault}",
                hint="repair the source, or drop these rows and mark the gaps (`segment`)",
            )


def _segments(panel: Panel) -> Rows:
    """(T,) 0, 1, 2..., whatever the numbers in the panel are after rows were cut off."""
    if "segment" not in panel.context:
        return np.zeros(len(panel), np.int64)
    changes = np.diff(panel["segment"], prepend=panel["segment"][:1]) != 0
    return np.cumsum(changes)


def _schedule(
    panel: Panel, table: NDArray[np.float32], first: int
) -> tuple[Rows, Rows, Rows, Rows, int]:
    """`segment`, `left`, `jump` and `wait` of `BookMarket`, and the first warmed-up row."""
    name, segment = panel.name, _segments(panel)
    row, ready = np.arange(len(segment)), np.asarray(np.isfinite(table).all(axis=1))
    left, jump, wait, following = _gaps(segment, ready)
    warm = following[np.searchsorted(segment, segment, side="left")]
    if (holes := ~ready & (row > warm)).any():
        raise DataError(
            f"the table of panel `{name}` has a gap at row {int(np.argmax(holes))}, after the "
            f"warm-up of its segment",
            hint="a feature that is not known on every row cannot be observed: leave it out",
        )
    if first >= len(row) or following[first] >= len(row) - 1:
        raise MissingDataError(
            f"panel `{name}` has {len(row)} rows, of which none is left after the warm-up",
            hint="load more rows, or choose features with a shorter warm-up",
        )
    return segment, left, jump, wait, int(following[first])


def _gaps(segment: Rows, ready: NDArray[np.bool_]) -> tuple[Rows, Rows, Rows, Rows]:
    """`left`, `jump` and `wait` of `BookMarket`, from nothing but the rows that there are.

    Args:
        segment: (T,) 0, 1, 2...
        ready: (T,) whether a row is warmed up.

    Returns:
        Behind these three the first warmed-up row from each row on; T where there is none.
    """
    row = np.arange(len(segment))
    end = np.searchsorted(segment, segment, side="right") - 1
    following = np.minimum.accumulate(np.where(ready, row, len(row))[::-1])[::-1]
    after = np.append(following, len(row))[end + 1]
    jump = np.minimum(after, len(row) - 1) - row
    # a segment that never warms up is waited out to the start of the next that does
    wait = np.where(ready, 0, np.minimum(following, len(row) - 1) - row)
    return end - row, jump, wait, following


def _inverse(step: float) -> float:
    """How many steps one unit has, without the rounding error of a step like 1e-6."""
    return float(f"{1 / step:.12g}")


def _half_ticks(bid: Floats, ask: Floats, tick: float) -> tuple[Floats, Floats]:
    """Prices in half ticks, each on its nearest whole tick.

    Raises:
        ConfigError: the tick is so wide that it closes a spread, or not positive.
    """
    if not tick > 0:
        raise ConfigError(f"the tick must be positive, got {tick}", hint="tick=0.01")
    low, high = (2 * np.round(price / tick) for price in (bid, ask))
    closed = (low[:, 0] == high[:, 0]) & (bid[:, 0] < ask[:, 0])
    if closed.any() or (low <= 0).any():
        raise ConfigError(
            f"a tick of {tick:g} is wider than the spread of {closed.sum()} books",
            hint=f"tick={tick / 10:g}",
        )
    return low, high


def _whole_lots(size: Floats, lot: float) -> Floats:
    """Sizes in whole lots, rounded down; a millionth of a lot is a rounding error of the source.

    Raises:
        ConfigError: the lot is not positive, or so fine that a depth leaves the whole numbers.
    """
    if not lot > 0:
        raise ConfigError(f"the lot must be positive, got {lot}", hint="lot=1e-6")
    lots = np.floor(size / lot + 1e-6)
    if (most := lots.sum(axis=1).max()) >= LARGEST:
        raise ConfigError(
            f"a side of a book holds {most:.3g} lots of {lot:g}, more than 2**53",
            hint=f"coarsen the lot: lot={lot * 10 ** np.ceil(np.log10(most / LARGEST)):g}",
        )
    return np.asarray(lots)
