"""The market on the device, and `build_market`: the one door from the host to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from steelyard.errors import ConfigError, MissingDataError
from steelyard.lanes import take_row
from steelyard.ledger import MONEY, TICK, TICK_MONEY
from steelyard.types import Floats, Panel

Fill = Literal["next_open", "same_close"]
Precision = Literal["float32", "float64", "exact"]


class Quotes(NamedTuple):
    """Prices of one row; see `Market`."""

    bid: Float[Array, " N"]
    ask: Float[Array, " N"]
    tradable: Bool[Array, " N"]


class Market(eqx.Module):
    """What environments trade on: row t holds the prices of a decision taken at the close of bar t.

    Attributes:
        bid, ask: (T, N) price at which an order decided at row t sells and buys one unit. With
            `fill="next_open"` that is the open of bar t+1; with "same_close" the close of bar t. 0
            where an order cannot fill.
        mark: (T, N) price at which holdings are valued at the close of bar t: the last observed
            close of that asset, 0 before its listing.
        tradable: (T, N) whether an order decided at row t can fill.
        table: (T, D) float32 market part of the observation, the same for all environments.
        gauges: name -> (T,) raw market-wide series that risk gates read (`turbulence`, `vix`);
            NaN = unknown, and a gate never fires on it.
        first: () first row on which everything is warmed up.
        money: () what the prices count for one unit of quote currency: 1, or `ledger.MONEY`. An
            array, because XLA multiplies by the inverse of a constant, which rounds differently.
        exact: prices are whole ticks counted in the smallest amounts of `ledger`, held in float64.
        columns: D names of the columns of `table`, "macd/AAPL" or "vix"; empty where not given.
        two_sided: `bid` differs from `ask`. Where it does not a step reads only one of them.
    """

    bid: Float[Array, "T N"]
    ask: Float[Array, "T N"]
    mark: Float[Array, "T N"]
    tradable: Bool[Array, "T N"]
    table: Float[Array, "T D"]
    gauges: dict[str, Float[Array, " T"]]
    first: Int[Array, ""]
    money: Float[Array, ""]
    exact: bool = eqx.field(static=True, default=False)
    columns: tuple[str, ...] = eqx.field(static=True, default=())
    two_sided: bool = eqx.field(static=True, default=True)

    def quotes(self, row: Int[Array, ""]) -> Quotes:
        """What a step needs of a row, in as few reads as there are."""
        ask = take_row(self.ask, row)
        return Quotes(take_row(self.bid, row) if self.two_sided else ask, ask, ask > 0)

    @property
    def rows(self) -> int:
        """T, the number of rows."""
        return int(self.mark.shape[0])

    @property
    def assets(self) -> int:
        """N, the number of assets."""
        return int(self.mark.shape[1])

    def showing(self, table: NDArray[np.float32], columns: Sequence[str]) -> Market:
        """The same market with another table of observations (T, D) and its D names."""
        return replace(self, table=jnp.asarray(table, jnp.float32), columns=tuple(columns))

    def of_rows(self, rows: NDArray[np.int64], span: NDArray[np.int64]) -> Market:
        """A market of copies of some rows, in which no number of another row is left.

        Nothing fills at the last row of a span: that price belongs to the row behind it.

        Args:
            rows: (S,) rows to copy.
            span: (S,) number of the span of rows that each belongs to; negative where a row only
                fills up a shape, so that nothing fills there either.
        """
        ends = np.append(np.diff(span) != 0, True) | (span < 0)
        picked = jax.tree.map(lambda leaf: np.asarray(leaf)[rows] if leaf.ndim else leaf, self)
        for fills in (picked.bid, picked.ask, picked.tradable):
            fills[ends] = 0
        first = jnp.asarray(np.searchsorted(rows, int(self.first)), jnp.int32)
        with jax.enable_x64(self.mark.dtype == jnp.float64):
            made: Market = replace(jax.tree.map(jnp.asarray, picked), first=first)
        return made


def build_market(
    panel: Panel,
    table: NDArray[np.float32] | None = None,
    gauges: Mapping[str, Floats] | None = None,
    *,
    first: int = 0,
    fill: Fill = "next_open",
    precision: Precision = "float32",
    spread: float = 0.0,
    columns: Sequence[str] = (),
) -> Market:
    """Move a panel to the device.

    Args:
        panel: open and close prices (T, N), NaN where not observed.
        table: (T, D) market part of the observation (see `features.scaling`); none where omitted.
        gauges: name -> (T,) series for risk gates.
        first: first row on which every feature is warmed up.
        fill: when orders fill; see `Market`.
        precision: "float32" for training, "float64", or "exact" for scored backtests. The two
            latter need `jax.enable_x64` around their use.
        spread: bid-ask spread as a fraction of the price; half of it is paid on each side.
        columns: D names of the columns of `table`, for agents that choose among them.

    Raises:
        ConfigError: an unknown fill or precision, a spread outside [0, 1), a table of another T or
            with another number of columns than names.
        MissingDataError: the panel has no row left after the warm-up, or no open prices.
    """
    _require_rules(fill, precision, spread)
    rows = len(panel)
    if first >= rows - 1:
        raise MissingDataError(
            f"panel `{panel.name}` has {rows} rows, but the features need {first} to warm up",
            hint="load an earlier start, or choose features with a shorter warm-up",
        )
    table = np.zeros((rows, 0), np.float32) if table is None else table
    if len(table) != rows:
        raise ConfigError(f"the table has {len(table)} rows, the panel {rows}")
    if columns and len(columns) != table.shape[1]:
        raise ConfigError(f"the table has {table.shape[1]} columns, and {len(columns)} names")
    price, tradable = fill_prices(panel, fill)
    mark = in_money(last_observed(panel["close"]), precision)
    bid, ask = (in_money(price * side, precision) for side in (1 - spread / 2, 1 + spread / 2))
    with jax.enable_x64(precision != "float32"):
        return Market(
            bid=jnp.asarray(bid),
            ask=jnp.asarray(ask),
            mark=jnp.asarray(mark),
            tradable=jnp.asarray(tradable),
            table=jnp.asarray(table, jnp.float32),
            gauges={n: jnp.asarray(v, jnp.float32) for n, v in (gauges or {}).items()},
            first=jnp.asarray(first, jnp.int32),
            money=jnp.asarray(MONEY if precision == "exact" else 1, mark.dtype),
            exact=precision == "exact",
            columns=tuple(columns),
            two_sided=spread > 0,
        )


def _require_rules(fill: str, precision: str, spread: float) -> None:
    """Refuse rules that do not exist."""
    if fill not in ("next_open", "same_close"):
        raise ConfigError(f"no fill named `{fill}`", hint="use next_open or same_close")
    if precision not in ("float32", "float64", "exact"):
        raise ConfigError(f"no precision named `{precision}`", hint="use float32, float64 or exact")
    if not 0 <= spread < 1:
        raise ConfigError(f"spread must lie in [0, 1), got {spread}")


def fill_prices(panel: Panel, fill: Fill) -> tuple[Floats, NDArray[np.bool_]]:
    """Price at which an order decided at each row fills, and whether it can.

    An asset that is not observed at the decision or has no price at the fill cannot be traded;
    its price is then 0.
    """
    close = panel["close"]
    price = close.copy()
    if fill == "next_open":
        price[:-1] = panel["open"][1:]
        price[-1] = np.nan
    tradable = np.isfinite(price) & np.isfinite(close)
    return np.where(tradable, price, 0.0), tradable


def last_observed(close: Floats) -> Floats:
    """Each asset's last observed price, 0 before its first; nothing crosses assets."""
    seen = np.where(np.isfinite(close), np.arange(len(close))[:, None], -1)
    row = np.maximum.accumulate(seen, axis=0)
    held = np.take_along_axis(close, np.maximum(row, 0), axis=0)
    return np.where(row >= 0, held, 0.0)


def in_money(price: Floats, precision: Precision) -> NDArray[np.floating]:
    """Prices as the ledger of that precision holds them."""
    if precision == "exact":
        return np.round(price / TICK) * TICK_MONEY
    return price.astype(precision)
