"""What learners from remembered experience share: the settings, and the loop of one update.

A training begins with `warmup` steps at random, which fill the memory. One update is `horizon`
vector steps of all environments: after every `collect` of them come `gradient_steps` gradient
steps, each on its own minibatch from the memory. The replay ratio, samples learned from per step
taken, is `gradient_steps * minibatch / (collect * envs)`.

The random numbers of an update are drawn before its loop: inside, they would take as long as the
networks.

All gradients of a step are taken at the same networks: the actor climbs the critics as they were
before the step, so that one pass over the observations serves both.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.agents.distributions import standard_normal
from steelyard.agents.diversity import Peers, draw, mean_apart
from steelyard.agents.interaction import (
    PlayDraws,
    draw_chances,
    fresh_episodes,
    interact,
    random_actions,
)
from steelyard.agents.learning import train_by_scan
from steelyard.agents.minibatch import Apart, LearnDraws, Learned, Number, Sample, as_sample
from steelyard.agents.policies import vector_size
from steelyard.agents.replay import Batch, Replay
from steelyard.agents.vectors import cheaper_view
from steelyard.errors import ConfigError
from steelyard.rollout import Action, Env, Live, Params, Policy
from steelyard.types import Space


class OffPolicyState(NamedTuple):
    """A training in progress; pure data, so that it can be saved, resumed and vmapped.

    Attributes:
        rest: what the learner keeps beside its policy: critics, targets, moments.
        buffer: the memory.
    """

    policy: Any
    rest: Any
    buffer: Replay
    live: Live
    key: PRNGKeyArray
    update: Int[Array, ""]


class OffPolicy(eqx.Module):
    """A learner from remembered experience; a page of it says how it explores and learns.

    Attributes:
        learning_rate: Adam's step size, the same for all networks.
        discount: gamma, in [0, 1].
        tau: how far target networks move towards the trained ones, in (0, 1].
        max_gradient: largest norm of the gradient of all networks together; inf = no limit.
        priority: exponent of prioritised replay, 0 = uniform.
        importance: exponent of its correction at the start; it grows to 1 by the end of training.
        steps: environment steps of the whole training, those of the warm-up included; at least
            one update is made.
        envs: environments in parallel.
        horizon: steps of each environment per update.
        collect: steps of each environment before gradient steps are made; it divides `horizon`.
        gradient_steps: gradient steps after every `collect` steps.
        minibatch: samples per gradient step.
        warmup: environment steps at random before anything is learned.
        capacity: transitions that the memory holds.
        n_steps: steps of a return; an episode's end cuts it short.
        prioritised: draw by priority (Schaul et al., 2016) instead of uniformly.
        hidden: units of the hidden layers of all networks.
    """

    learning_rate: Number = 3e-4
    discount: Number = 0.99
    tau: Number = 0.005
    max_gradient: Number = math.inf
    priority: Number = 0.6
    importance: Number = 0.4
    steps: int = eqx.field(static=True, default=100_000)
    envs: int = eqx.field(static=True, default=16)
    horizon: int = eqx.field(static=True, default=32)
    collect: int = eqx.field(static=True, default=1)
    gradient_steps: int = eqx.field(static=True, default=4)
    minibatch: int = eqx.field(static=True, default=64)
    warmup: int = eqx.field(static=True, default=1_000)
    capacity: int = eqx.field(static=True, default=100_000)
    n_steps: int = eqx.field(static=True, default=1)
    prioritised: bool = eqx.field(static=True, default=False)
    hidden: tuple[int, ...] = eqx.field(static=True, default=(64, 32))

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        names = ("steps", "envs", "horizon", "collect", "gradient_steps", "minibatch", "n_steps")
        for name in names:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.horizon % self.collect:
            raise ConfigError(
                f"collect {self.collect} must divide horizon {self.horizon}",
                hint=f"use horizon={self.collect}",
            )
        if self.warmup < self.envs * self.n_steps or self.capacity < self.envs * self.n_steps:
            raise ConfigError(
                f"warmup {self.warmup} and capacity {self.capacity} must hold {self.n_steps} steps "
                f"of {self.envs} environments",
                hint=f"use warmup={max(self.warmup, self.envs * self.n_steps)}",
            )
        if not self.hidden or min(self.hidden) < 1:
            raise ConfigError(f"hidden needs at least one layer, got {self.hidden}")

    @abstractmethod
    def create(self, key: PRNGKeyArray, inputs: int, space: Space) -> tuple[Any, Any]:
        """Fresh networks: (policy, rest)."""

    @abstractmethod
    def explore(
        self, draws: Any, policy: Any, vectors: Float[Array, "E D"], progress: Number
    ) -> Action:
        """What E environments try: numbers in [-1, 1], or choices.

        Args:
            draws: one vector step of `exploration_draws`.
            progress: fraction of the training that is done.
        """

    @abstractmethod
    def learn(
        self,
        draws: Any,
        policy: Any,
        rest: Any,
        sample: Sample,
        apart: Apart,
        number: Int[Array, ""],
    ) -> Learned:
        """One gradient step.

        Args:
            draws: one gradient step of `learning_draws`.
            number: of the gradient step in its update, from 0.
        """

    def exploration_draws(self, key: PRNGKeyArray, shape: tuple[int, ...], space: Space) -> Any:
        """Random numbers for exploring; `shape` is (..., E)."""
        return standard_normal(key, (*shape, math.prod(space.shape)))

    def learning_draws(self, key: PRNGKeyArray, shape: tuple[int, ...], space: Space) -> Any:
        """Random numbers for learning; `shape` is (..., B)."""
        del key, shape, space

    def view(self, env: Env, params: Params) -> Env:
        """The environment as the learner acts in it."""
        del params
        return env

    def before_learning(self, policy: Any, rest: Any, count: Int[Array, ""]) -> Any:
        """`rest` before the gradient steps of a round; `count` vector steps were taken so far."""
        del policy, count
        return rest

    @property
    def updates(self) -> int:
        """Updates of a whole training."""
        return max(1, (self.steps - self.warmup) // (self.envs * self.horizon))

    @property
    def _experience(self) -> int:
        """Environment steps of a whole training; no memory needs to hold more."""
        warmup = -(-self.warmup // self.envs) * self.envs
        return warmup + self.updates * self.envs * self.horizon

    def train(
        self, key: PRNGKeyArray, env: Env, params: Params
    ) -> tuple[Policy, dict[str, Float[Array, " U"]]]:
        """A whole training as one traced function: (policy, log with one value per update)."""
        return train_by_scan(self, key, env, params)

    def init(self, key: PRNGKeyArray, env: Env, params: Params) -> OffPolicyState:
        """Fresh networks and episodes, and a memory of `warmup` random steps."""
        env = self.view(env, params)
        space = env.action_space(params)
        network_key, live_key, act_key, env_key, key = jax.random.split(key, 5)
        policy, rest = self.create(network_key, vector_size(env, params), space)
        live = fresh_episodes(live_key, (self.envs,), env, params)
        shape = (-(-self.warmup // self.envs), self.envs)
        actions = random_actions(act_key, shape, space)
        chances = draw_chances(env_key, shape, env, params)
        action, chance = jax.tree.map(lambda leaf: leaf[0], (actions, chances))
        example = jax.eval_shape(lambda: interact(live, action, chance, env, params)[1])
        length = max(1, min(self.capacity, self._experience) // self.envs)
        buffer = Replay.create(example, length, n_steps=self.n_steps, prioritised=self.prioritised)

        def step(carry: tuple[Live, Replay], given: Any) -> tuple[tuple[Live, Replay], None]:
            live, seen = interact(carry[0], given[0], given[1], env, params)
            return (live, carry[1].add(seen)), None

        (live, buffer), _ = jax.lax.scan(step, (live, buffer), (actions, chances))
        return OffPolicyState(policy, rest, buffer, live, key, jnp.zeros((), jnp.int32))

    def advance(
        self, state: OffPolicyState, env: Env, params: Params, peers: Peers | None = None
    ) -> tuple[OffPolicyState, dict[str, Float[Array, ""]]]:
        """One update: `horizon` steps of every environment, and the gradient steps among them."""
        env = self.view(env, params)
        *keys, key = jax.random.split(state.key, 4)
        play_draws, learn_draws = self._draw(keys, env, params)
        progress = state.update / self.updates

        def play(carry: tuple[Live, Replay], draws: Any, policy: Any) -> Any:
            live, buffer = carry
            vectors = jax.vmap(lambda obs: env.observe(obs, params))(live.obs)
            action = self.explore(draws.exploration, policy, vectors, progress)
            live, seen = interact(live, action, draws.chances, env, params)
            # A branch that is always taken: else the compiler joins the writing to the reading,
            # and copies the whole memory at every step.
            buffer = jax.lax.cond(
                draws.number >= 0, lambda ring: ring.add(seen), lambda ring: ring, buffer
            )
            return (live, buffer), jnp.mean(seen.reward)

        def go_round(carry: Any, draws: tuple[PlayDraws, LearnDraws]) -> Any:
            policy, rest, live, buffer = carry
            (live, buffer), reward = jax.lax.scan(
                lambda carry, one: play(carry, one, policy), (live, buffer), draws[0]
            )
            rest = self.before_learning(policy, rest, buffer.count)
            (policy, rest, buffer), losses = self._learn_round(
                (policy, rest), buffer, draws[1], progress, env, params, peers
            )
            return (policy, rest, live, buffer), {"reward": reward, **losses}

        start = (state.policy, state.rest, state.live, state.buffer)
        (policy, rest, live, buffer), log = jax.lax.scan(go_round, start, (play_draws, learn_draws))
        state = OffPolicyState(policy, rest, buffer, live, key, state.update + 1)
        return state, {name: jnp.mean(value) for name, value in log.items()}

    def _draw(
        self, keys: list[PRNGKeyArray], env: Env, params: Params
    ) -> tuple[PlayDraws, LearnDraws]:
        """All random numbers of an update, with leading axes (rounds, steps of a round)."""
        space, rounds = env.action_space(params), self.horizon // self.collect
        played, learned = (rounds, self.collect), (rounds, self.gradient_steps)
        place_key, noise_key, rival_key = jax.random.split(keys[2], 3)
        return PlayDraws(
            self.exploration_draws(keys[0], (*played, self.envs), space),
            draw_chances(keys[1], (*played, self.envs), env, params),
            jnp.arange(rounds * self.collect).reshape(played),
        ), LearnDraws(
            jax.random.bits(place_key, (*learned, self.minibatch), jnp.uint32),
            self.learning_draws(noise_key, (*learned, self.minibatch), space),
            jax.random.split(rival_key, learned),
            jnp.arange(rounds * self.gradient_steps).reshape(learned),
        )

    def _learn_round(
        self,
        networks: tuple[Any, Any],
        buffer: Replay,
        draws: LearnDraws,
        progress: Number,
        env: Env,
        params: Params,
        peers: Peers | None,
    ) -> tuple[tuple[Any, Any, Replay], dict[str, Float[Array, " G"]]]:
        """The gradient steps of a round; the memory stays in its place, its priorities change."""
        importance = self.importance + (1 - self.importance) * progress

        def step(carry: Any, draws: LearnDraws) -> Any:
            (policy, rest), priorities = carry
            memory = replace(buffer, priorities=priorities)
            batch = memory.sample(draws.places, self.discount, importance)
            apart = self._apart(draws.rivals, batch, env, params, peers)
            sample = as_sample(batch, env, params)
            learned = self.learn(draws.learning, policy, rest, sample, apart, draws.number)
            memory = memory.reprioritise(batch, learned.error, self.priority)
            return ((learned.policy, learned.rest), memory.priorities), learned.losses

        (networks, priorities), losses = jax.lax.scan(step, (networks, buffer.priorities), draws)
        return (*networks, replace(buffer, priorities=priorities)), losses

    def _apart(
        self, key: PRNGKeyArray, batch: Batch, env: Env, params: Params, peers: Peers | None
    ) -> Apart:
        rivals = draw(key, peers)
        seen = cheaper_view(env, params, self.minibatch)
        return lambda distribution: mean_apart(distribution, batch.obs, rivals, seen, params)

    def adam(self) -> optax.GradientTransformation:
        """The optimiser, on networks laid end to end; the step size is applied by `descend`."""
        limited = not isinstance(self.max_gradient, float) or math.isfinite(self.max_gradient)
        limit = [optax.clip_by_global_norm(self.max_gradient)] if limited else []
        return optax.chain(*limit, optax.scale_by_adam())

    def moments(self, networks: Any) -> Any:
        """Fresh moments of networks."""
        return self.adam().init(ravel_pytree(networks)[0])

    def descend(self, networks: Any, gradient: Any, moments: Any) -> tuple[Any, Any]:
        """(networks, moments) after one step of Adam."""
        flat, rebuild = ravel_pytree(networks)
        change, moments = self.adam().update(ravel_pytree(gradient)[0], moments)
        return rebuild(flat - self.learning_rate * change), moments
