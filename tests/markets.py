"""Small random markets that tests of several rooms trade on."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steelyard.envs.stock import StockEnv, StockParams
from steelyard.market import Market, Precision, build_market
from steelyard.rollout import Transition, rollout
from steelyard.types import Floats, Panel

OPTIMISED = {"xla_backend_optimization_level": 3}
"""Compiler options of programs whose rounding is what a test is about, as users run them."""


def random_panel(
    seed: int, rows: int = 60, assets: int = 5, low: float = 5, high: float = 400
) -> Panel:
    rng = np.random.default_rng(seed)
    start = rng.uniform(low, high, assets)
    close = start * np.exp(np.cumsum(rng.normal(0, 0.03, (rows, assets)), axis=0))
    opens = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.01, (rows, assets)))
    days = np.datetime64("2020-01-01") + np.arange(rows)
    fields: dict[str, Floats] = {"open": np.round(opens, 4), "close": np.round(close, 4)}
    return Panel(days, tuple(f"A{i}" for i in range(assets)), fields)


def whole(market: Market, **settings: object) -> StockParams:
    """One episode over all rows of `market`."""
    last = market.rows - 1
    return StockParams(market, first=0, last=last, length=last, **settings)  # type: ignore[arg-type]


def short_episodes(length: int, precision: Precision = "float32", assets: int = 3) -> StockParams:
    """Episodes of `length` steps that start anywhere in 40 rows, four numbers observed of each."""
    table = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    market = build_market(random_panel(0, 40, assets), table, precision=precision)
    return StockParams(market, first=2, last=39, length=length)


class Script(eqx.Module):
    """A policy that plays given actions (T, A)."""

    actions: Float[Array, "T A"]

    def initial_carry(self) -> Array:
        return jnp.zeros((), jnp.int32)

    def bind(self, env: object, params: object) -> object:
        return lambda obs, step: (_Certain(self.actions[step]), step + 1)


class _Certain(eqx.Module):
    action: Float[Array, " A"]

    def sample(self, key: Array) -> Array:
        return self.action

    def mode(self) -> Array:
        return self.action

    def log_prob(self, action: Array) -> Array:
        return jnp.zeros(())


def play(
    panel: Panel, actions: np.ndarray, precision: Precision = "exact", **settings: object
) -> Transition:
    """Trade `actions` (T-1, N) or (B, T-1, N) over the whole panel.

    With `optimised=True` the program is the one that users run.
    """
    run = _play_optimised if settings.pop("optimised", False) else _play
    env = settings.pop("env", StockEnv())
    build = {k: settings.pop(k) for k in ("fill", "spread", "gauges", "table") if k in settings}
    with jax.enable_x64(precision != "float32"):
        market = build_market(panel, precision=precision, **build)  # type: ignore[arg-type]
        params = _sharing(whole(market, **settings))
        batch = actions if actions.ndim == 3 else actions[None]
        steps = batch.shape[1]
        idle = np.zeros((len(batch), params.market.rows - 1 - steps, batch.shape[2]), np.float32)
        played = run(env, params, jnp.asarray(np.concatenate([batch, idle], axis=1), jnp.float32))
        return jax.tree.map(
            lambda leaf: leaf[:, :steps] if actions.ndim == 3 else leaf[0, :steps], played
        )


def _sharing(params: StockParams) -> StockParams:
    """The same params, so that markets of other lengths are traded by the same program.

    Rows that no episode reaches stand behind the last one; numbers are arguments of the program
    and not constants of it.
    """
    rows = params.market.rows
    behind = (8 if rows <= 8 else 64) - rows

    def lengthen(leaf: Array) -> Array:
        long = leaf.ndim > 0 and len(leaf) == rows
        return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], behind, axis=0)]) if long else leaf

    def as_array(leaf: object) -> object:
        whole_number = isinstance(leaf, int) and not isinstance(leaf, bool)
        return jnp.asarray(leaf, jnp.int32 if whole_number else None)

    params = eqx.tree_at(lambda p: p.market, params, jax.tree.map(lengthen, params.market))
    return jax.tree.map(as_array, params)


def _trade(env: StockEnv, params: StockParams, actions: Float[Array, "B T A"]) -> Transition:
    def one(actions: Float[Array, "T A"]) -> Transition:
        key = jax.random.key(0)
        return rollout(key, env, params, Script(actions), actions.shape[0], sample=False)[1]

    return jax.vmap(one)(actions)


_play = eqx.filter_jit(_trade)
_play_optimised = eqx.filter_jit(_trade, compiler_options=OPTIMISED)
