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
* A step is one compiled program for the whole batch, with the market as its argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from steelyard.envs.stepping import Episode, Stepper
from steelyard.errors import ConfigError, ContractError
from steelyard.rollout import Env, Params

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
        self._episode: Episode | None = None
        self._keys: PRNGKeyArray | None = None
        self.observation_space, self.action_space = _spaces(self._stepper)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vectors, Infos]:
        """Start an episode; without a seed, from where the stream of keys stands."""
        seed = self._seed if self._keys is None and seed is None else seed
        super().reset(seed=seed)
        if self._keys is None or seed is not None:
            self._keys = self._stepper.keys([self.np_random_seed or 0])[0]
        self._episode, answer = self._stepper.reset(self._keys)
        self._keys = self._episode.keys
        return np.array(answer.vector), _facts(answer.info)

    def step(self, action: Any) -> tuple[Vectors, float, bool, bool, Infos]:
        """One step.

        Raises:
            ContractError: no episode is in progress, or the action is not in the space.
        """
        if self._episode is None:
            raise ContractError("no episode is in progress", hint="call reset() first")
        action = _checked(action, self.action_space)
        episode, answer = self._stepper.step(self._episode, action)
        terminated, truncated = bool(answer.terminated), bool(answer.truncated)
        self._episode = None if terminated or truncated else episode
        self._keys = episode.keys
        vector, reward = np.array(answer.vector), float(answer.reward)
        return vector, reward, terminated, truncated, _facts(answer.info)


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
        if num_envs < 1:
            raise ConfigError(f"num_envs must be at least 1, got {num_envs}", hint="num_envs=64")
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        self._stepper = Stepper(env, params)
        self._seed = seed
        self._episodes: Episode | None = None
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = _spaces(self._stepper)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

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
            keys = self._stepper.keys(self._seeds(seed))
        else:
            keys = self._episodes.keys
        self._episodes, answer = self._stepper.reset_all(keys)
        return np.array(answer.vector), self._infos(answer.info)

    def step(self, actions: Any) -> tuple[Vectors, NDArray[np.float64], Truths, Truths, Infos]:
        """One step of every environment; those that end start their next episode.

        Raises:
            ContractError: nothing was reset yet, or an action is not in the space.
        """
        if self._episodes is None:
            raise ContractError("no episode is in progress", hint="call reset() first")
        actions = _checked(actions, self.action_space)
        self._episodes, answer, last = self._stepper.step_all(self._episodes, actions)
        infos = self._infos(answer.info)
        ended = np.asarray(answer.terminated) | np.asarray(answer.truncated)
        if ended.any():
            vectors, final = np.array(last.vector), np.full(self.num_envs, None, dtype=object)
            for i in np.flatnonzero(ended):
                final[i] = vectors[i]
            infos |= {"final_obs": final, "_final_obs": ended}
            infos |= {"final_info": self._infos(last.info, ended), "_final_info": ended.copy()}
        return (
            np.array(answer.vector),
            np.array(answer.reward, np.float64),
            np.array(answer.terminated),
            np.array(answer.truncated),
            infos,
        )

    def _seeds(self, seed: int | Sequence[int] | None) -> list[int]:
        """One seed per environment."""
        if seed is None or isinstance(seed, int | np.integer):
            super().reset(seed=None if seed is None else int(seed))
            first = self.np_random_seed or 0
            return [first + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ConfigError(
                f"{len(seed)} seeds came for {self.num_envs} environments",
                hint="give one seed for all, or one for each",
            )
        return [int(one) for one in seed]

    def _infos(self, info: dict[str, Array], there: Truths | None = None) -> Infos:
        """Facts of all environments, each with the mask of those that it holds for."""
        there = np.ones(self.num_envs, bool) if there is None else there
        infos: Infos = {}
        for name, values in info.items():
            infos |= {name: np.array(values), f"_{name}": there.copy()}
        return infos


def _spaces(stepper: Stepper) -> tuple[gymnasium.Space[Any], gymnasium.Space[Any]]:
    """Observations and actions of one environment, for Gymnasium."""
    vectors, actions = Box(-LARGEST, LARGEST, (stepper.size,), np.float32), stepper.space
    if actions.choices:
        return vectors, Discrete(actions.choices)
    return vectors, Box(actions.low, actions.high, actions.shape, np.float32)


def _checked(actions: Any, space: gymnasium.Space[Any]) -> NDArray[Any]:
    """Actions as an array of `space`. Environments clip to their box, so that only NaN is refused.

    Raises:
        ContractError: another shape or type, NaN, or a choice that does not exist.
    """
    try:
        array = np.asarray(actions)
    except ValueError as error:
        raise ContractError(f"the action {actions!r} is no array") from error
    kinds = "iuf" if isinstance(space, Box) else "iu"
    if array.shape != space.shape or array.dtype.kind not in kinds:
        raise ContractError(
            f"an action of shape {array.shape} and type {array.dtype} came, not one of {space}",
            hint="action_space.sample() draws one that fits",
        )
    fits = not np.isnan(array).any() if isinstance(space, Box) else space.contains(array)
    if not fits:
        raise ContractError(f"the action {actions!r} is not in {space}")
    return array.astype(space.dtype)


def _facts(info: dict[str, Array]) -> Infos:
    """Facts as Python numbers and NumPy arrays."""
    host = {name: np.array(values) for name, values in info.items()}
    return {name: values if values.ndim else values.item() for name, values in host.items()}


if ID not in gymnasium.registry:
    gymnasium.register(
        ID,
        entry_point="steelyard.envs.gymnasium:GymEnv",
        vector_entry_point="steelyard.envs.gymnasium:GymVectorEnv",
    )
