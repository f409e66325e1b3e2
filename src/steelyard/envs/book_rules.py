"""The rules of trading in a book: what becomes of an agent's action before it reaches the book.

At most one rule speaks for a decision. From the strongest to the weakest, with their codes:

8. `END`: the last decision of an episode closes the position.
7. `GAP`: the last decision of a segment after which the position could still be closed closes it.
   Nothing is held across a gap, whatever the agent wants.
6. `STOP`: the mid stands further below (a short position: above) the best one since entry than
   `stop_loss` of it; the position is closed. It trails, and looks at the rows of decisions.
5. `TIME_OUT`: the position has been held for `max_holding` decisions; it is closed.
4. `CAPITAL`: the account cannot carry the position that the order would make; nothing fills.
3. `THIN`: the visible levels do not hold the order; nothing fills.
2. `CROSSING`: the order would turn a long position short or the other way; it only closes it.
1. `LIMIT`: the order would pass `max_position`; it is cut to it, to nothing where it stands there.
0. `AGENT`: what the agent wants.

An order that a rule from 5 on gives always fills: what the visible levels do not hold pays the
price of the deepest of them (`ledger.walk`). Limit and crossing shape the agent's order, on which
3 and 4 are then tested.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

AGENT, LIMIT, CROSSING, THIN, CAPITAL, TIME_OUT, STOP, GAP, END = range(9)

RULES = (
    "agent",
    "position limit",
    "crossing",
    "thin book",
    "capital",
    "time-out",
    "stop loss",
    "gap",
    "end",
)
"""Names by code."""

STOP_PARTS = 1_000_000
"""With exact money the stop loss is a whole number of parts per million of the best price."""


class Holding(NamedTuple):
    """A position, as rules look at it.

    Attributes:
        position: () in units, + long and - short.
        age: () decisions since it was opened; 0 when flat.
        best: () the highest (short: lowest) mid since it was opened; any number when flat.
        mark: () the mid of the row on which is decided.
    """

    position: Float[Array, ""]
    age: Int[Array, ""]
    best: Float[Array, ""]
    mark: Float[Array, ""]


def agent_order(
    wanted: Float[Array, ""], position: Float[Array, ""], max_position: int | Num[Array, ""]
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The order of an agent after limit and crossing.

    Args:
        wanted: units, + buys and - sells.

    Returns:
        Units, and the code of the rule that changed them.
    """
    after = jnp.clip(position + wanted, -max_position, max_position)
    crosses = after * position < 0
    order = jnp.where(crosses, -position, after - position)
    limited = jnp.where(order != wanted, LIMIT, AGENT)
    return order, jnp.where(crosses, CROSSING, limited).astype(jnp.int32)


def forced_exit(
    holding: Holding,
    gap: Bool[Array, ""],
    end: Bool[Array, ""],
    max_holding: int | Int[Array, ""],
    stop_loss: float | Float[Array, ""],
    *,
    exact: bool,
) -> Int[Array, ""]:
    """The code of the rule that closes the position now, `AGENT` where none does.

    Args:
        gap, end: this is the last decision of a segment, of the episode.
        stop_loss: fraction of the best price; infinite = none.
        exact: prices are whole, and so are the parts of the stop loss.
    """
    position, age, best, mark = holding
    lost = jnp.where(position > 0, best - mark, mark - best)
    if exact:
        parts = jnp.round(jnp.asarray(stop_loss, best.dtype) * STOP_PARTS)
        stopped = lost * STOP_PARTS > parts * best
    else:
        stopped = lost > stop_loss * best
    held = position != 0
    rule = jnp.where(held & (age >= max_holding), TIME_OUT, AGENT)
    rule = jnp.where(held & stopped, STOP, rule)
    return jnp.where(end, END, jnp.where(gap, GAP, rule)).astype(jnp.int32)
