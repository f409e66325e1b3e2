"""What is asked of the members of an ensemble: how they did, how far they are apart, one policy."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steelyard.agents.diversity import Diversity, measure
from steelyard.rollout import Env, Params, Policy, scored_pass
from steelyard.types import Floats


def sharpe_of(groups: Any, env: Env, params: Params, cash: float, *, windows: bool) -> Floats:
    """Sharpe ratio per bar, (M,) or (R, M), of members that each trade one pass (equation 6).

    Not annualised, risk-free rate 0, ddof 1; 0 for an account that never moves. One that is ruined
    does not move again.

    Args:
        groups: policies stacked over members, with `windows` over rounds before that.
        params: one pass, with `windows` one per round.
        cash: value at its start.
        windows: whether there are rounds.
    """
    length = int(np.asarray(params.length).flat[0])
    values = [_values(env, params, group, length, windows) for group in groups]
    value = np.concatenate([np.asarray(one, np.float64) for one in values], axis=-2)
    value = np.concatenate([np.full((*value.shape[:-1], 1), float(cash)), value], axis=-1)
    returns = np.diff(value, axis=-1) / np.maximum(value[..., :-1], 1e-9)
    spread = returns.std(axis=-1, ddof=1)
    sharpe: Floats = np.divide(
        returns.mean(axis=-1), spread, out=np.zeros_like(spread), where=spread > 1e-12
    )
    return sharpe


@eqx.filter_jit
def combine_rounds(agent: Any, groups: Any, sharpe: Any) -> Any:
    """One policy per round."""
    return jax.vmap(agent.combine)(groups, sharpe)


@eqx.filter_jit
def diversity_of(agent: Any, groups: Any, env: Env, params: Params, steps: int) -> Diversity:
    """How far the members that are heard are apart, each trading alone."""
    heard = tuple(
        jax.tree.map(lambda leaf, n=count: jnp.asarray(leaf)[:n], group)
        for group, count in zip(groups, agent.counts, strict=True)
        if count
    )
    return measure(heard, env, params, steps=steps)


@eqx.filter_jit
def diversity_of_rounds(agent: Any, groups: Any, env: Env, params: Params, steps: int) -> Diversity:
    """The same as a mean over rounds, one after another."""
    each: Diversity = jax.lax.map(
        lambda one: diversity_of(agent, one[0], env, one[1], steps), (groups, params)
    )
    mean: Diversity = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), each)
    return mean


@eqx.filter_jit
def _values(env: Env, params: Params, group: Any, length: int, windows: bool) -> Any:
    """Account values (R, M, T) or (M, T) of members that each trade one pass."""

    def members(params: Params, group: Any) -> Any:
        def one(policy: Policy) -> Any:
            return scored_pass(jax.random.key(0), env, params, policy, length).info["value"]

        return jax.vmap(one)(group)

    return jax.vmap(members)(params, group) if windows else members(params, group)
