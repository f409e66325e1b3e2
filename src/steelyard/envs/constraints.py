"""What an order may not do: risk gates, per-asset limits, a leverage limit."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from steelyard.ledger import Account
from steelyard.market import Market


class Limits(eqx.Module):
    """Limits on orders. A limit that is None costs nothing: it is not in the program at all.

    Attributes:
        gates: gauge name -> threshold. At or above it all holdings are sold and buys are refused.
            The published kits gate on "turbulence", or on "vix" at 70.
        gate_first_row: whether a gate can fire on the first row of an episode. The published
            environment cannot, because it starts with a turbulence of 0.
        max_weight: largest value of one asset as a fraction of the account, by which buys are cut.
            Holdings that grow past it are not sold.
        leverage: largest gross exposure as a multiple of the account value (long-short only).
    """

    gates: dict[str, float] = eqx.field(default_factory=dict)
    gate_first_row: bool = eqx.field(static=True, default=True)
    max_weight: float | None = None
    leverage: float | None = None


def gate_fires(
    limits: Limits, market: Market, row: Int[Array, ""], first_row: Bool[Array, ""]
) -> Bool[Array, ""]:
    """Whether any gauge stands at or above its threshold. Unknown (NaN) never fires."""
    fires = jnp.asarray(False)
    for name, threshold in limits.gates.items():
        fires |= market.gauges[name][row] >= threshold
    return fires if limits.gate_first_row else fires & ~first_row


def limit_order(
    order: Float[Array, "N *#B"],
    account: Account,
    value: Float[Array, "*#B"],
    ask: Float[Array, "N *#B"],
    limits: Limits,
    *,
    closed: Bool[Array, "*#B"],
) -> Float[Array, "N *#B"]:
    """Cut `order` to what `limits` allow.

    Args:
        order: whole units, + buys and - sells.
        value: account value at the decision.
        ask: price at which the order would fill.
        closed: a gate fires: sell everything, buy nothing.

    Returns:
        The order that may go to the ledger, in whole units.
    """
    if limits.max_weight is not None:
        room = jnp.floor(limits.max_weight * value / ask) - account.units
        order = jnp.where(order > 0, jnp.clip(order, 0, jnp.maximum(room, 0)), order)
    if limits.leverage is not None:
        order = _within_leverage(order, account, value, ask, limits.leverage)
    if limits.gates:
        order = jnp.where(closed, -account.units, order)
    return order


def _within_leverage(
    order: Float[Array, "N *#B"],
    account: Account,
    value: Float[Array, "*#B"],
    ask: Float[Array, "N *#B"],
    leverage: float,
) -> Float[Array, "N *#B"]:
    """Shrink the orders that add exposure until gross exposure fits; the others pass."""
    before = jnp.abs(account.units)
    after = jnp.abs(account.units + order)
    adds = after > before
    kept = jnp.sum(jnp.where(adds, before, after) * ask, axis=0)
    added = jnp.sum(jnp.where(adds, after - before, 0) * ask, axis=0)
    room = jnp.maximum(leverage * value - kept, 0)
    share = jnp.minimum(1, room / jnp.maximum(added, 1e-9))
    return jnp.where(adds, jnp.trunc(order * share), order)
