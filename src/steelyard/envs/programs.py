"""The compiled programs of an environment that is stepped from outside JAX.

An episode draws from a stream: the key of its seed, folded with the number of keys drawn so far.
An environment that needs no chance thus pays for none, and one that lives in a batch draws as one
that lives alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from steelyard.envs.packing import Layout
from steelyard.errors import ContractError
from steelyard.rollout import Action, Env, Params, State, TimeStep

SEQUENTIAL = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
"""The schedule of XLA that needs least memory is one without anything side by side."""


class Stream(NamedTuple):
    """A stream of keys, raw: the data of its key and the keys drawn so far."""

    key: UInt32[Array | np.ndarray, "*B K"]
    drawn: UInt32[Array | np.ndarray, "*B"]


class Episode(NamedTuple):
    """An episode between two steps."""

    stream: Stream
    state: State


class Answer(NamedTuple):
    """What an environment says after a reset or a step; with a leading B axis from a batch.

    Attributes:
        vector: (D,) float32 what networks see.
        reward, terminated, truncated, info: as in `TimeStep`.
    """

    vector: Float[Array, "*B D"]
    reward: Float[Array, "*B"]
    terminated: Bool[Array, "*B"]
    truncated: Bool[Array, "*B"]
    info: dict[str, Array]


class Fixed(NamedTuple):
    """The arrays of an environment and of its params: small ones in words, and large ones."""

    words: UInt32[Array, " W"]
    large: tuple[Array, ...]


class Programs:
    """The compiled programs of an environment; their first argument is `Fixed`.

    Args:
        static, tree: the environment without its arrays; the structure of those and of the params.
        small: layout of the small leaves.
        packed: for each leaf whether it is a small one, and whether it gives way to the types of
            others as a number of Python does.
    """

    def __init__(
        self, static: Any, tree: Any, small: Layout, packed: tuple[tuple[bool, bool], ...]
    ) -> None:
        self._static, self._tree, self._small, self._packed = static, tree, small, packed
        self.begin, self.step = self._compiled(_begin), self._compiled(_step)
        self.begin_all, self.step_all = self._compiled(_begin_all), self._compiled(_step_all)
        self.renew, self.advance = self._compiled(_renew), self._compiled(_advance)

    def layouts(self, fixed: Fixed) -> tuple[Layout, Layout]:
        """Of an answer and of an episode."""
        found: list[tuple[Layout, Layout]] = []
        jax.eval_shape(self._within(lambda *world: found.append(_layouts(*world))), fixed)
        return found[0]

    def _compiled(self, body: Callable[..., Any]) -> Any:
        return jax.jit(self._within(body), compiler_options=one_thread())

    def _within(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """`body(env, params, ...)` as a function of `Fixed` and the rest.

        What is packed comes out with a type of its own. So the body is traced with leaves that
        still give way as the numbers of Python that they were, and what came of that is run.
        """

        def traced(leaves: Any, *arguments: Any) -> Any:
            arrays, params = jax.tree.unflatten(self._tree, leaves)
            return body(eqx.combine(arrays, self._static), params, *arguments)

        def program(fixed: Fixed, *arguments: Any) -> Any:
            leaves = self._leaves(fixed)
            shapes = [
                jax.ShapeDtypeStruct(  # type: ignore[no-untyped-call]
                    leaf.shape, leaf.dtype, weak_type=weak
                )
                for leaf, (_, weak) in zip(leaves, self._packed, strict=True)
            ]
            made, out = jax.make_jaxpr(traced, return_shape=True)(shapes, *arguments)
            flat = jaxpr_as_fun(made)(*leaves, *jax.tree.leaves(arguments))
            return jax.tree.unflatten(jax.tree.structure(out), flat)

        return program

    def _leaves(self, fixed: Fixed) -> list[Array]:
        small, large = iter(self._small.unpack(fixed.words)), iter(fixed.large)
        return [next(small if is_small else large) for is_small, _ in self._packed]


@jax.jit
def put_rows(rows: Any, fresh: Any, places: Int[Array, " C"]) -> Any:
    """`rows` with those at `places` replaced; places beyond the last one count for nothing."""
    return jax.tree.map(lambda old, new: old.at[places].set(new, mode="drop"), rows, fresh)


@cache
def one_thread() -> dict[str, str] | None:
    """Options by which a program of the CPU runs its parts one after the other.

    They are some dozens of small parts, which XLA would hand to a pool of threads otherwise: that
    takes longer than to do the work. None where this JAX has no such option.
    """
    try:
        jax.jit(lambda number: number, compiler_options=dict(SEQUENTIAL))(0)
    except jax.errors.JaxRuntimeError:
        return None
    return dict(SEQUENTIAL)


@lru_cache(maxsize=64)
def programs_of(static: Any, tree: Any, small: Layout, packed: Any) -> Programs:
    """The programs of an environment, by what of it and of its params is no array."""
    return Programs(static, tree, small, packed)


def _draw(stream: Stream) -> tuple[Stream, PRNGKeyArray]:
    key = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(stream.key)), stream.drawn)
    return stream._replace(drawn=stream.drawn + jnp.uint32(1)), key


def _first(env: Env, params: Params, stream: Stream) -> tuple[Episode, Answer]:
    stream, key = _draw(stream)
    state, step = env.reset(key, params)
    return Episode(stream, state), _answer(env, step, params)


def _next(env: Env, params: Params, episode: Episode, action: Action) -> tuple[Episode, Answer]:
    stream, key = _draw(episode.stream)
    state, step = env.step(key, episode.state, action, params)
    return Episode(stream, state), _answer(env, step, params)


def _answer(env: Env, step: TimeStep, params: Params) -> Answer:
    vector = env.observe(step.obs, params).astype(jnp.float32)
    return Answer(vector, step.reward, step.terminated, step.truncated, step.info)


def _layouts(env: Env, params: Params) -> tuple[Layout, Layout]:
    """Of an answer and of an episode, as a reset makes them."""
    found: list[Layout] = []

    def first(key: PRNGKeyArray) -> None:
        stream = Stream(jax.random.key_data(key), jnp.uint32(0))
        episode, answer = _first(env, params, stream)
        found.extend([Layout.of(answer), Layout.of(episode)])

    jax.eval_shape(first, jax.random.key(0))
    return found[0], found[1]


def _begin(env: Env, params: Params, stream: Stream) -> UInt32[Array, " W"]:
    episode, answer = _first(env, params, stream)
    return jnp.concatenate([Layout.of(answer).pack(answer), Layout.of(episode).pack(episode)])


def _step(
    env: Env, params: Params, words: UInt32[Array, " W"], action: Action
) -> UInt32[Array, " W"]:
    answers, episodes = _layouts(env, params)
    episode, answer = _next(env, params, episodes.unpack(words[answers.size :]), action)
    if (Layout.of(answer), Layout.of(episode)) != (answers, episodes):
        raise ContractError(
            "a step answers with other shapes or types than the reset did",
            hint="check_env(env, params) says of what",
        )
    return jnp.concatenate([answers.pack(answer), episodes.pack(episode)])


def _begin_all(env: Env, params: Params, streams: Stream) -> tuple[Episode, Answer]:
    return jax.vmap(lambda stream: _first(env, params, stream))(streams)


def _step_all(
    env: Env, params: Params, episodes: Episode, actions: Action
) -> tuple[Episode, Answer]:
    return jax.vmap(lambda episode, action: _next(env, params, episode, action))(episodes, actions)


def _renew(
    env: Env, params: Params, episodes: Episode, places: Int[Array, " C"]
) -> tuple[Episode, Answer]:
    """Places beyond the last episode count for nothing."""
    streams = jax.tree.map(lambda rows: rows[places], episodes.stream)
    fresh, first = _begin_all(env, params, streams)
    episodes = jax.tree.map(
        lambda rows, new: rows.at[places].set(new, mode="drop"), episodes, fresh
    )
    return episodes, first


def _advance(
    env: Env, params: Params, episodes: Episode, actions: Action
) -> tuple[Episode, Answer, Answer]:
    episodes, last = _step_all(env, params, episodes, actions)
    fresh, first = _begin_all(env, params, episodes.stream)
    ended = last.terminated | last.truncated

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(ended.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    episodes, vector, info = jax.tree.map(
        choose, (fresh, first.vector, first.info), (episodes, last.vector, last.info)
    )
    return episodes, last._replace(vector=vector, info=info), last
