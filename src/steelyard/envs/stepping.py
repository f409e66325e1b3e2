"""Stepping an environment from outside JAX: what the doors for other libraries are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32
from numpy.typing import NDArray

from steelyard.envs.packing import Layout, Reader
from steelyard.envs.programs import Answer, Episode, Fixed, Stream, programs_of, put_rows
from steelyard.errors import ConfigError, ContractError
from steelyard.rollout import Action, Env, Params

FEW = 32
"""Episodes that are renewed together where not many ended; all are where more did."""

LINE = 16
"""Numbers of four bytes in a line of the cache, at the start of which JAX shares memory."""

SMALL = 64
"""Numbers up to which an array of the environment or its params is packed with others."""


class Stepper:
    """An environment and its params as a few compiled programs; the params are their argument.

    Two steppers of equal environments share their programs. Params that hold a number in 64 bits
    are stepped in 64 bits. One episode goes from call to call as a buffer of words, of which
    `read` finds the answer; a batch goes as a tuple of arrays.

    Attributes:
        space: the actions.
        size: D, the length of the vector.
    """

    def __init__(self, env: Env, params: Params) -> None:
        self._double = in_double(params)
        arrays, static = eqx.partition(env, eqx.is_array)
        self.space = env.action_space(params)
        with jax.enable_x64(self._double):
            leaves, tree = jax.tree.flatten((arrays, params))
            arrays = [jnp.asarray(leaf) for leaf in leaves]
            small = [leaf for leaf in arrays if leaf.size <= SMALL]
            layout = Layout.of(small)
            large = tuple(leaf for leaf in arrays if leaf.size > SMALL)
            self._fixed = Fixed(layout.pack(small), large)
            packed = tuple((leaf.size <= SMALL, leaf.weak_type) for leaf in arrays)
            self._programs = programs_of(static, tree, layout, packed)
            answer, episode = self._programs.layouts(self._fixed)
        self.size = next(slot.shape[0] for slot in answer.slots if slot.leaf == 0)
        self._mail = None if self.space.choices else mailbox(self.space.shape)
        self._behind, self._read, self._episode = answer.size, Reader(answer), Reader(episode)

    def streams(self, seeds: Sequence[int]) -> Stream:
        """(B,) one stream per seed, on the host."""
        numbers = np.array([seed % 2**32 for seed in seeds], np.uint32)
        keys = np.asarray(jax.random.key_data(jax.vmap(jax.random.key)(numbers)))
        return Stream(keys, np.zeros(len(seeds), np.uint32))

    def reset(self, stream: Stream) -> UInt32[Array, " W"]:
        """A fresh episode."""
        words: Array = self._run(self._programs.begin, stream)
        return words

    def step(self, words: UInt32[Array, " W"], action: Action) -> UInt32[Array, " W"]:
        """One step; nothing is reset. What it returns is to be read before the next one."""
        if self._mail is not None:
            self._mail[0][...] = action
            action = self._mail[1]
        stepped: Array = self._run(self._programs.step, words, action)
        return stepped

    def read(self, words: NDArray[np.uint32]) -> Any:
        """The `Answer` in the words of an episode, as numbers of Python and views of the words."""
        return self._read(words)

    def stream(self, words: NDArray[np.uint32]) -> Stream:
        """From where an episode would draw next."""
        stream: Stream = self._episode(words[self._behind :]).stream
        return Stream(stream.key, np.asarray(stream.drawn, np.uint32))

    def reset_all(self, streams: Stream) -> tuple[Episode, Answer]:
        """B fresh episodes."""
        started: tuple[Episode, Answer] = self._run(self._programs.begin_all, streams)
        return started

    def step_all(self, episodes: Episode, actions: Action) -> tuple[Episode, Answer]:
        """One step of B episodes; nothing is reset."""
        stepped: tuple[Episode, Answer] = self._run(self._programs.step_all, episodes, actions)
        return stepped

    def renew(self, episodes: Episode, ended: NDArray[np.intp]) -> tuple[Episode, Answer]:
        """Fresh episodes in the places `ended`, of which there are k >= 1.

        Returns:
            All episodes; and the first answers of the fresh ones, C >= k rows of which k count.
        """
        count = len(episodes.stream.drawn)
        places = np.full(FEW if len(ended) <= FEW else count, count, np.int32)
        places[: len(ended)] = ended
        renewed: tuple[Episode, Answer] = self._run(self._programs.renew, episodes, places)
        return renewed

    def renew_rows(
        self, episodes: Episode, last: Answer, ended: NDArray[np.bool_]
    ) -> tuple[Episode, Answer]:
        """Fresh episodes where one `ended`, and what to act on next; `last` stays as it is."""
        places = np.flatnonzero(ended)
        episodes, first = self.renew(episodes, places)
        padded = np.full(len(first.reward), len(ended), np.int32)
        padded[: len(places)] = places
        vector, info = put_rows((last.vector, last.info), (first.vector, first.info), padded)
        return episodes, last._replace(vector=vector, info=info)

    def advance(self, episodes: Episode, actions: Action) -> tuple[Episode, Answer, Answer]:
        """`step_all` and `renew` in one program, for devices on which looking is dear.

        Returns:
            The episodes to go on with; what to act on next, with the reward and the ends of this
            step; and the answers from before any reset.
        """
        moved: tuple[Episode, Answer, Answer] = self._run(self._programs.advance, episodes, actions)
        return moved

    def _run(self, program: Any, *arguments: Any) -> Any:
        """`program` in the precision of the params; switching it costs a microsecond."""
        if jax.config.jax_enable_x64 is self._double:  # type: ignore[attr-defined]
            return program(self._fixed, *arguments)
        with jax.enable_x64(self._double):
            return program(self._fixed, *arguments)


def at_least_one(num_envs: int) -> int:
    """`num_envs`, which must be positive.

    Raises:
        ConfigError: it is not.
    """
    if num_envs < 1:
        raise ConfigError(f"num_envs must be at least 1, got {num_envs}", hint="num_envs=64")
    return num_envs


def seeds_of(seed: int | Sequence[int], num_envs: int) -> list[int]:
    """One seed per environment: `seed + i` for environment i, or each its own.

    Raises:
        ConfigError: a sequence of another length than `num_envs`.
    """
    if isinstance(seed, int | np.integer):
        return [int(seed) + i for i in range(num_envs)]
    if len(seed) != num_envs:
        raise ConfigError(
            f"{len(seed)} seeds came for {num_envs} environments",
            hint="give one seed for all, or one for each",
        )
    return [int(one) for one in seed]


def no_episode() -> ContractError:
    """What is raised by a step before a reset."""
    return ContractError("no episode is in progress", hint="call reset() first")


def mailbox(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], Array] | None:
    """An array of NumPy and one of JAX on the same memory, None where JAX does not share it.

    An action that is written into it reaches a program of the CPU in a third of the time that it
    takes to hand over an array of NumPy.
    """
    if jax.default_backend() != "cpu":
        return None
    count = int(np.prod(shape))
    room = np.zeros(count + LINE, np.float32)
    skipped = -(room.ctypes.data // room.itemsize) % LINE
    host = room[skipped : skipped + count].reshape(shape)
    device = jax.dlpack.from_dlpack(host)
    return (host, device) if device.unsafe_buffer_pointer() == host.ctypes.data else None


def in_double(params: Params) -> bool:
    """Whether any number in `params` is held in 64 bits."""
    leaves = jax.tree.leaves(params)
    return any(getattr(leaf, "dtype", None) == np.float64 for leaf in leaves)
