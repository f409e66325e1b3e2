"""What sets the market of one member apart from that of the others: prices, assets, columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from steelyard.agents.networks import shares_table
from steelyard.errors import ConfigError
from steelyard.market import Market
from steelyard.rollout import Act, Carry, Env, Params, bind

Assets = Literal["own", "permuted", "resampled"]
"""Which assets stand in the places of a market: its own ones in their order, the same ones in
another order, or as many draws from them with replacement."""


class View(eqx.Module):
    """How one member sees the market in which it trains; a part that is None changes nothing.

    Attributes:
        scale: (N,) factor on all prices of each asset.
        order: (N,) number of the asset that stands in each place.
        mask: (V,) 1 for entries of the observation vector that it sees, 0 for those that are always
            0 to it; the last D are the columns of the table.
    """

    scale: Float[Array, "*M N"] | None = None
    order: Int[Array, "*M N"] | None = None
    mask: Float[Array, "*M V"] | None = None

    def __call__(self, params: Params) -> Params:
        """The params with the market of this member."""
        market = params.market
        if self.order is not None:
            market = _reordered(market, self.order)
        if self.scale is not None:
            scale = self.scale.astype(market.mark.dtype)
            prices = {name: getattr(market, name) * scale for name in ("bid", "ask", "mark")}
            market = replace(market, **prices)
        if self.mask is not None:
            seen = self.mask[self.mask.shape[0] - market.table.shape[1] :]
            market = replace(market, table=market.table * seen)
        if self.scale is not None:  # params may hold what they made of the prices
            return replace(params, market=market)
        return eqx.tree_at(lambda p: p.market, params, market)


def draw_view(
    key: PRNGKeyArray,
    market: Market,
    price_scale: float | Float[Array, ""] | None,
    assets: Assets,
) -> View:
    """The view of a member with that key.

    Args:
        price_scale: r, in [0, 1): prices of each asset times 1 + u, u uniform on [-r, r]; None = as
            they are. The table stays as it is: it holds ratios and z-scores fitted on the training
            rows, which do not depend on the scale of a price.
        assets: which ones stand in the places of the market.
    """
    scale_key, order_key = jax.random.split(key)
    count, scale, order = market.assets, None, None
    if price_scale is not None:
        scale = 1 + price_scale * jax.random.uniform(scale_key, (count,), jnp.float32, -1, 1)
    if assets == "permuted":
        order = jax.random.permutation(order_key, count)
    elif assets == "resampled":
        order = jax.random.randint(order_key, (count,), 0, count)
    return View(scale, order)


def market_in(params: Params) -> Market:
    """The market of `params`.

    Raises:
        ConfigError: there is none.
    """
    market = getattr(params, "market", None)
    if not isinstance(market, Market):
        raise ConfigError(
            "this agent needs a market, and the environment has none",
            hint="use the environment `stock`",
        )
    return market


def market_with(params: Params, columns: bool = False) -> Market:
    """The float market of `params`.

    Raises:
        ConfigError: there is none, it is on the exact ledger, or its columns have no names.
    """
    market = market_in(params)
    if market.exact:
        raise ConfigError(
            "members have no markets of their own on the exact ledger",
            hint='build_market(panel, precision="float32")',
        )
    if columns and not market.columns:
        raise ConfigError(
            "the columns of the market's table have no names",
            hint="build_market(panel, table.values, columns=table.columns)",
        )
    return market


def vector_mask(size: int, columns: Sequence[str], hidden: Sequence[str]) -> NDArray[np.float32]:
    """(V,) 1 for what stays, 0 for the columns of the features `hidden`; see `View`.

    Args:
        size: V, length of the observation vector, which ends with the columns.
        columns: names, as of `Market.columns`.
        hidden: names of features.

    Raises:
        ConfigError: the table lacks one of these features.
    """
    of = [name.partition("/")[0] for name in columns]
    missing = [name for name in hidden if name not in of]
    if missing:
        names = ", ".join(f'"{name}"' for name in missing)
        raise ConfigError(
            f"the market's table has no columns of {', '.join(missing)}",
            hint=f"add them to the features of the task: Task(features=(..., {names}))",
        )
    mask = np.ones(size, np.float32)
    mask[size - len(of) :] = [name not in hidden for name in of]
    return mask


class Masked(eqx.Module):
    """A policy that sees some columns of the table as 0, wherever it trades.

    Attributes:
        policy: what decides.
        mask: (V,) see `View`; stacked as the policy is.
    """

    policy: Any
    mask: Float[Array, "*M V"]

    def initial_carry(self) -> Carry:
        """That of the policy."""
        return self.policy.initial_carry()

    def __call__(self, vector: Float[Array, " V"], carry: Carry) -> tuple[Any, Carry]:
        """The distribution at an observation vector."""
        answer: tuple[Any, Carry] = self.policy(vector * self.mask, carry)
        return answer

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations."""
        if shares_table(env):
            return bind(self.policy, env, View(mask=self.mask)(params))
        return lambda obs, carry: self(env.observe(obs, params), carry)


def _reordered(market: Market, order: Int[Array, " N"]) -> Market:
    """The market with asset `order[n]` in place n, in prices and in the table."""
    feature, place, column = _asset_columns(market)
    taken = jnp.asarray(column)[feature, order[place]]
    moved = jnp.where(jnp.asarray(feature) >= 0, taken, jnp.arange(len(feature)))
    rows = {name: getattr(market, name)[:, order] for name in ("bid", "ask", "mark", "tradable")}
    return replace(market, **rows, table=market.table[:, moved])


def _asset_columns(market: Market) -> tuple[NDArray[np.int32], ...]:
    """Feature and place of each column (-1 and 0 for the whole market's), and (F, N) back.

    Raises:
        ConfigError: a feature lacks an asset.
    """
    pairs = [name.split("/", 1) if "/" in name else None for name in market.columns]
    features = list(dict.fromkeys(pair[0] for pair in pairs if pair))
    assets = list(dict.fromkeys(pair[1] for pair in pairs if pair))
    column = np.full((max(len(features), 1), market.assets), -1, np.int32)
    feature, place = np.full(len(pairs), -1, np.int32), np.zeros(len(pairs), np.int32)
    if len(assets) in (0, market.assets):
        for number, pair in enumerate(pairs):
            if pair:
                feature[number], place[number] = features.index(pair[0]), assets.index(pair[1])
                column[feature[number], place[number]] = number
    if features and (column < 0).any():
        raise ConfigError(
            f"the table has columns of {len(assets)} assets for a market of {market.assets}, or "
            "not all of them for each feature",
            hint="name the columns feature/asset, as features.scaling does",
        )
    return feature, place, column
