"""The settings of `OrderBookEnv`, what follows from them before anything runs, and their checks."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from steelyard.book import LARGEST, BookMarket
from steelyard.envs.rewards import Reward, ValueChange
from steelyard.errors import ConfigError, MissingDataError
from steelyard.ledger import walk

Execution = Literal["walk", "mid"]

LADDER = 3
"""First column of `BookParams.quotes` that holds the cost of an order."""

MOST_UNITS = 64
"""Largest position in units: a row holds the cost of every order up to it."""


class BookParams(eqx.Module):
    """The settings of `OrderBookEnv`; `book_window` makes and checks a whole set.

    Every number can be vmapped but `unit` and `max_position`, by which the books of all rows are
    walked once, when the params are made: change these and the market by `dataclasses.replace`.

    Attributes:
        market: books, gaps and the table of observations.
        first: first row on which an episode may start.
        last: last row that an episode may reach.
        length: decisions of an episode.
        extent: rows that an episode takes, by which it starts before `last`; where None,
            `length * step_gap`, which is right where there is no gap.
        cash: starting capital, in quote currency.
        unit: base units (coins, shares) by which positions are counted.
        order_size: units that an action buys or sells.
        max_position: largest position, long or short, in units.
        step_gap: rows from one decision to the next.
        delay: rows from a decision to its fill, at most `step_gap`; 0 = in the book just seen.
        execution: "walk": orders walk the levels of the book and pay `taker_fee`; "mid": they fill
            at the mid plus or minus `slippage` and pay `maker_fee`, which is what a passive
            order would pay that always fills: too good to be true.
        taker_fee, maker_fee: fraction of the traded value, in [0, 1).
        slippage: fraction of the price, in [0, 1).
        max_holding: decisions after which a position is closed.
        stop_loss: loss from the best mid since entry that closes the position, as a fraction of
            that price; infinite = none.
        stagger: an episode is shortened by 0 to `stagger` decisions, drawn evenly, so that
            parallel episodes do not all end together; 0 in a backtest.
        reward: what a step is worth to the learner.
        quotes: (T, Q) what a step needs of a row, see `price_ladder`; always made here anew.
    """

    market: BookMarket
    first: int | Int[Array, ""]
    last: int | Int[Array, ""]
    length: int | Int[Array, ""]
    extent: Int[Array, ""] | None = None
    cash: float | Float[Array, ""] = 1_000_000.0
    unit: float | Float[Array, ""] = 1.0
    order_size: int | Int[Array, ""] = 1
    max_position: int = eqx.field(static=True, default=1)
    step_gap: int | Int[Array, ""] = 1
    delay: int | Int[Array, ""] = 1
    execution: Execution = eqx.field(static=True, default="walk")
    taker_fee: float | Float[Array, ""] = 5e-4
    maker_fee: float | Float[Array, ""] = 0.0
    slippage: float | Float[Array, ""] = 5e-5
    max_holding: int | Int[Array, ""] = 3_600
    stop_loss: float | Float[Array, ""] = float("inf")
    stagger: int | Int[Array, ""] = 0
    reward: Reward = ValueChange(1e-2)
    quotes: Float[Array, "T Q"] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        _require_settings(self)
        with jax.enable_x64(self.market.mark.dtype == jnp.float64):
            size = unit_size(self.market, self.unit)
            self.quotes = price_ladder(self.market, size, self.max_position, self.execution)


def unit_size(market: BookMarket, unit: float | Float[Array, ""]) -> Float[Array, ""]:
    """The unit as the market counts sizes: base units, or whole lots."""
    size = jnp.asarray(unit, market.mark.dtype) * market.lots
    return jnp.round(size) if market.exact else size


@eqx.filter_jit
def price_ladder(
    market: BookMarket, unit: Float[Array, ""], most: int, execution: Execution
) -> Float[Array, "T Q"]:
    """What a step needs of each row, side by side: books are walked here, once and not per step.

    Returns:
        Columns `mark`, `left`, `jump` of the market, and where orders walk the book, from `LADDER`
        on, what an order of -most, ..., most units costs against the mark, without the fee. Where
        the visible levels do not hold the order, minus (1 + that): see `read_cost`.
    """
    of_row = [market.mark, market.left, market.jump]
    if execution == "walk":
        sides = (market.bid, market.ask, market.bid_size, market.ask_size)

        def cross(order: Float[Array, ""]) -> Float[Array, " T"]:
            over_rows = jax.vmap(walk, in_axes=(None, 0, 0, 0, 0, 0))
            cost, fits = over_rows(order, market.mark, *sides)
            return jnp.where(fits, cost, -1 - cost)

        orders = jnp.arange(-most, most + 1, dtype=market.mark.dtype)
        of_row += [*jax.lax.map(cross, orders * unit)]
    return jnp.stack([column.astype(market.mark.dtype) for column in of_row], axis=1)


def read_cost(entry: Float[Array, "*S"]) -> tuple[Float[Array, "*S"], Bool[Array, "*S"]]:
    """The cost of an entry of the ladder, and whether the visible levels hold the order."""
    fits = entry >= 0
    return jnp.where(fits, entry, -1 - entry), fits


def book_window(
    market: BookMarket,
    first: int,
    last: int,
    *,
    length: int | None = None,
    thin: Literal["refuse", "skip"] = "refuse",
    **settings: Any,
) -> BookParams:
    """Checked params for the rows `first`..`last`: one pass over them, or episodes of `length`.

    Args:
        length: decisions of an episode; all that fit from `first` to `last` where omitted.
        thin: what to do about rows whose visible levels do not hold the largest position:
            "refuse" them here, or "skip" orders of the agent that do not fit when they come.
        settings: of `BookParams`.

    Raises:
        ConfigError: settings that cannot hold: a position that the capital cannot carry, books too
            thin for it, or amounts that leave the whole numbers of exact money.
        MissingDataError: the rows are not there, or allow no decision.
    """
    if thin not in ("refuse", "skip"):
        raise ConfigError(f"thin is `{thin}`", hint='thin="refuse" or thin="skip"')
    if not 0 <= first < last < market.rows:
        raise MissingDataError(f"rows {first}..{last} are not in a market of {market.rows} rows")
    params = BookParams(market, first=first, last=last, length=1, **settings)
    rows = decision_rows(market, first, last, int(params.step_gap), int(params.delay))
    decisions = len(rows) - 1
    if not decisions:
        raise MissingDataError(
            f"no decision is possible in the rows {first}..{last}",
            hint="widen the window, or lower step_gap and delay",
        )
    wanted = decisions if length is None else length
    if not 1 <= wanted <= decisions:
        raise ConfigError(
            f"an episode of {wanted} decisions does not fit into rows {first}..{last}, "
            f"which have {decisions}",
            hint=f"length={decisions}",
        )
    with jax.enable_x64(market.mark.dtype == jnp.float64):
        _require_capital(params)
    if thin == "refuse":
        _require_depth(params)
    extent = jnp.asarray(rows[-1] - rows[-1 - wanted], jnp.int32)
    checked: BookParams = eqx.tree_at(
        lambda held: (held.length, held.extent),
        params,
        (wanted, extent),
        is_leaf=lambda leaf: leaf is None,
    )
    return checked


def decision_rows(
    market: BookMarket, first: int, last: int, step_gap: int, delay: int
) -> NDArray[np.int64]:
    """Rows of the decisions of one pass, and last the row on which it ends: (decisions + 1,)."""
    left, jump = np.asarray(market.left), np.asarray(market.jump)
    reach = max(delay, 1)
    row = min(first + int(market.wait[first]), last)
    rows = [row]
    while row + reach <= last:
        if last - row < step_gap + reach:
            row = last
        elif left[row] < step_gap + reach:
            row = min(row + int(jump[row]), last)
        else:
            row += step_gap
        rows.append(row)
    return np.array(rows)


def _require_settings(params: BookParams) -> None:
    """Refuse numbers that cannot hold, as far as they are known when the params are made."""

    def known(name: str) -> NDArray[Any] | None:
        value = getattr(params, name)
        return None if isinstance(value, jax.core.Tracer) else np.asarray(value)

    least = {"length": 1, "order_size": 1, "max_position": 1, "step_gap": 1, "delay": 0,
             "max_holding": 1, "stagger": 0, "first": 0}  # fmt: skip
    for name, bound in least.items():
        if (value := known(name)) is not None and (value < bound).any():
            raise ConfigError(f"{name} must be at least {bound}, got {value}")
    for name in ("unit", "cash", "stop_loss"):
        if (value := known(name)) is not None and not (value > 0).all():
            raise ConfigError(f"{name} must be positive, got {value}")
    for name in ("taker_fee", "maker_fee", "slippage"):
        value = known(name)
        if value is not None and not ((value >= 0) & (value < 1)).all():
            raise ConfigError(
                f"{name} must lie in [0, 1), got {value}", hint=f"{name}=0.0005 is 5 basis points"
            )
    if params.max_position > MOST_UNITS:
        raise ConfigError(
            f"a position of {params.max_position} units is more than {MOST_UNITS}",
            hint="count in larger ones: raise unit, lower max_position and order_size",
        )
    if params.execution not in ("walk", "mid"):
        raise ConfigError(f"no execution named `{params.execution}`", hint="use walk or mid")
    delay, step_gap = known("delay"), known("step_gap")
    if delay is not None and step_gap is not None and (delay > step_gap).any():
        raise ConfigError(
            f"an order that fills after {delay} rows is still open at the next decision, "
            f"{step_gap} rows later",
            hint=f"decide less often: step_gap={np.max(delay)}",
        )


def _require_capital(params: BookParams) -> None:
    """The starting capital carries the largest position, and exact money holds its amounts."""
    market = params.market
    window = slice(int(params.first), int(params.last) + 1)
    price = float(np.asarray(market.mark)[window].max()) * float(market.lots / market.money)
    worth = price * float(params.unit) * params.max_position
    if worth > float(params.cash):
        raise ConfigError(
            f"{params.cash:,g} of capital cannot carry {params.max_position} units of "
            f"{params.unit:g}, which are worth up to {worth:,.0f}",
            hint=f"unit={float(params.unit) * float(params.cash) / worth:.3g}, or more cash",
        )
    if not market.exact:
        return
    # the account when prices double, and the products of the stop loss
    largest = 4 * max(float(params.cash), worth) * float(market.money)
    if largest >= LARGEST:
        raise ConfigError(
            f"accounts of up to {4 * float(params.cash):,g} are {largest:.3g} smallest amounts, "
            "more than 2**53",
            hint="coarsen the money: build_book(..., lot=...) or tick=..., by a factor of "
            f"{largest / LARGEST:.3g}",
        )
    if float(unit_size(market, params.unit)) < 1:
        raise ConfigError(
            f"a unit of {params.unit:g} is less than a lot", hint="build_book(..., lot=...)"
        )


def _require_depth(params: BookParams) -> None:
    """The visible levels of every row hold the largest position."""
    if params.execution != "walk":
        return
    window = slice(int(params.first), int(params.last) + 1)
    largest = np.asarray(params.quotes)[window][:, [LADDER, -1]]
    short: NDArray[np.bool_] = np.asarray((largest < 0).any(axis=1))
    if short.any():
        market = params.market
        visible = min(
            float(np.asarray(size)[window].sum(axis=1).min())
            for size in (market.bid_size, market.ask_size)
        ) / float(market.lots)
        raise ConfigError(
            f"{short.sum():,} of {len(short):,} rows do not show {params.max_position} units of "
            f"{params.unit:g}; what every row shows is {visible:.6g}",
            hint=f'unit={visible / params.max_position:.3g}, or thin="skip"',
        )
