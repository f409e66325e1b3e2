"""The contract of this room, checked on any agent in any environment: `check_agent`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ContractError
from steelyard.lookahead import WORLDS, another_future
from steelyard.market import Market
from steelyard.rollout import Env, Params, Policy, Space, bind, rollout, start

CUTS = 4  # rows after which the future is replaced
SEED = 0
DISTRIBUTION = ("sample", "mode", "log_prob", "entropy", "kl")

Decide: TypeAlias = Callable[[Policy, Params], tuple[Any, Any]]
"""(policy, params) -> (rows of the decisions or None, actions), stacked along time."""


def check_agent(agent: Any, env: Env, params: Params, *, steps: int = 64) -> None:
    """Check that an agent keeps the contract of its room on one window.

    * `train(key, env, params)` answers with a policy and a log; the policy has `initial_carry` and
      is called with a vector, or bound; its memory keeps its shapes and types.
    * It answers with a distribution whose actions fit the environment's space.
    * The same key gives the same actions.
    * Where the params hold a market: actions up to row t stay the same, to the last bit, when
      everything after the close of row t is replaced, at several t. An agent that learns is
      trained once, and its policy then acts in the changed market. An agent with `learns = False`
      is prepared on the changed market anew, because it is prepared on the window that it trades.

    Args:
        agent: anything with `train`.
        env, params: a window; an agent that learns is trained on it too.
        steps: decisions that are compared; the window is not left.

    Raises:
        ContractError: the first part of the contract that is broken, with a hint.
    """
    name = type(agent).__name__
    with jax.enable_x64(_is_double(params)):
        policy = _train(agent, name, env, params)
        _check_answer(policy, name, env, params)
        decide = _decider(env, steps)
        rows, actions = decide(policy, params)
        _check_actions(actions, name, env.action_space(params))
        again = decide(_train(agent, name, env, params), params)[1]
        if not np.array_equal(actions, again):
            raise ContractError(
                f"agent `{name}` acts differently when it is trained with the same key again",
                hint="take all randomness from the key, by jax.random",
            )
        if isinstance(getattr(params, "market", None), Market) and rows is not None:
            _check_causal(agent, name, env, params, policy, decide, (rows, actions))


def _is_double(params: Params) -> bool:
    """Whether any number in `params` is held in 64 bits."""
    leaves = jax.tree.leaves(params)
    return any(getattr(leaf, "dtype", None) == jnp.float64 for leaf in leaves)


def _train(agent: Any, name: str, env: Env, params: Params) -> Policy:
    """The policy of a training, after a look at what came back."""
    if not callable(getattr(agent, "train", None)):
        raise ContractError(
            f"agent `{name}` has no method train",
            hint="def train(self, key, env, params): return policy, log",
        )
    answer = agent.train(jax.random.key(SEED), env, params)
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], dict):
        raise ContractError(
            f"agent `{name}`: train returned {type(answer).__name__}, not a policy and a log",
            hint="return policy, log with a dict of one array per logged number",
        )
    policy: Policy = answer[0]
    if not callable(getattr(policy, "initial_carry", None)) or not callable(policy):
        raise ContractError(
            f"agent `{name}`: its policy has no initial_carry, or cannot be called",
            hint="def initial_carry(self): return None; def __call__(self, vector, carry): ...",
        )
    return policy


def _check_answer(policy: Policy, name: str, env: Env, params: Params) -> None:
    """One answer of the policy, by shapes alone."""
    missing: list[str] = []

    def answer(key: Any) -> Any:
        live = start(key, env, params, policy)
        distribution, carry = bind(policy, env, params)(live.obs, live.carry)
        missing.extend(part for part in DISTRIBUTION if not hasattr(distribution, part))
        return live.carry, carry, () if missing else distribution.mode()

    before, after, action = jax.eval_shape(answer, jax.random.key(SEED))
    if missing:
        raise ContractError(
            f"agent `{name}` answers with a distribution without {', '.join(missing)}",
            hint="see steelyard.agents.distributions.Normal",
        )
    if _shapes(before) != _shapes(after):
        raise ContractError(
            f"agent `{name}`: its memory changes from {before} to {after} in a step",
            hint="return a carry of the shapes and types of initial_carry()",
        )
    wanted = env.action_space(params).shape
    if action.shape != wanted:
        raise ContractError(
            f"agent `{name}` answers with actions of shape {action.shape}, not {wanted}",
            hint="size the policy by env.action_space(params)",
        )


def _shapes(tree: Any) -> tuple[Any, list[Any]]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _decider(env: Env, steps: int) -> Decide:
    """Play a policy for `steps` decisions; one program for all markets of one shape."""

    @eqx.filter_jit
    def play(policy: Policy, params: Params) -> tuple[Any, Any]:
        _, lived = rollout(jax.random.key(SEED), env, params, policy, steps, sample=False)
        return getattr(lived.obs, "row", None), lived.action

    def decide(policy: Policy, params: Params) -> tuple[Any, Any]:
        rows, actions = play(policy, params)
        return None if rows is None else np.asarray(rows), np.asarray(actions)

    return decide


def _check_actions(actions: NDArray[Any], name: str, space: Space) -> None:
    """All actions must be numbers, or choices that exist."""
    if not np.isfinite(actions).all():
        raise ContractError(
            f"agent `{name}` answers with an action that is not a number",
            hint="check the inputs of the policy for NaN, and its divisions for 0",
        )
    if space.choices and not ((actions >= 0) & (actions < space.choices)).all():
        raise ContractError(
            f"agent `{name}` chooses {actions.min()}..{actions.max()} of {space.choices} choices",
            hint="number the choices from 0",
        )


def _check_causal(
    agent: Any,
    name: str,
    env: Env,
    params: Params,
    policy: Policy,
    decide: Decide,
    played: tuple[NDArray[Any], NDArray[Any]],
) -> None:
    """Actions up to row t must not move with what comes after t."""
    rows, actions = played
    learns = getattr(agent, "learns", True)
    for step in np.unique(np.linspace(0, len(rows) - 1, CUTS + 1)[:-1].astype(int)).tolist():
        row = int(rows[step])
        known = np.cumprod(rows <= row).sum()  # up to where the episode passes row
        for world in WORLDS:
            market = another_future(params.market, row, world)
            changed = replace(params, market=market)
            there = policy if learns else _train(agent, name, env, changed)
            others = decide(there, changed)[1]
            same = (actions == others).reshape(len(rows), -1).all(axis=1)
            if not same[:known].all():
                first = int(rows[int(np.argmin(same))])
                raise ContractError(
                    f"agent `{name}` looks ahead: its action at row {first} changes with what "
                    f"comes after the close of row {row} ({world})",
                    hint="at row t use marks, table and gauges up to t, and fills before t",
                )
