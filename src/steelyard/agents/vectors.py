"""How networks read observations: by the shared table of an environment, or as whole vectors."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.networks import shares_table
from steelyard.rollout import Action, Env, Obs, Params, Space, State, TimeStep


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


def cheaper_view(env: Env, params: Params, samples: int) -> Env:
    """`env` as networks read `samples` observations of it with the least work.

    The first layer on a shared table (see `MLP.bind`) is worth its cost where there are at least
    as many samples as the table has rows.
    """
    if shares_table(env) and samples < env.table(params).shape[0]:
        return WholeVectors(env)
    return env
