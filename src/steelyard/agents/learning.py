"""A whole training as one traced function, the same for every learner."""

from __future__ import annotations

from typing import Any, Protocol

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.diversity import Peers
from steelyard.rollout import Env, Params, Policy


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
