"""Deep Q-learning (Mnih et al., 2015), with its double and dueling forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.agents.critics import QNetwork
from steelyard.agents.diversity import Peers
from steelyard.agents.menu import MenuPolicy, as_menu, menu_env
from steelyard.agents.minibatch import Apart, Learned, Number, Sample, polyak
from steelyard.agents.offpolicy import OffPolicy, OffPolicyState
from steelyard.agents.policies import ValuePolicy
from steelyard.errors import ConfigError
from steelyard.registry import member
from steelyard.rollout import Env, Params
from steelyard.types import Space


class DQNRest(NamedTuple):
    """The target network, and the moments of the trained one."""

    target: QNetwork
    moments: Any


@member("agents", "dqn")
class DQN(OffPolicy):
    """DQN: values of numbered choices, and the choice of the highest.

    Where an environment has a box of actions, a menu of fixed ones makes it choices; what the
    policy answers are rows of the menu. It answers with a categorical distribution whose logits are
    the values over `temperature`; the mode is the choice of the highest value. It takes no part in
    the diversity of a population: values say what choices are worth, and pushing them from those of
    others would make them wrong.

    Attributes:
        double: the trained network chooses and the target network values the next choice (van
            Hasselt et al., 2016).
        dueling: value of the state and advantages from separate layers (Wang et al., 2016).
        menu: rows of actions; nothing, and buying or selling one asset, where empty.
        target_every: environment steps between moves of the target network by `tau`; with 0 it
            moves after every gradient step. The paper copies: tau = 1, target_every = 10,000.
        huber: error of a value from which on its loss grows linearly.
        temperature: of the policy's distribution, in units of the return.
        exploration_end: chance of a random choice from the end of its fading on; 1 at the start.
        exploration_fraction: part of the updates over which it fades.
    """

    max_gradient: Number = 10.0
    huber: Number = 1.0
    temperature: Number = 1.0
    exploration_end: Number = 0.05
    exploration_fraction: Number = 0.1
    target_every: int = eqx.field(static=True, default=0)
    double: bool = eqx.field(static=True, default=False)
    dueling: bool = eqx.field(static=True, default=False)
    menu: tuple[tuple[float, ...], ...] = eqx.field(static=True, default=())

    def view(self, env: Env, params: Params) -> Env:
        """An environment with choices: its own, or those of the menu."""
        space = env.action_space(params)
        return env if space.choices else menu_env(env, as_menu(self.menu, space))

    def init(self, key: PRNGKeyArray, env: Env, params: Params) -> OffPolicyState:
        """Fresh networks and episodes, and a memory of `warmup` random steps."""
        state = super().init(key, env, params)
        space = env.action_space(params)
        if space.choices:
            return state
        return state._replace(policy=MenuPolicy(state.policy, as_menu(self.menu, space)))

    def advance(
        self, state: OffPolicyState, env: Env, params: Params, peers: Peers | None = None
    ) -> tuple[OffPolicyState, dict[str, Float[Array, ""]]]:
        """One update, as of `OffPolicy`.

        Raises:
            ConfigError: there are peers to keep away from.
        """
        if peers is not None:
            raise ConfigError(
                "DQN has no policy that could be kept away from peers, only values",
                hint="set diversity to 0, or leave the dqn agents out",
            )
        log = {"epsilon": self.epsilon(state.update / self.updates)}
        outer = state.policy
        if not isinstance(outer, MenuPolicy):
            state, lines = super().advance(state, env, params)
            return state, log | lines
        state, lines = super().advance(state._replace(policy=outer.policy), env, params)
        return state._replace(policy=replace(outer, policy=state.policy)), log | lines

    def create(self, key: PRNGKeyArray, inputs: int, space: Space) -> tuple[ValuePolicy, DQNRest]:
        """A network of values; the target begins as it does."""
        network = QNetwork.create(key, inputs, self.hidden, space.choices, dueling=self.dueling)
        policy = ValuePolicy(network, jnp.asarray(self.temperature, jnp.float32))
        return policy, DQNRest(network, self.moments(network))

    def explore(
        self, draws: Any, policy: Any, vectors: Float[Array, "E D"], progress: Number
    ) -> Int[Array, " E"]:
        """The choice of the highest value, and a random one with probability epsilon."""
        values = policy.values(vectors)
        chance, choice = draws
        return jnp.where(chance < self.epsilon(progress), choice, jnp.argmax(values, axis=-1))

    def exploration_draws(self, key: PRNGKeyArray, shape: tuple[int, ...], space: Space) -> Any:
        """Whether to choose at random, and what."""
        chance_key, choice_key = jax.random.split(key)
        choice = jax.random.randint(choice_key, shape, 0, space.choices)
        return jax.random.uniform(chance_key, shape), choice

    def epsilon(self, progress: Number) -> Float[Array, ""]:
        """Chance of a random choice after that fraction of the training."""
        faded = jnp.clip(progress / jnp.maximum(self.exploration_fraction, 1e-9), 0, 1)
        return 1 - faded * (1 - self.exploration_end)

    def before_learning(self, policy: Any, rest: Any, count: Int[Array, ""]) -> Any:
        """The target moves where `target_every` environment steps have passed."""
        if not self.target_every:
            return rest
        before, after = (count - self.collect) * self.envs, count * self.envs
        due = after // self.target_every > before // self.target_every
        stride = jnp.where(due, self.tau, 0.0)
        return rest._replace(target=polyak(rest.target, policy.network, stride))

    def learn(
        self,
        draws: Any,
        policy: Any,
        rest: Any,
        sample: Sample,
        apart: Apart,
        number: Int[Array, ""],
    ) -> Learned:
        """Algorithm 1 of the paper, from "set y_j" on."""
        del draws, apart, number
        target = self._target(policy.network, rest.target, sample)

        def loss(network: QNetwork) -> tuple[Float[Array, ""], Any]:
            values = network(sample.vectors)
            taken = jnp.take_along_axis(values, sample.action[:, None], axis=1)[:, 0]
            error = taken - target
            value_error = jnp.mean(sample.weight * huber_loss(error, self.huber))
            return value_error, (error, jnp.mean(jnp.max(values, axis=-1)))

        (value_error, (error, worth)), gradient = jax.value_and_grad(loss, has_aux=True)(
            policy.network
        )
        network, moments = self.descend(policy.network, gradient, rest.moments)
        follows = rest.target if self.target_every else polyak(rest.target, network, self.tau)
        policy = replace(policy, network=network)
        losses = {"value_error": value_error, "value": worth}
        return Learned(policy, DQNRest(follows, moments), losses, error)

    def _target(self, network: QNetwork, target: QNetwork, sample: Sample) -> Float[Array, " B"]:
        """What the network should say: reward and value of the best next choice."""
        values = target(sample.next_vectors)
        if self.double:
            chooser = network(sample.next_vectors)
            chosen = chooser == jnp.max(chooser, axis=-1, keepdims=True)
            values = jnp.where(chosen, values, -jnp.inf)
        return sample.reward + sample.discount * jnp.max(values, axis=-1)


@member("agents", "double_dqn")
class DoubleDQN(DQN):
    """Double DQN: the trained network chooses, the target network values (van Hasselt, 2016).

    `DQN` with `double=True`; its settings are described there.
    """

    double: bool = eqx.field(static=True, default=True)


@member("agents", "dueling_dqn")
class DuelingDQN(DQN):
    """Dueling DQN: value of the state and advantages from separate layers (Wang et al., 2016).

    `DQN` with `dueling=True`; its settings are described there.
    """

    dueling: bool = eqx.field(static=True, default=True)


def huber_loss(error: Float[Array, "*B"], limit: Number) -> Float[Array, "*B"]:
    """Half the square of an error up to `limit`, linear beyond it (Huber, 1964)."""
    size = jnp.abs(error)
    near = jnp.minimum(size, limit)
    return near * (size - 0.5 * near)
