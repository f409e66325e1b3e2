"""The source `book`: seeded order books in which it is known what can be earned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from steelyard.data.book_rows import SIDES
from steelyard.data.books import book_panel
from steelyard.data.planted_book import KINDS, LEAN, BookPlan, Whole
from steelyard.data.sources import parse_address
from steelyard.data.synthetic import real_number, whole_number
from steelyard.errors import ConfigError, DataError
from steelyard.registry import member
from steelyard.types import Floats, Panel

LOT = 1e-4
"""Sizes are whole multiples of this, in units of the asset."""

_NOISE = 0.2  # a size lies within 1 - this to 1 + this of what the state makes it


@member("sources")
def book(
    request: str,
    *,
    seed: int = 0,
    rows: int = 20_000,
    levels: int = 5,
    strength: float | None = None,
    memory: float = 30.0,
    activity: float = 0.5,
    jump: int = 2,
    spread: int = 2,
    price: float = 100.0,
    tick: float = 0.01,
    size: float = 10.0,
) -> Panel:
    """Seeded order books with a planted signal: imbalance, none.

    One row a second, no gaps. The best sizes show a state that lasts `memory` rows on average, and
    the next move of the mid follows it with odds (1 + strength) / 2, or not at all. What can be
    earned with that, after costs, is known: `planted_book.book_optimum(plan_of(panel), fee=...)`.
    The same request gives the same bits on every machine; more rows continue the book of fewer.

    Args:
        request: "imbalance" or "none".
        seed: of the generators, at least 0.
        rows: of the book.
        levels: per side.
        strength: usually 0.6; of none, 0.
        memory: rows that a state lasts on average.
        activity: probability that the mid moves from one row to the next.
        jump: ticks of a move.
        spread: ticks between best bid and best ask.
        price: first mid, quote currency.
        tick: grid of prices, quote currency.
        size: mean size of the best level, units of the asset. An order of at most a tenth of it
            fills at the best price.

    Raises:
        UnknownNameError: no kind has that name.
        ConfigError: an argument is outside its range, or the price falls towards 0.
    """
    usual = KINDS.get(str(request), 0.0)
    return _make(
        BookPlan(
            kind=str(request),
            seed=whole_number("seed", seed),
            rows=whole_number("rows", rows),
            levels=whole_number("levels", levels),
            strength=real_number("strength", usual if strength is None else strength),
            memory=real_number("memory", memory),
            activity=real_number("activity", activity),
            jump=whole_number("jump", jump),
            spread=whole_number("spread", spread),
            price=real_number("price", price),
            tick=real_number("tick", tick),
            size=real_number("size", size),
        )
    )


def plan_of(panel: Panel) -> BookPlan:
    """The plan of a synthetic book, for `planted_book.book_optimum`.

    Raises:
        DataError: the panel is no synthetic book.
    """
    if not panel.name.startswith("book:"):
        raise DataError(
            f"what can be earned in `{panel.name}` is not known",
            hint='only books of load("book", ...) have an optimum',
        )
    _, kind, options = parse_address(panel.name)
    return BookPlan(kind=kind, **options)


def _make(plan: BookPlan) -> Panel:
    seeds = np.random.SeedSequence(plan.seed).spawn(7)
    streams = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
    states = _states(plan, streams[0].random((plan.rows, 2)))
    half = _moves(plan, states, streams[1].random((plan.rows, 2)))
    apart = plan.spread + 2 * np.cumsum(_gaps(plan, streams[2]), axis=1)  # (T, L, 2) half ticks
    depth = 0.5 + streams[3].random((plan.rows, 1))
    growth = 1.0 + 0.5 * np.arange(plan.levels)
    prices, sizes = {}, {}
    for side, name in enumerate(SIDES):
        sign = 1 - 2 * side  # bids lie below the mid and grow with the state
        noise = 1.0 - _NOISE + 2.0 * _NOISE * streams[4 + side].random((plan.rows, plan.levels))
        lean = 1.0 + sign * LEAN * states[:, None]
        lots = np.floor(plan.size * growth * depth * lean * noise / LOT)
        sizes[name] = np.maximum(lots, 1.0) / round(1.0 / LOT)
        prices[name] = _decimals((half[:, None] - sign * apart[:, :, side]) // 2, plan.tick)
    lowest = float(prices["bid"].min())
    if lowest < plan.price / 10.0:
        raise ConfigError("the price falls towards 0", hint="fewer rows, or a higher price")
    traded = plan.size * plan.price * streams[6].random((plan.rows, 2))
    panel = book_panel(
        np.datetime64("2000-01-01", "us") + np.arange(plan.rows) * np.timedelta64(1, "s"),
        prices["bid"], prices["ask"], sizes["bid"], sizes["ask"],
        asset="coin", name=plan.address, flows={"buys": traded[:, 0], "sells": traded[:, 1]},
    )  # fmt: skip
    return replace(panel, sha256=panel.digest())


def _states(plan: BookPlan, uniforms: Floats) -> Whole:
    """(T,) states; a change goes to either of the others with equal odds."""
    leaves = uniforms[:, 0] < 1.0 / plan.memory
    steps = np.where(leaves, 1 + (uniforms[:, 1] < 0.5), 0)
    steps[0] = np.floor(3.0 * uniforms[0, 1])  # any of the three
    return np.cumsum(steps) % 3 - 1


def _moves(plan: BookPlan, states: Whole, uniforms: Floats) -> Whole:
    """(T,) the mid, in half ticks; the first row's is the first price."""
    moves = uniforms[:, 0] < plan.activity
    up = uniforms[:, 1] < (1.0 + plan.strength * states) / 2.0
    step = np.where(moves, np.where(up, plan.jump, -plan.jump), 0)
    first = 2 * round(plan.price / plan.tick) + plan.spread % 2
    return first + 2 * np.concatenate([[0], np.cumsum(step[:-1])])


def _gaps(plan: BookPlan, stream: np.random.Generator) -> Whole:
    """(T, L, 2) ticks from each level to the one before it; the best has none."""
    gaps = 1 + np.floor(3.0 * stream.random((plan.rows, plan.levels, 2))).astype(np.int64)
    gaps[:, 0] = 0
    return gaps


def _decimals(ticks: Whole, tick: float) -> Floats:
    """Prices as the decimals that people write, where a tick is one over a whole number."""
    per_unit = round(1.0 / tick)
    exact = per_unit >= 1 and abs(per_unit * tick - 1.0) < 1e-9
    return np.asarray(ticks / per_unit if exact else ticks * tick, dtype=np.float64)
