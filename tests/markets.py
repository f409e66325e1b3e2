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
    """Trade `actions` (T-1, N) or (B, T-1, N) over the whole panel."""
    env = settings.pop("env", StockEnv())
    build = {k: settings.pop(k) for k in ("fill", "spread", "gauges", "table") if k in settings}
    with jax.enable_x64(precision != "float32"):
        # arrays are arguments of the compiled program, Python numbers would be constants of it
        numbers = {k: jnp.asarray(v) for k, v in settings.items() if isinstance(v, float)}
        params = whole(build_market(panel, precision=precision, **build), **{**settings, **numbers})  # type: ignore[arg-type]
        batch = actions if actions.ndim == 3 else actions[None]
        played = _play(env, params, jnp.asarray(batch, jnp.float32))
        return played if actions.ndim == 3 else jax.tree.map(lambda leaf: leaf[0], played)


@eqx.filter_jit
def _play(env: StockEnv, params: StockParams, actions: Float[Array, "B T A"]) -> Transition:
    def one(actions: Float[Array, "T A"]) -> Transition:
        key = jax.random.key(0)
        return rollout(key, env, params, Script(actions), actions.shape[0], sample=False)[1]

    return jax.vmap(one)(actions)
