"""Doors for Gymnasium: any environment of this library as a `gymnasium.Env` or a `VectorEnv`.

```python
env = GymEnv(StockEnv(), params)
envs = GymVectorEnv(StockEnv(), params, num_envs=64)
env = gymnasium.make("steelyard.envs.gymnasium:steelyard/Market-v0", env=StockEnv(), params=params)
```

* Observations are the float32 vectors that networks see; actions are a `Box` or `Discrete`.
* The end of the data is `truncated`, a lost account `terminated`. The vector environment resets in
  the same step (`AutoresetMode.SAME_STEP`): what it returns is the first observation of the next
  episode; the last one of the old is in `infos["final_obs"]`, its facts in `infos["final_info"]`.
* `reset(seed=s)` starts a stream of keys from which every later reset and step draws: the same
  seed and the same actions give the same trajectory. Environment i of a vector has the seed
  `s + i`, and lives as a `GymEnv` with that seed does.
* A step is one compiled program for the whole batch, with the market as its argument. Nothing
  in Python is done per environment but for those whose episode ends.
* What a vector's `infos` hold can be read and not written: most of it is the program's own output.

Imported before JAX has run anything, this module has programs of the CPU run in the thread that
calls them (`steelyard.compilation.run_inline`), which halves the cost of a single step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Array
from numpy.typing import NDArray

from steelyard.compilation import run_inline
from steelyard.envs.programs import Episode, Stream
from steelyard.envs.stepping import Stepper, at_least_one, no_episode, seeds_of
from steelyard.errors import ContractError
from steelyard.rollout import Env, Params

run_inline()

Vectors: TypeAlias = NDArray[np.float32]
Truths: TypeAlias = NDArray[np.bool_]
Infos: TypeAlias = dict[str, Any]

ID = "steelyard/Market-v0"
"""What `gymnasium.make` and `gymnasium.make_vec` know the two classes as."""

LARGEST = float(np.finfo(np.float32).max)
"""Bound of the observations: any number, but a number."""


class GymEnv(gymnasium.Env[Vectors, Any]):
    """One environment as a `gymnasium.Env`; see the head of this file.

    Args:
        env: any environment of this library, or one that keeps its contract.
        params: its settings. A market in 64 bits is stepped in 64 bits.
        seed: of the first reset, where that is given none.
    """

    def __init__(self, env: Env, params: Params, *, seed: int | None = None) -> None:
        self.metadata = {"render_modes": []}
        self._stepper = Stepper(env, params)
        self._seed = seed
        self._words: Any = None
        self._stream: Stream | None = None
        self.observation_space, self.action_space = spaces_of(self._stepper)
        self._checked = Checker(self.action_space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vectors, Infos]:
        """Start an episode; without a seed, from where the stream of keys stands."""
        if self._words is not None:
            self._stream = self._stepper.stream(np.asarray(self._words))
        seed = self._seed if self._stream is None and seed is None else seed
        super().reset(seed=seed)
        if self._stream is None or seed is not None:
            streams = self._stepper.streams([self.np_random_seed or 0])
            self._stream = Stream(streams.key[0], streams.drawn[0])
        self._words = self._stepper.reset(self._stream)
        vector, _, _, _, info = self._stepper.read(np.array(self._words))
        return vector, info

    def step(self, action: Any) -> tuple[Vectors, float, bool, bool, Infos]:
        """One step.

        Raises:
            ContractError: no episode is in progress, or the action is not in the space.
        """
        if self._words is None:
            raise no_episode()
        words = self._stepper.step(self._words, self._checked(action))
        vector, reward, terminated, truncated, info = self._stepper.read(np.array(words))
        self._words = words
        if terminated or truncated:
            self._stream, self._words = self._stepper.stream(np.asarray(words)), None
        return vector, reward, terminated, truncated, info


class GymVectorEnv(VectorEnv[Vectors, Any, NDArray[Any]]):
    """Many environments as a `gymnasium.vector.VectorEnv`; see the head of this file.

    Args:
        env: any environment of this library, or one that keeps its contract.
        params: its settings, shared by all.
        num_envs: how many.
        seed: of the first reset, where that is given none.

    Raises:
        ConfigError: `num_envs` is not positive.
    """

    def __init__(
        self, env: Env, params: Params, num_envs: int = 1, *, seed: int | None = None
    ) -> None:
        self.num_envs = at_least_one(num_envs)
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        self._stepper = Stepper(env, params)
        self._seed = seed
        self._episodes: Episode | None = None
        self._all = np.ones(num_envs, bool)
        self._all.flags.writeable = False
        self.single_observation_space, self.single_action_space = spaces_of(self._stepper)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._checked = Checker(self.action_space)

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Vectors, Infos]:
        """Start all episodes anew; without a seed, from where the streams of keys stand.

        Args:
            seed: `s` gives environment i the seed `s + i`; a sequence gives each its own.
            options: none are known.

        Raises:
            ConfigError: a sequence of another length than `num_envs`.
        """
        seed = self._seed if self._episodes is None and seed is None else seed
        if self._episodes is None or seed is not None:
            streams = self._stepper.streams(self._seeds(seed))
        else:
            streams = self._episodes.stream
        self._episodes, answer = self._stepper.reset_all(streams)
        return np.array(answer.vector), _masked(answer.info, self._all)

    def step(self, actions: Any) -> tuple[Vectors, NDArray[np.float64], Truths, Truths, Infos]:
        """One step of every environment; those that end start their next episode.

        Raises:
            ContractError: nothing was reset yet, or an action is not in the space.
        """
        if self._episodes is None:
            raise no_episode()
        actions = self._checked(actions)
        self._episodes, answer = self._stepper.step_all(self._episodes, actions)
        vectors, infos = np.array(answer.vector), _masked(answer.info, self._all)
        terminated, truncated = np.array(answer.terminated), np.array(answer.truncated)
        ended = terminated | truncated
        if ended.any():
            infos = self._renew(vectors, infos, ended)
        return vectors, np.array(answer.reward, np.float64), terminated, truncated, infos

    def _renew(self, vectors: Vectors, infos: Infos, ended: Truths) -> Infos:
        """Start the next episodes where one `ended`: rows of `vectors` are replaced in place.

        Returns:
            The facts from after the reset, with what was seen last and the facts from before it.
        """
        assert self._episodes is not None
        places = np.flatnonzero(ended)
        final = np.full(self.num_envs, None, dtype=object)
        for place, last in zip(places, vectors[places], strict=True):
            final[place] = last
        self._episodes, first = self._stepper.renew(self._episodes, places)
        vectors[places] = np.asarray(first.vector)[: len(places)]
        fresh = dict(infos)
        for name, values in first.info.items():
            fresh[name] = np.array(infos[name])
            fresh[name][places] = np.asarray(values)[: len(places)]
        names = first.info.keys()
        last_facts = _masked({name: infos[name] for name in names}, ended)
        return fresh | {
            "final_obs": final,
            "_final_obs": ended,
            "final_info": last_facts,
            "_final_info": ended,
        }

    def _seeds(self, seed: int | Sequence[int] | None) -> list[int]:
        """One seed per environment."""
        if seed is None or isinstance(seed, int | np.integer):
            super().reset(seed=None if seed is None else int(seed))
            return seeds_of(self.np_random_seed or 0, self.num_envs)
        return seeds_of(seed, self.num_envs)


def spaces_of(stepper: Stepper) -> tuple[gymnasium.Space[Any], gymnasium.Space[Any]]:
    """Observations and actions of one environment, for Gymnasium."""
    vectors, actions = Box(-LARGEST, LARGEST, (stepper.size,), np.float32), stepper.space
    if actions.choices:
        return vectors, Discrete(actions.choices)
    return vectors, Box(actions.low, actions.high, actions.shape, np.float32)


class Checker:
    """Actions as arrays of `space`. Environments clip to their box, so that only NaN is refused."""

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        self._space, self._shape, self._box = space, space.shape, isinstance(space, Box)
        self._dtype, self._kinds = space.dtype, "iuf" if self._box else "iu"

    def __call__(self, actions: Any) -> NDArray[Any]:
        """The actions in the type of the space; themselves where they have it.

        Raises:
            ContractError: another shape or type, NaN, or a choice that does not exist.
        """
        try:
            array = np.asarray(actions)
        except ValueError as error:
            raise ContractError(f"the action {actions!r} is no array") from error
        if array.shape != self._shape or array.dtype.kind not in self._kinds:
            raise ContractError(
                f"an action of shape {array.shape} and type {array.dtype} came, "
                f"not one of {self._space}",
                hint="action_space.sample() draws one that fits",
            )
        given = array if array.dtype == self._dtype else array.astype(self._dtype)
        if self._box:
            flat = given.ravel()
            square = flat.dot(flat)  # NaN, which is not itself, if and only if one of them is
            fits = square == square
        else:
            fits = self._space.contains(array)
        if not fits:
            raise ContractError(f"the action {actions!r} is not in {self._space}")
        return given


def _masked(info: dict[str, Array], there: Truths) -> Infos:
    """Facts of all environments, each with the mask of those that it holds for."""
    infos: Infos = {}
    for name, values in info.items():
        infos[name], infos[f"_{name}"] = np.asarray(values), there
    return infos


if ID not in gymnasium.registry:
    gymnasium.register(
        ID,
        entry_point="steelyard.envs.gymnasium:GymEnv",
        vector_entry_point="steelyard.envs.gymnasium:GymVectorEnv",
    )
