"""The contract of this room, checked on any environment: `check_env`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steelyard.book import BookMarket
from steelyard.envs.rewards import ValueChange
from steelyard.envs.stepping import in_double
from steelyard.errors import ContractError
from steelyard.lookahead import WORLDS, another_future
from steelyard.market import Market
from steelyard.rollout import Env, Params, TimeStep
from steelyard.types import Space

CUTS = 4  # rows after which the future is replaced
BATCH = 3  # environments that are stepped together
SEED = 0


class Played(NamedTuple):
    """What was seen of one episode of T steps under given actions, or of its first steps.

    Attributes:
        rows: (T+1,) rows of the market; none where observations have none.
        vectors: (T+1, D) observation vectors.
        rewards: (T,).
        info: name -> (T+1, ...).
        traces: how often the step was traced.
    """

    rows: NDArray[Any] | None
    vectors: NDArray[Any]
    rewards: NDArray[Any]
    info: dict[str, NDArray[Any]]
    traces: int


def check_env(
    env: Env, params: Params, *, steps: int = 64, reward_scale: float | None = None
) -> None:
    """Check that an environment keeps the contract of its room under random actions.

    * `reset` and `step` answer with a state and a `TimeStep`; state, observation and info keep
      their structure, shapes and types, so that a loop can be compiled; the reward is one float,
      `terminated` and `truncated` are bools, and no episode ends with its reset.
    * `observe` makes a vector; vectors, rewards and infos are finite numbers.
    * The step is traced once, and the same key and actions give the same episode in a new trace.
    * Stepping many environments at once is stepping each of them.
    * Where `info` has a `value`, the rewards add up to its change times the scale of the reward.
    * Where the params hold a market, observations and rewards up to row t stay the same when
      everything after the close of row t is replaced, at several t.

    Args:
        env: any environment.
        params: its settings.
        steps: of the episode that is played; it is left where it ends earlier.
        reward_scale: what a reward of 1 is in value. By default that of `params.reward` if it is a
            `ValueChange`; 1 if the params have no reward; rewards of another kind are not added up.

    Raises:
        ContractError: the first part of the contract that is broken, with a hint.
    """
    name = type(env).__name__
    with jax.enable_x64(in_double(params)):
        params = jax.tree.map(jnp.asarray, params)
        space = _check_shapes(env, name, params)
        actions = _draw(space, steps)
        program = _program(env)
        played = _play(program, params, actions)
        _check_numbers(played, name)
        _check_programs(env, name, params, actions, played)
        _check_batch(env, name, params, actions[:8])
        _check_value(played, name, _scale(params) if reward_scale is None else reward_scale)
        tradable = isinstance(getattr(params, "market", None), Market | BookMarket)
        if tradable and played.rows is not None:
            _check_causal(program, name, params, actions, played, played.rows)


def _draw(space: Space, steps: int) -> NDArray[Any]:
    """Seeded random actions (T, A), or (T,) choices."""
    random = np.random.default_rng(SEED)
    if space.choices:
        return random.integers(0, space.choices, steps).astype(np.int32)
    return random.uniform(space.low, space.high, (steps, *space.shape)).astype(np.float32)


def _check_shapes(env: Env, name: str, params: Params) -> Space:
    """Everything that can be seen without running anything."""
    space = env.action_space(params)
    if not isinstance(space, Space):
        raise ContractError(
            f"env `{name}`: action_space answers with {type(space).__name__}, not a Space",
            hint="return Space(shape=(n,)) or Space(choices=n)",
        )
    action = jnp.asarray(_draw(space, 1)[0])
    key = jax.random.key(SEED)
    state, first = _answer(jax.eval_shape(env.reset, key, params), name, "reset")
    after, step = _answer(jax.eval_shape(env.step, key, state, action, params), name, "step")
    for what, before, then in (
        ("state", state, after),
        ("observation", first.obs, step.obs),
        ("info", first.info, step.info),
    ):
        if _shapes(before) != _shapes(then):
            raise ContractError(
                f"env `{name}`: its {what} is {before} after reset and {then} after a step",
                hint="keep structure, shapes and types from reset to step",
            )
    for answer in (first, step):
        _check_scalars(answer, name)
    vector = jax.eval_shape(env.observe, step.obs, params)
    if len(vector.shape) != 1 or not jnp.issubdtype(vector.dtype, jnp.floating):
        raise ContractError(
            f"env `{name}`: observe makes {vector.dtype}{list(vector.shape)}, not a float vector",
            hint="jnp.concatenate what networks shall see to one vector",
        )
    return space


def _answer(answer: Any, name: str, method: str) -> tuple[Any, TimeStep]:
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], TimeStep):
        return answer[0], answer[1]
    raise ContractError(
        f"env `{name}`: {method} answers with {type(answer).__name__}, not a state and a TimeStep",
        hint="return state, TimeStep(obs, reward, terminated, truncated, info)",
    )


def _check_scalars(step: TimeStep, name: str) -> None:
    for what, kind in (
        ("reward", jnp.floating),
        ("terminated", jnp.bool_),
        ("truncated", jnp.bool_),
    ):
        value = getattr(step, what)
        shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", type(value))
        if shape != () or not jnp.issubdtype(dtype, kind):
            raise ContractError(
                f"env `{name}`: {what} is {dtype} of shape {shape}, not one {kind.__name__}",
                hint="write the environment for one agent; the caller maps it over many",
            )


def _shapes(tree: Any) -> tuple[Any, list[Any]]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


class Program(NamedTuple):
    """Reset and step that also observe, and a list that grows with every trace of the step."""

    reset: Callable[..., Any]
    step: Callable[..., Any]
    traces: list[str]


def _program(env: Env) -> Program:
    """Programs that are traced anew."""
    traces: list[str] = []

    def reset(key: Any, params: Params) -> Any:
        state, step = env.reset(key, params)
        return state, step, env.observe(step.obs, params)

    def step(key: Any, state: Any, action: Any, params: Params) -> Any:
        traces.append("step")
        state, step = env.step(key, state, action, params)
        return state, step, env.observe(step.obs, params)

    return Program(jax.jit(reset), jax.jit(step), traces)


def _play(program: Program, params: Params, actions: NDArray[Any]) -> Played:
    """Step by step, as far as the first episode goes."""
    reset, step, traces = program
    seed = jax.random.key(SEED)
    state, answer, vector = reset(seed, params)
    answers, vectors = [answer], [np.asarray(vector)]
    for number, action in enumerate(actions):
        if answer.terminated | answer.truncated:
            break
        state, answer, vector = step(jax.random.fold_in(seed, number), state, action, params)
        answers.append(answer)
        vectors.append(np.asarray(vector))
    rows = [getattr(answer.obs, "row", None) for answer in answers]
    return Played(
        rows=None if rows[0] is None else np.array(rows),
        vectors=np.stack(vectors),
        rewards=np.array([answer.reward for answer in answers[1:]]),
        info={n: np.stack([np.asarray(a.info[n]) for a in answers]) for n in answers[0].info},
        traces=len(traces),
    )


def _check_numbers(played: Played, name: str) -> None:
    if len(played.rewards) == 0:
        raise ContractError(
            f"env `{name}`: the episode has ended with its reset",
            hint="terminated and truncated are about a step that was made",
        )
    for what, values in {
        "observation": played.vectors,
        "reward": played.rewards,
        **{f"info `{key}`": values for key, values in played.info.items()},
    }.items():
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if bad.any():
            raise ContractError(
                f"env `{name}`: its {what} is not finite at step {int(np.argmax(bad))}",
                hint="look for a division by zero, or for data that were never observed",
            )


def _check_programs(
    env: Env, name: str, params: Params, actions: NDArray[Any], played: Played
) -> None:
    if played.traces > 1:
        raise ContractError(
            f"env `{name}`: the step was traced {played.traces} times in one episode",
            hint="give every number of the state a type: jnp.zeros((), jnp.float32), not 0.0",
        )
    again = _play(_program(env), params, actions)
    if not (_equal(again.vectors, played.vectors) and _equal(again.rewards, played.rewards)):
        raise ContractError(
            f"env `{name}`: the same key and the same actions give another episode",
            hint="take all randomness from the key, by jax.random, and keep nothing outside",
        )


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and bool((one == other).all())


def _check_batch(env: Env, name: str, params: Params, actions: NDArray[Any]) -> None:
    """A few steps of several environments, at once and one by one."""

    def few(key: Any, params: Params) -> Any:
        state, step = env.reset(key, params)

        def advance(state: Any, action: Any) -> Any:
            state, step = env.step(key, state, action, params)
            return state, (env.observe(step.obs, params), step.reward)

        return env.observe(step.obs, params), jax.lax.scan(advance, state, actions)[1]

    keys = jax.random.split(jax.random.key(SEED), BATCH)
    together = jax.jit(jax.vmap(few, in_axes=(0, None)))(keys, params)
    single = jax.jit(few)
    alone = [single(key, params) for key in keys]
    tolerance = 1e-9 if in_double(params) else 1e-3  # a share may flip in 32 bits
    for values, *each in zip(jax.tree.leaves(together), *map(jax.tree.leaves, alone), strict=True):
        if not np.allclose(values, np.stack(each), rtol=tolerance, atol=tolerance, equal_nan=True):
            raise ContractError(
                f"env `{name}`: stepping {BATCH} environments at once differs from each alone",
                hint="write the environment for one agent, without looking at a batch",
            )


def _scale(params: Params) -> float | None:
    reward = getattr(params, "reward", None)
    if reward is None:
        return 1.0
    return float(reward.scale) if isinstance(reward, ValueChange) else None


def _check_value(played: Played, name: str, scale: float | None) -> None:
    if scale is None or "value" not in played.info:
        return
    value = played.info["value"].astype(np.float64)
    earned, change = played.rewards.astype(np.float64).sum(), scale * (value[-1] - value[0])
    rounding = 4 * len(value) * np.finfo(played.rewards.dtype).eps
    if abs(earned - change) > rounding * abs(scale) * np.abs(value).max():
        raise ContractError(
            f"env `{name}`: rewards add up to {earned:.9g}, {scale:g} times the change of value is "
            f"{change:.9g}",
            hint="reward every change of value once, or state reward_scale=",
        )


def _check_causal(
    program: Program,
    name: str,
    params: Params,
    actions: NDArray[Any],
    played: Played,
    rows: NDArray[Any],
) -> None:
    for step in np.unique(np.linspace(0, len(rows) - 2, CUTS).astype(int)).tolist():
        known = step + 1  # observations of this episode up to the row, its own included
        for world in WORLDS:
            market = another_future(params.market, int(rows[step]), world)
            changed = replace(params, market=market)
            other = _play(program, changed, actions[: known - 1])
            if not (
                _equal(other.vectors, played.vectors[:known])
                and _equal(other.rewards, played.rewards[: known - 1])
            ):
                raise ContractError(
                    f"env `{name}` looks ahead: what it says up to row {rows[step]} changes with "
                    f"what comes after its close ({world})",
                    hint="at row t show marks, table and gauges up to t, and fills before t",
                )
