"""What all learners share: a whole training as one traced function, and how they observe."""

from __future__ import annotations

from typing import Any, Protocol

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.diversity import Peers
from steelyard.agents.networks import shares_table
from steelyard.rollout import Action, Env, Obs, Params, Policy, Space, State, TimeStep


class Learner(Protocol):
    """An agent that learns by updates; its state holds the policy of the moment as `policy`."""

    @property
    def updates(self) -> int:
        """Updates of a whole training."""
        ...

    def init(self, key: PRNGKeyArray, env: Env, params: Params) -> Any:
        """Fresh networks and episodes."""
        ...

    def advance(
        self, state: Any, env: Env, params: Params, peers: Peers | None = None
    ) -> tuple[Any, dict[str, Float[Array, ""]]]:
        """One update: (state, log)."""
        ...


def train_by_scan(
    agent: Learner, key: PRNGKeyArray, env: Env, params: Params
) -> tuple[Policy, dict[str, Float[Array, " U"]]]:
    """All updates of `agent`, one after another: (policy, log with one value per update)."""
    state = agent.init(key, env, params)
    state, log = jax.lax.scan(
        lambda state, _: agent.advance(state, env, params), state, None, length=agent.updates
    )
    return state.policy, log


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
