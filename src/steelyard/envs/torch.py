"""A door for PyTorch: many environments whose observations and rewards are torch tensors.

```python
envs = TorchVectorEnv(StockEnv(), params, num_envs=1024)
obs = envs.reset(seed=0)
obs, reward, terminated, truncated, info = envs.step(policy(obs))
```

* Tensors lie where JAX put the environments, on the CPU or on a GPU, and share their memory with
  JAX by DLPack in both directions: nothing is copied. A tensor that was handed out is yours; no
  later step writes to it.
* Episodes end, and the next ones start, in the same step, as in `GymVectorEnv`, whose trajectories
  these are: same seeds, same actions, same numbers.
* `reset` and `step` take no gradient; the market is not differentiated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np
import torch
from jaxtyping import Array

from steelyard.compilation import run_inline
from steelyard.envs.programs import Answer, Episode
from steelyard.envs.stepping import Stepper, at_least_one, no_episode, seeds_of
from steelyard.errors import ContractError
from steelyard.rollout import Env, Params
from steelyard.types import Space

run_inline()


class Facts(Mapping[str, torch.Tensor]):
    """What a step says beside the rewards, for people: name -> tensor, made when it is asked for.

    `final_obs` (B, D), where episodes ended, holds in their rows what was seen last; the other
    rows are those of the observation.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays

    def __getitem__(self, name: str) -> torch.Tensor:
        return as_tensor(self._arrays[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


class TorchVectorEnv:
    """Many environments on tensors; see the head of this file.

    Args:
        env: any environment of this library, or one that keeps its contract.
        params: its settings, shared by all.
        num_envs: B, how many.
        seed: of the first reset, where that is given none.
        check: refuse actions that are NaN, or choices that do not exist. On a GPU that waits for
            the device at every step; where None it is done on the CPU alone.

    Attributes:
        num_envs: B.
        observation_size: D, the length of the vector that is observed.
        action_space: the actions of one environment.
        device: where the tensors lie.
    """

    def __init__(
        self,
        env: Env,
        params: Params,
        num_envs: int,
        *,
        seed: int | None = None,
        check: bool | None = None,
    ) -> None:
        self.num_envs = at_least_one(num_envs)
        self._stepper = Stepper(env, params)
        self._seed = seed
        self._episodes: Episode | None = None
        self.observation_size = self._stepper.size
        self.action_space: Space = self._stepper.space
        platform = jax.default_backend()
        self.device = torch.device("cuda" if platform == "gpu" else "cpu")
        self._apart = platform == "cpu"
        self._check = self._apart if check is None else check

    def reset(self, seed: int | Sequence[int] | None = None) -> torch.Tensor:
        """Start all episodes anew.

        Args:
            seed: `s` gives environment i the seed `s + i`; a sequence gives each its own; None
                goes on from where the streams of keys stand.

        Returns:
            (B, D) float32.
        """
        seed = self._seed if self._episodes is None and seed is None else seed
        if self._episodes is None and seed is None:
            seed = int(np.random.default_rng().integers(2**32))
        if seed is None:
            assert self._episodes is not None
            streams = self._episodes.stream
        else:
            streams = self._stepper.streams(seeds_of(seed, self.num_envs))
        self._episodes, answer = self._stepper.reset_all(streams)
        return as_tensor(answer.vector)

    def step(
        self, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, Facts]:
        """One step of every environment; those that end start their next episode.

        Args:
            actions: (B, ...) on `device`; numbers for a box, which clips them, and whole numbers
                for choices.

        Returns:
            Observations (B, D) and rewards (B,), `terminated` and `truncated` (B,), and `Facts`.

        Raises:
            ContractError: nothing was reset yet, or an action is not in the space.
        """
        if self._episodes is None:
            raise no_episode()
        given = self._as_array(actions)
        answer, last, ended = self._apart_or_at_once(self._episodes, given)
        facts = dict(answer.info)
        if ended:
            facts["final_obs"] = last.vector
        return (
            as_tensor(answer.vector),
            as_tensor(answer.reward),
            as_tensor(answer.terminated),
            as_tensor(answer.truncated),
            Facts(facts),
        )

    def _apart_or_at_once(self, episodes: Episode, given: Array) -> tuple[Answer, Answer, bool]:
        """What to act on next; what was seen before any reset; whether that has to be told.

        The CPU has the answer at hand and starts episodes where there is need. A GPU would have to
        be waited for, and starts them all in the same program.
        """
        if not self._apart:
            self._episodes, answer, last = self._stepper.advance(episodes, given)
            return answer, last, True
        self._episodes, last = self._stepper.step_all(episodes, given)
        ended = np.asarray(last.terminated) | np.asarray(last.truncated)
        if not ended.any():
            return last, last, False
        self._episodes, answer = self._stepper.renew_rows(self._episodes, last, ended)
        return answer, last, True

    def _as_array(self, actions: torch.Tensor) -> Array:
        """Actions as an array on the same memory, where their type is the environment's.

        Raises:
            ContractError: they are not in the space.
        """
        choices = self.action_space.choices
        shape = (self.num_envs, *(() if choices else self.action_space.shape))
        whole = not (actions.is_floating_point() or actions.is_complex())
        fits = whole and actions.dtype != torch.bool if choices else actions.is_floating_point()
        if tuple(actions.shape) != shape or not fits or actions.device.type != self.device.type:
            kind = "whole numbers" if choices else "floating-point numbers"
            raise ContractError(
                f"actions of shape {tuple(actions.shape)} and type {actions.dtype} came on "
                f"{actions.device}, not {kind} of shape {shape} on {self.device}",
            )
        if self._check:
            low, high = actions.min().item(), actions.max().item()
            if (low < 0 or high >= choices) if choices else low != low:
                raise ContractError("an action is NaN or no choice that exists")
        wanted = torch.int32 if choices else torch.float32
        given: Array = jax.dlpack.from_dlpack(actions.detach().to(wanted).contiguous())
        return given


def as_tensor(array: Array) -> torch.Tensor:
    """A tensor on the memory of `array`."""
    tensor: torch.Tensor = torch.from_dlpack(array)
    return tensor
