"""A memory of transitions, from which learners that look back draw minibatches.

The ring holds whole vector steps: entry [slot, env] is one transition of one environment, and the
entry that follows it in the same environment is [slot + 1, env]. Observations are kept as the
environment stores them, so that no vector is written down.

A draw never pairs what does not belong together: n-step returns stop at the end of an episode and
at the newest entry, and the newest n - 1 steps are not drawn before their n steps are known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from steelyard.agents.priorities import Priorities
from steelyard.rollout import Action, Obs

Number = float | Float[Array, ""]


class Step(NamedTuple):
    """One vector step; leaves (E, ...), in the ring (L, E, ...).

    Attributes:
        action: as the learner takes it, which need not be the environment's scale.
        next_obs: from before any reset.
    """

    obs: Obs
    action: Action
    reward: Float[Array, "*L E"]
    next_obs: Obs
    terminated: Bool[Array, "*L E"]
    truncated: Bool[Array, "*L E"]


class Batch(NamedTuple):
    """B transitions of up to n steps.

    Attributes:
        obs, action: at the first step.
        reward: discounted sum over the steps.
        next_obs: after the last step.
        discount: of the value of `next_obs`: gamma to the number of steps, 0 if terminated.
        weight: importance of the sample; 1 where draws are uniform.
        place: where each sample lies in the ring, slot * E + env.
    """

    obs: Obs
    action: Action
    reward: Float[Array, " B"]
    next_obs: Obs
    discount: Float[Array, " B"]
    weight: Float[Array, " B"]
    place: Int[Array, " B"]


class Replay(eqx.Module):
    """A ring of the last L vector steps of E environments; pure, so that `jax.vmap` stacks it.

    Attributes:
        steps: leaves (L, E, ...).
        count: vector steps that were ever added.
        priorities: of all entries; None where draws are uniform.
        n_steps: steps of a return.
    """

    steps: Step
    count: Int[Array, ""]
    priorities: Priorities | None
    n_steps: int = eqx.field(static=True, default=1)

    @classmethod
    def create(
        cls, example: Step, length: int, *, n_steps: int = 1, prioritised: bool = False
    ) -> Replay:
        """An empty ring.

        Args:
            example: a vector step, or its shapes and types as of `jax.eval_shape`.
            length: L, vector steps that it holds, at least `n_steps`.
        """
        steps = jax.tree.map(lambda leaf: jnp.zeros((length, *leaf.shape), leaf.dtype), example)
        envs = example.reward.shape[0]
        priorities = Priorities.create(length, envs) if prioritised else None
        return cls(steps, jnp.zeros((), jnp.int32), priorities, n_steps)

    @property
    def length(self) -> int:
        """L."""
        return int(self.steps.reward.shape[0])

    @property
    def envs(self) -> int:
        """E."""
        return int(self.steps.reward.shape[1])

    def add(self, step: Step) -> Replay:
        """With one more vector step, in the place of the oldest where the ring is full."""
        slot = self.count % self.length
        steps = jax.tree.map(
            lambda all_, new: jax.lax.dynamic_update_index_in_dim(all_, new, slot, 0),
            self.steps,
            step,
        )
        priorities = self.priorities
        if priorities is not None:
            complete = (self.count - self.n_steps + 1) % self.length
            known = self.count + 1 >= self.n_steps
            priorities = priorities.close(slot).open(complete, known)
        return Replay(steps, self.count + 1, priorities, self.n_steps)

    def sample(
        self, bits: UInt32[Array, " B"], discount: Number, importance: Number = 1.0
    ) -> Batch:
        """B transitions, each drawn on its own; at least `n_steps` steps must have been added.

        Args:
            bits: 32 random bits per draw. Uniform draws are their remainders, which favours
                entries by less than one part in 10,000 for rings up to 400,000.
            discount: gamma.
            importance: beta of prioritised replay, in [0, 1]; 1 corrects its bias in full.
        """
        held = jnp.minimum(self.count, self.length)
        ready = (held - self.n_steps + 1) * self.envs
        if self.priorities is None:
            drawn = (bits % ready.astype(jnp.uint32)).astype(jnp.int32)
            oldest = self.count - held
            slot, env = (oldest + drawn // self.envs) % self.length, drawn % self.envs
            weight = jnp.ones(bits.shape, jnp.float32)
        else:
            place, chance = self.priorities.sample(bits)
            slot, env = place // self.envs, place % self.envs
            weight = (ready * chance) ** -jnp.asarray(importance, jnp.float32)
            weight = weight / jnp.max(weight)
        return self._gather(slot, env, weight, discount)

    def reprioritise(self, batch: Batch, error: Float[Array, " B"], exponent: Number) -> Replay:
        """Priority |error|^exponent for what was drawn; nothing changes where draws are uniform."""
        if self.priorities is None:
            return self
        priorities = self.priorities.put(batch.place, error, exponent)
        return Replay(self.steps, self.count, priorities, self.n_steps)

    def _gather(
        self,
        slot: Int[Array, " B"],
        env: Int[Array, " B"],
        weight: Float[Array, " B"],
        discount: Number,
    ) -> Batch:
        """The n steps that begin at the places, up to the end of their episodes."""
        steps, reward = self.steps, jnp.zeros(slot.shape, jnp.float32)
        going, factor, last = jnp.ones(slot.shape, bool), jnp.ones(slot.shape), slot
        for ahead in range(self.n_steps):
            here = (slot + ahead) % self.length
            last = jnp.where(going, here, last)
            reward = reward + jnp.where(going, factor * steps.reward[here, env], 0)
            factor = jnp.where(going, factor * discount, factor)
            going &= ~(steps.terminated[here, env] | steps.truncated[here, env])

        def pick(tree: Any, at: Int[Array, " B"]) -> Any:
            return jax.tree.map(lambda leaf: leaf[at, env], tree)

        return Batch(
            obs=pick(steps.obs, slot),
            action=steps.action[slot, env],
            reward=reward,
            next_obs=pick(steps.next_obs, last),
            discount=jnp.where(steps.terminated[last, env], 0, factor),
            weight=weight,
            place=slot * self.envs + env,
        )
