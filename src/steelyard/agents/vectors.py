"""How networks read observations: by the shared table of an environment, or as whole vectors."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.networks import shares_table
from steelyard.rollout import Action, Env, Obs, Params, State, TimeStep
from steelyard.types import Space


class WholeVectors(eqx.Module):
    """An environment whose shared table networks do not see: they get whole vectors."""

    env: Env

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[State, TimeStep]:
        """As the environment."""
        return self.env.reset(key, params)

    def step(
        self, key: PRNGKeyArray, state: State, action: Action, params: Params
    ) -> tuple[State, TimeStep]:
        """As the environment."""
        return self.env.step(key, state, action, params)

    def observe(self, obs: Obs, params: Params) -> Float[Array, " D"]:
        """As the environment."""
        return self.env.observe(obs, params)

    def action_space(self, params: Params) -> Space:
        """As the environment."""
        return self.env.action_space(params)


class TurnedTable(WholeVectors):
    """An environment with a shared table that lies there turned as well; see `networks.product`."""

    turned: Float[Array, "D T"]

    def own(self, obs: Obs, params: Params) -> Float[Array, " O"]:
        """As the environment."""
        own: Float[Array, " O"] = self.env.own(obs, params)  # type: ignore[attr-defined]
        return own

    def table(self, params: Params) -> Float[Array, "T D"]:
        """As the environment."""
        table: Float[Array, "T D"] = self.env.table(params)  # type: ignore[attr-defined]
        return table


def cheaper_view(
    env: Env, params: Params, samples: int, turned: Float[Array, "D T"] | None = None
) -> Env:
    """`env` as networks read `samples` observations of it with the least work.

    The first layer on a shared table (see `MLP.bind`) is worth its cost where there are at least
    as many samples as the table has rows.

    Args:
        turned: the shared table, turned outside of the loop in which gradients are taken.
    """
    if not shares_table(env):
        return env
    if samples < env.table(params).shape[0]:
        return WholeVectors(env)
    return env if turned is None else TurnedTable(env, turned)
