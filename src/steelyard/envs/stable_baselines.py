"""A door for stable-baselines3: many environments as one of its `VecEnv`.

```python
envs = SB3VecEnv(StockEnv(), params, num_envs=64)
model = stable_baselines3.PPO("MlpPolicy", envs)
```

* Episodes end, and the next ones start, in the same step; what was seen last is in the
  `terminal_observation` of its info. The end of the data is told by `TimeLimit.truncated`, so that
  agents bootstrap there, as they must not where an account was lost.
* The infos of environments whose episode goes on are empty and always the same objects: to fill
  thousands of dictionaries would take longer than the step. `info=True` fills them.
* `seed(s)` gives environment i the seed `s + i` at the next reset, as `GymVectorEnv` does, whose
  trajectories these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from steelyard.envs.gymnasium import GymVectorEnv
from steelyard.errors import ContractError
from steelyard.rollout import Env, Params

Indices = int | Sequence[int] | None


class SB3VecEnv(VecEnv):
    """Many environments as a `VecEnv`; see the head of this file.

    Args:
        env: any environment of this library, or one that keeps its contract.
        params: its settings, shared by all.
        num_envs: how many.
        seed: of the first reset, where `seed` is not called before it.
        info: fill the infos of every step with the facts of the environment.

    Raises:
        ConfigError: `num_envs` is not positive.
    """

    def __init__(
        self,
        env: Env,
        params: Params,
        num_envs: int,
        *,
        seed: int | None = None,
        info: bool = False,
    ) -> None:
        self._envs = GymVectorEnv(env, params, num_envs, seed=seed)
        self._info = info
        self._actions: NDArray[Any] | None = None
        shared = {"env": env, "params": params, "render_mode": None}
        self._attributes: list[dict[str, Any]] = [dict(shared) for _ in range(num_envs)]
        super().__init__(
            num_envs, self._envs.single_observation_space, self._envs.single_action_space
        )
        self._nothing: list[dict[str, Any]] = [{} for _ in range(num_envs)]

    def reset(self) -> NDArray[np.float32]:
        """Start all episodes anew, with the seeds that were set since the last reset."""
        seeds = [seed for seed in self._seeds if seed is not None]
        vectors, infos = self._envs.reset(seed=seeds or None)
        self.reset_infos = self._filled(infos) if self._info else list(self._nothing)
        self._reset_seeds()
        self._reset_options()
        return vectors

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions for the next `step_wait`."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step every environment; those that end start their next episode.

        Raises:
            ContractError: no actions were given, or one is not in the space.
        """
        if self._actions is None:
            raise ContractError("step_wait without step_async", hint="call step(actions)")
        actions, self._actions = self._actions, None
        vectors, rewards, terminated, truncated, infos = self._envs.step(actions)
        told = self._filled(infos) if self._info else list(self._nothing)
        ended = terminated | truncated
        for i in np.flatnonzero(ended):
            last = infos["final_info"]
            facts = {name: last[name][i] for name in last if name[0] != "_"} if self._info else {}
            told[i] = facts | {
                "terminal_observation": infos["final_obs"][i],
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
            }
        return vectors, rewards.astype(np.float32), ended, told

    def close(self) -> None:
        """Nothing is held."""

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """`env`, `params`, or what `set_attr` has set.

        Raises:
            AttributeError: no environment has it.
        """
        chosen = [self._attributes[i] for i in self._get_indices(indices)]
        if any(attr_name not in one for one in chosen):
            raise AttributeError(f"the environments have no attribute `{attr_name}`")
        return [one[attr_name] for one in chosen]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Note an attribute beside the environments.

        Raises:
            AttributeError: it is one of those that the environments are made of.
        """
        if attr_name in ("env", "params"):
            raise AttributeError(f"`{attr_name}` is shared by all: make a new SB3VecEnv of it")
        for i in self._get_indices(indices):
            self._attributes[i][attr_name] = value

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """None can be called: the environments are one program.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"the environments have no method `{method_name}`")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Indices = None) -> list[bool]:
        """None is."""
        return [False for _ in self._get_indices(indices)]

    def _filled(self, infos: dict[str, Any]) -> list[dict[str, Any]]:
        """A dictionary of facts per environment."""
        names = [name for name in infos if name[0] != "_" and not name.startswith("final_")]
        return [{name: infos[name][i] for name in names} for i in range(self.num_envs)]
