"""Whether a training fits into memory, known from its traced program before anything is allocated.

The trace is the one that the training itself uses, so that asking costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as with_fields
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steelyard.capacity import (
    available_memory,
    bytes_in,
    in_words,
    largest_that_fits,
    peak_bytes,
    too_much,
)
from steelyard.errors import ConfigError, MemoryLimitError
from steelyard.evaluation.crew import Place
from steelyard.evaluation.jobs import Given, Jobs, advance, init
from steelyard.registry import members


def training_bytes(jobs: Jobs, count: int, updates: int) -> int:
    """About how much memory the training of `count` jobs in one call needs at its fullest.

    Args:
        updates: in one call.
    """
    chosen = np.zeros(count, np.int32)
    variants, windows = jobs.axes

    def stack(tree: Any) -> Any:
        return jax.tree.map(
            lambda leaf: jnp.asarray(leaf)[chosen] if eqx.is_array(leaf) else leaf, tree
        )

    def given() -> tuple[Given, Any]:
        agent = stack(jobs.agent) if variants else jobs.agent
        params = stack(jobs.params) if windows else jobs.params
        return Given(agent, jobs.env, params), jax.vmap(jax.random.key)(chosen.astype(np.uint32))

    inputs, keys = eqx.filter_eval_shape(given)
    state = eqx.filter_eval_shape(init, inputs, keys, jobs.axes)
    program = eqx.filter_make_jaxpr(advance)(inputs, state, updates, jobs.axes)[0]
    return peak_bytes(program, donated=True)


def jobs_that_fit(jobs: Jobs, asked: int, updates: int, places: Sequence[Place]) -> tuple[int, int]:
    """How many jobs a device takes in one call, and how many such calls fit beside each other.

    Args:
        asked: jobs in one call, at most.
        updates: in one call.

    Raises:
        MemoryLimitError: not even one job fits; it says how many environments do.
    """
    free = _free(places)

    def needed(count: int) -> int:
        return training_bytes(jobs, count, updates)

    whole = needed(asked)
    if whole <= free:
        return asked, max(1, free // max(1, whole))
    size = largest_that_fits(needed, asked, free)
    if not size:
        raise _too_many(jobs, needed(1), free, updates)
    return size, 1


def ran_out(jobs: Jobs, updates: int) -> MemoryLimitError:
    """What to say where memory ran out although the estimate said that it would not."""
    envs = getattr(jobs.agent, "envs", 0)
    needed = training_bytes(jobs, 1, updates)
    message = f"the device ran out of memory; a training needs about {in_words(needed)}"
    largest = max((n for n in _possible(jobs.agent) if n < envs), default=0)
    if largest:
        message += f", and {largest:,} environments instead of {envs:,} need less"
    error = MemoryLimitError(message, hint=_hint(jobs.agent, largest))
    error.largest, error.needed = largest, needed
    return error


def _free(places: Sequence[Place]) -> int:
    """Bytes for a call on every place at the same time.

    With the environments on several devices each of them still holds the experience whole: every
    minibatch is drawn from all of it.
    """
    devices = {one for place in places for one in place}
    own = [one for one in devices if one.process_index == jax.process_index()]
    least = min(available_memory(one) for one in own)
    return least // len(own) if own[0].platform == "cpu" else least  # CPUs share the host's


def _too_many(jobs: Jobs, needed: int, free: int, updates: int) -> MemoryLimitError:
    """The refusal, with the largest number of environments that fits."""
    agent = jobs.agent
    if not _possible(agent):
        held = sum(bytes_in(leaf) for leaf in jax.tree.leaves(jobs.params))
        error = MemoryLimitError(
            f"this training needs about {in_words(needed)}, {in_words(held)} of it the market; "
            f"{in_words(free)} are free",
            hint="use fewer environments, or a smaller memory of experience",
        )
        error.needed, error.free = needed, free
        return error
    step = _possible(agent)[0]

    def measured(envs: int) -> int:
        return training_bytes(with_fields(jobs, agent=_with_envs(agent, envs)), 1, updates)

    known = {agent.envs: needed, step: measured(step)}

    def guessed(envs: int) -> int:
        points = sorted(known)
        return int(np.interp(envs, points, [known[n] for n in points]))

    # nearly a straight line: the guess is checked, and drawn again where it was too bold
    largest = largest_that_fits(guessed, agent.envs, free, step=step)
    while largest > step and largest not in known:
        known[largest] = measured(largest)
        largest = largest_that_fits(guessed, agent.envs, free, step=step)
    return too_much("environments", agent.envs, needed, free, largest, lambda n: _hint(agent, n))


def _possible(agent: Any) -> list[int]:
    """Divisors of the agent's number of environments that its other settings allow, ascending."""
    envs = getattr(agent, "envs", 0)
    return [n for n in range(1, envs + 1) if envs % n == 0 and _allows(agent, n)]


def _allows(agent: Any, envs: int) -> bool:
    try:
        _with_envs(agent, envs)
    except ConfigError:
        return False
    return True


def _with_envs(agent: Any, envs: int) -> Any:
    return with_fields(agent, envs=envs)


def _hint(agent: Any, envs: int) -> str:
    """What to type."""
    if not envs:
        return ""
    names = [name for name, known in members("agents").items() if type(agent) is known.value]
    return f"--set {names[0]}.envs={envs}" if names else f"use envs={envs}"
