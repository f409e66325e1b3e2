"""The jobs of a training, how they lie on devices, and the two programs that all of them run.

A *job* is one training: a seed, on a window, with one set of float hyper-parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from steelyard.devices import SHARE, Spec, dealing, mesh_of, spread, working_devices
from steelyard.errors import ConfigError
from steelyard.evaluation.crew import Place
from steelyard.rollout import Env, Params

Across: TypeAlias = Literal["jobs", "envs"]
"""What is dealt out to several devices."""

FRESH = frozenset({"live", "key", "update", "buffer"})
"""Fields of a learner's state that a warm start does not take over."""


class Given(NamedTuple):
    """What jobs learn with: kept while their state goes from update to update."""

    agent: Any
    env: Env
    params: Params


class Inputs(NamedTuple):
    """All that the jobs of one call start from."""

    given: Given
    keys: Any
    initial: Any


@dataclass(frozen=True)
class Jobs:
    """All trainings of one call, numbered seed by seed and window by window.

    Attributes:
        count: windows per seed.
        axes: whether agents (variants) and params (windows) have an axis of jobs.
        initial: state of an earlier training, seed by seed and window by window.
    """

    agent: Any
    env: Env
    params: Params
    seeds: tuple[int, ...]
    count: int
    axes: tuple[bool, bool]
    initial: Any = None

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self.seeds) * self.count

    def inputs(self, jobs: Sequence[int], place: Place) -> Inputs:
        """Agents, params and keys of some jobs, on the devices where they are used."""
        seed, window = np.divmod(np.asarray(jobs), self.count)
        numbers = np.asarray(self.seeds, np.uint32)[seed]
        keys = jax.vmap(jax.random.key)(numbers)
        params, agent = self.params, self.agent
        variants, windows = self.axes
        if windows:
            keys = jax.vmap(jax.random.fold_in)(keys, window.astype(np.uint32))
            params = jax.tree.map(lambda leaf: jnp.asarray(leaf)[window], params)
        if variants:
            agent = jax.tree.map(lambda leaf: leaf[seed] if eqx.is_array(leaf) else leaf, agent)
        chosen = np.asarray(jobs)
        initial = jax.tree.map(lambda leaf: leaf[chosen], self.initial)
        inputs = Inputs(Given(agent, self.env, params), keys, initial)
        return inputs if place == (jax.local_devices()[0],) else spread(inputs, place, None)

    def name(self, job: int) -> str:
        """How people call a job."""
        seed, window = divmod(job, self.count)
        return f"seed {self.seeds[seed]}" + (f", window {window + 1}" if self.axes[1] else "")


def places_of(jobs: Jobs, devices: Sequence[Any] | None, across: Across) -> list[Place]:
    """The places that take jobs: every device of this host, or all devices together.

    Raises:
        ConfigError: devices are not of one kind, the agent has no `envs` to deal out, or these do
            not divide among the devices.
    """
    chosen = working_devices(devices)
    if across == "jobs":
        return [(one,) for one in chosen if one.process_index == jax.process_index()]
    envs = getattr(jobs.agent, "envs", 0)
    if not envs:
        raise ConfigError(
            f"{type(jobs.agent).__name__} has no environments of its own to deal out",
            hint='use across="jobs"',
        )
    place = dividing(envs, chosen)
    if devices is not None and len(place) < len(chosen):
        raise ConfigError(
            f"{envs} environments do not divide among {len(chosen)} devices",
            hint=f"use {len(place)} devices, or a multiple of {len(chosen)} environments",
        )
    return [place]


def dividing(envs: int, devices: Place) -> Place:
    """The most devices, of some, that environments divide among."""
    return devices[: max(n for n in range(1, len(devices) + 1) if envs % n == 0)]


def start(inputs: Inputs, axes: tuple[bool, bool], together: Place = ()) -> Any:
    """Fresh learners, or those of an earlier training with fresh episodes."""
    fresh = init(inputs.given, inputs.keys, axes, together)
    if inputs.initial is None:
        return fresh

    def pick(path: Any, new: Any, old: Any) -> Any:
        return new if FRESH & {getattr(step, "name", "") for step in path} else old

    return jax.tree_util.tree_map_with_path(pick, fresh, inputs.initial)


@eqx.filter_jit
def init(given: Given, keys: Any, axes: tuple[bool, bool], together: Place = ()) -> Any:
    """The states of fresh learners."""

    def one(agent: Any, params: Params, key: Any) -> Any:
        return agent.init(key, given.env, params)

    return _over_jobs(one, given, keys, axes, together)


@eqx.filter_jit(donate="all-except-first")
def advance(
    given: Given, state: Any, updates: int, axes: tuple[bool, bool], together: Place = ()
) -> tuple[Any, Any]:
    """The states after some updates, in the memory of `state`, which is gone; and the log.

    Args:
        axes: whether agents (variants) and params (windows) have an axis of jobs.
        together: devices that share the environments of every job; () = it runs on one device.
    """

    def one(agent: Any, params: Params, state: Any) -> Any:
        return jax.lax.scan(
            lambda state, _: agent.advance(state, given.env, params), state, None, length=updates
        )

    state, log = _over_jobs(one, given, state, axes, together)
    return state, log


def _over_jobs(
    one: Callable[..., Any], given: Given, rest: Any, axes: tuple[bool, bool], together: Place
) -> Any:
    """`one` of an agent, params and something else, over the jobs."""
    variants, windows = axes
    of_agent = eqx.if_array(0) if variants else None
    all_jobs = eqx.filter_vmap(one, in_axes=(of_agent, 0 if windows else None, eqx.if_array(0)))
    if not together:
        return all_jobs(given.agent, given.params, rest)
    with dealing(together):
        return _by_envs(all_jobs(given.agent, given.params, _by_envs(rest, together)), together)


def _by_envs(tree: Any, together: Place) -> Any:
    """States whose episodes lie with their environments, and everything else on all devices.

    The compiler deals out what follows from them: the steps, and the terms of every gradient.
    """
    mesh, constrain = mesh_of(together), cast("Any", jax.lax.with_sharding_constraint)

    def lay(path: Any, leaf: Any) -> Any:
        if not eqx.is_array(leaf):
            return leaf
        live = "live" in {getattr(step, "name", "") for step in path} and leaf.ndim > 1
        spec = Spec(None, SHARE) if live else Spec()  # axes of jobs and environments
        return constrain(leaf, NamedSharding(mesh, spec))

    return jax.tree_util.tree_map_with_path(lay, tree)
