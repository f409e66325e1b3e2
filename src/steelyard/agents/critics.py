"""Networks of action values, for learners that look back: Q(s, a) and Q(s, .).

Both end the same way, on the linear part of the first layer. That part belongs to the observation
and is most of the work, so it is computed once and shared by everything that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.networks import MLP
from steelyard.rollout import Env, Obs, Params


class Critics(eqx.Module):
    """C networks Q_c(s, a) whose first layers are one matrix product.

    Attributes:
        first: observation to C * H numbers, the first layers side by side.
        action: (A, C * H) what an action adds to them.
        tails: what follows on the H numbers of each critic.
    """

    first: MLP
    action: Float[Array, "A K"]
    tails: tuple[MLP, ...]

    @classmethod
    def create(
        cls, key: PRNGKeyArray, inputs: int, actions: int, hidden: Sequence[int], count: int
    ) -> Critics:
        """`count` critics with the layers `hidden`, at least one."""
        first_key, *keys = jax.random.split(key, count + 1)
        whole = MLP.create(first_key, inputs + actions, (), count * hidden[0], 2**0.5)
        layer = whole.layers[0]
        observed = eqx.tree_at(lambda m: m.layers[0].weight, whole, layer.weight[:inputs])
        tails = tuple(MLP.create(k, hidden[0], hidden[1:], 1, 1.0, "relu") for k in keys)
        return cls(observed, layer.weight[inputs:], tails)

    def see(self, vectors: Float[Array, "B D"]) -> Float[Array, "B K"]:
        """What all critics make of the observations, before any action."""
        return self.first(vectors)

    def __call__(self, seen: Float[Array, "B K"], action: Float[Array, "B A"]) -> list[Array]:
        """The value of each action to each critic, (B,) a critic.

        Args:
            seen: as from `see`.
            action: in [-1, 1].
        """
        hidden = jnp.split(jax.nn.relu(seen + action @ self.action), len(self.tails), axis=-1)
        return [tail(part)[:, 0] for tail, part in zip(self.tails, hidden, strict=True)]


class QNetwork(eqx.Module):
    """Values Q(s, .) of C numbered choices; dueling where it has two tails (Wang et al., 2016).

    Attributes:
        first: observation to H numbers.
        tails: H numbers to C values; or to one value of the state and C advantages, which count
            from their mean (eq. 9).
    """

    first: MLP
    tails: tuple[MLP, ...]

    @classmethod
    def create(
        cls,
        key: PRNGKeyArray,
        inputs: int,
        hidden: Sequence[int],
        choices: int,
        *,
        dueling: bool = False,
    ) -> QNetwork:
        """A network with the layers `hidden`, at least one."""
        first_key, *keys = jax.random.split(key, 3)
        first = MLP.create(first_key, inputs, (), hidden[0], 2**0.5)
        outputs = (1, choices) if dueling else (choices,)
        tails = [
            MLP.create(k, hidden[0], hidden[1:], size, 1.0, "relu")
            for k, size in zip(keys, outputs, strict=False)
        ]
        return cls(first, tuple(tails))

    def __call__(self, vectors: Float[Array, "*B D"]) -> Float[Array, "*B C"]:
        """Values of all choices."""
        return self._after_first(self.first(vectors))

    def bind(self, env: Env, params: Params) -> Callable[[Obs], Float[Array, " C"]]:
        """This network on stored observations; see `MLP.bind`."""
        first = self.first.bind(env, params)
        return lambda obs: self._after_first(first(obs))

    def _after_first(self, x: Float[Array, "*B H"]) -> Float[Array, "*B C"]:
        values = [tail(jax.nn.relu(x)) for tail in self.tails]
        if len(values) == 1:
            return values[0]
        worth, advantage = values
        return worth + advantage - jnp.mean(advantage, axis=-1, keepdims=True)
