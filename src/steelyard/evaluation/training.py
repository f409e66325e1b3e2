"""Training from the host: one compiled program for all seeds, windows and settings.

A *job* is one training: a seed, on a window, with one set of float hyper-parameters. All jobs run
the same program. It takes a chunk of them at a time, vmapped: on an accelerator all at once, on a
CPU as many as its caches like, with a thread per core.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steelyard.errors import TrainingError
from steelyard.rollout import Env, Params, Policy
from steelyard.types import Floats

Progress = Callable[[int, int], None]
"""Called with (updates done, updates in all)."""

FRESH = frozenset({"live", "key", "update", "buffer"})
"""Fields of a learner's state that a warm start does not take over."""

CHUNK = 1
"""Windows in one call on a CPU: the networks and the memory of more fall out of its caches."""


@dataclass(frozen=True)
class Trained:
    """The result of training one agent with several seeds.

    Attributes:
        policies: one per seed; with windows its leaves have a leading axis W.
        logs: per seed, log name -> (U,) or (W, U), one value per update.
        updates: updates that were made.
        complete: whether that was all of them; False after an interruption.
        state: of all learners, seed by seed and window by window, to go on from; None unless kept.
    """

    policies: Sequence[Policy]
    logs: Sequence[Mapping[str, Floats]]
    updates: int
    complete: bool
    state: Any = None


def fit(
    agent: Any,
    env: Env,
    params: Params,
    seeds: Sequence[int],
    *,
    windows: bool = False,
    variants: bool = False,
    initial: Any = None,
    keep: bool = False,
    strict: bool = True,
    progress: Progress | None = None,
    pieces: int = 40,
    chunk: int | None = None,
) -> Trained:
    """Train `agent` once per seed and window, all in one program.

    The result is that of `agent.train` for every one of them; the program is only called piece by
    piece. Ctrl-C stops after the pieces in work. A single chunk keeps what was learned so far.

    Args:
        agent: has `init`, `advance` and `updates`, as `PPO`.
        params: of the environment; with `windows` every leaf has a leading axis W.
        windows: train once per window as well.
        variants: the array leaves of `agent` have a leading axis, one entry per seed: job i takes
            seed i and variant i.
        initial: `Trained.state` of an earlier call with as many jobs: networks and optimisers go
            on from there, episodes and memories of experience begin afresh.
        keep: return the state of the learners as well.
        strict: stop where a log value is not finite; else train on and leave it in the log.
        pieces: about how many calls the training of a chunk is cut into.
        chunk: jobs in one call; as many as suit the device where None.

    Raises:
        TrainingError: a log value is not finite; it names the seed, the window and the update, and
            holds the last policy without such a number.
    """
    count = len(jax.tree.leaves(params)[0]) if windows else 1
    jobs = _Jobs(agent, env, params, tuple(seeds), count, windows, variants, initial, strict, keep)
    size = _chunk_size(jobs, chunk)
    parts = [jobs.part(first, size) for first in range(0, jobs.total, size)]
    stop = Event()
    meter = _Meter(progress, agent.updates * len(parts))

    def run(part: _Part) -> _Done:
        return _train_part(jobs, part, max(1, pieces // len(parts)), stop, meter)

    done = _run_all(run, parts, stop)
    return _gather(jobs, parts, done)


@dataclass(frozen=True)
class _Jobs:
    """All trainings of one call, numbered seed by seed and window by window."""

    agent: Any
    env: Env
    params: Params
    seeds: tuple[int, ...]
    count: int
    windows: bool
    variants: bool
    initial: Any
    strict: bool
    keep: bool = True

    @property
    def total(self) -> int:
        return len(self.seeds) * self.count

    def part(self, first: int, size: int) -> _Part:
        """The jobs from `first`, filled up to `size` so that one program serves every part."""
        own = range(first, min(first + size, self.total))
        return _Part(tuple(own), self.inputs([*own] + [own[-1]] * (size - len(own))))

    def inputs(self, jobs: Sequence[int]) -> _Inputs:
        """Agents, params and keys of some jobs."""
        seed, window = np.divmod(np.asarray(jobs), self.count)
        numbers = np.asarray(self.seeds, np.uint32)[seed]
        keys = jax.vmap(jax.random.key)(numbers)
        params, agent = self.params, self.agent
        if self.windows:
            keys = jax.vmap(jax.random.fold_in)(keys, window.astype(np.uint32))
            params = jax.tree.map(lambda leaf: jnp.asarray(leaf)[window], params)
        if self.variants:
            agent = jax.tree.map(lambda leaf: leaf[seed] if eqx.is_array(leaf) else leaf, agent)
        chosen = np.asarray(jobs)
        initial = jax.tree.map(lambda leaf: leaf[chosen], self.initial)
        return _Inputs(agent, params, keys, initial)

    def name(self, job: int) -> str:
        seed, window = divmod(job, self.count)
        return f"seed {self.seeds[seed]}" + (f", window {window + 1}" if self.windows else "")


@dataclass(frozen=True)
class _Inputs:
    agent: Any
    params: Params
    keys: Any
    initial: Any


@dataclass(frozen=True)
class _Part:
    """Jobs that run in one call; `inputs` may hold more, to fill it up."""

    jobs: tuple[int, ...]
    inputs: _Inputs


@dataclass(frozen=True)
class _Done:
    """What came out of a part."""

    policy: Any
    state: Any
    log: Mapping[str, Floats]
    updates: int


class _Meter:
    """Counts the updates of all threads for one progress display."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done, self._lock = progress, total, 0, Lock()

    def add(self, updates: int) -> None:
        with self._lock:
            self._done += updates
            if self._progress is not None:
                self._progress(self._done, self._total)


def _chunk_size(jobs: _Jobs, asked: int | None) -> int:
    """Jobs in one call."""
    if asked is not None:
        return min(asked, jobs.total)
    if not jobs.windows or jax.default_backend() != "cpu":
        return jobs.total
    return max(1, min(CHUNK, -(-jobs.total // _cores())))


def _cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def _run_all(run: Callable[[_Part], _Done], parts: Sequence[_Part], stop: Event) -> list[_Done]:
    """The first part alone, so that everything is compiled once; then a thread per core.

    An interruption lets the pieces in work end, and no other begins.
    """
    done = [run(parts[0])]
    if len(parts) == 1:
        return done
    with ThreadPoolExecutor(_cores() if jax.default_backend() == "cpu" else 1) as pool:
        waiting = [pool.submit(run, part) for part in parts[1:]]
        try:
            return done + [one.result() for one in waiting]
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _train_part(jobs: _Jobs, part: _Part, pieces: int, stop: Event, meter: _Meter) -> _Done:
    """All updates of a part, piece by piece."""
    total = jobs.agent.updates
    # equal pieces, so that one compiled program serves them all
    size = max(d for d in range(1, max(1, total // pieces) + 1) if total % d == 0)
    axes, given = (jobs.variants, jobs.windows), part.inputs
    state = _start(jobs, given, axes)
    logs: list[dict[str, Floats]] = []
    done = 0
    try:
        while done < total and not stop.is_set():
            state, log = _advance(given.agent, jobs.env, given.params, state, size, axes)
            logs.append({name: np.asarray(values, np.float64) for name, values in log.items()})
            if jobs.strict:
                _require_finite(jobs, part, logs[-1], done)
            done += size
            meter.add(size)
    except KeyboardInterrupt:
        if not logs or len(part.jobs) < jobs.total:
            raise
    if not logs:
        raise KeyboardInterrupt
    log = {name: np.concatenate([log[name] for log in logs], axis=1) for name in logs[0]}
    policy = jax.tree.map(np.asarray, state.policy)
    # replay buffers of all windows together would not fit into memory
    return _Done(policy, state if jobs.keep else None, log, done)


def _start(jobs: _Jobs, given: _Inputs, axes: tuple[bool, bool]) -> Any:
    """Fresh learners, or those of an earlier training with fresh episodes."""
    fresh = _init(given.agent, jobs.env, given.params, given.keys, axes)
    if given.initial is None:
        return fresh

    def pick(path: Any, new: Any, old: Any) -> Any:
        return new if FRESH & {getattr(step, "name", "") for step in path} else old

    return jax.tree_util.tree_map_with_path(pick, fresh, given.initial)


@eqx.filter_jit
def _init(agent: Any, env: Env, params: Params, keys: Any, axes: tuple[bool, bool]) -> Any:
    def one(agent: Any, params: Params, key: Any) -> Any:
        return agent.init(key, env, params)

    return _over_jobs(one, axes)(agent, params, keys)


@eqx.filter_jit
def _advance(
    agent: Any, env: Env, params: Params, state: Any, updates: int, axes: tuple[bool, bool]
) -> Any:
    def one(agent: Any, params: Params, state: Any) -> Any:
        return jax.lax.scan(
            lambda state, _: agent.advance(state, env, params), state, None, length=updates
        )

    return _over_jobs(one, axes)(agent, params, state)


def _over_jobs(one: Callable[..., Any], axes: tuple[bool, bool]) -> Callable[..., Any]:
    """`one` of an agent, params and something else, over the axes of agents and of windows."""
    variants, windows = axes
    of_agent = eqx.if_array(0) if variants else None
    return eqx.filter_vmap(one, in_axes=(of_agent, 0 if windows else None, eqx.if_array(0)))


def _require_finite(jobs: _Jobs, part: _Part, log: Mapping[str, Floats], before: int) -> None:
    """Stop at the first value of the log that is not a number, with the policy before it."""
    for name, values in log.items():
        bad = np.argwhere(~np.isfinite(values[: len(part.jobs)]))
        if not len(bad):
            continue
        position, update = (int(number) for number in bad[np.argmin(bad[:, 1])])
        job, made = part.jobs[position], before + update
        steps = getattr(jobs.agent, "steps", 0) * (made + 1) // jobs.agent.updates
        error = TrainingError(
            f"`{name}` of {jobs.name(job)} is not finite at update {made + 1}"
            + (f", about step {steps}" if steps else ""),
            hint="use a smaller learning_rate or max_gradient",
        )
        error.policy = _policy_after(jobs, job, made)
        raise error


def _policy_after(jobs: _Jobs, job: int, updates: int) -> Policy:
    """The policy of one job after some updates, by training it once more up to there."""
    axes, given = (jobs.variants, jobs.windows), jobs.inputs([job])
    state = _start(jobs, given, axes)
    if updates:
        state, _ = _advance(given.agent, jobs.env, given.params, state, updates, axes)
    policy: Policy = jax.tree.map(lambda leaf: leaf[0], state.policy)
    return policy


def _gather(jobs: _Jobs, parts: Sequence[_Part], done: Sequence[_Done]) -> Trained:
    """The results of all parts, seed by seed."""
    own = [len(part.jobs) for part in parts]

    def joined(*leaves: Any) -> Any:
        stack = np if isinstance(leaves[0], np.ndarray) else jnp
        return stack.concatenate([leaf[:n] for leaf, n in zip(leaves, own, strict=True)])

    def of_seed(leaf: Any, seed: int) -> Any:
        if not jobs.windows:
            return leaf[seed]
        return leaf[seed * jobs.count : (seed + 1) * jobs.count]

    policies = jax.tree.map(joined, *[one.policy for one in done])
    logs = {name: joined(*[one.log[name] for one in done]) for name in done[0].log}
    seeds = range(len(jobs.seeds))
    return Trained(
        policies=[jax.tree.map(lambda leaf, i=i: of_seed(leaf, i), policies) for i in seeds],
        logs=[{name: of_seed(log, i) for name, log in logs.items()} for i in seeds],
        updates=done[0].updates,
        complete=done[0].updates == jobs.agent.updates,
        state=jax.tree.map(joined, *[one.state for one in done]) if jobs.keep else None,
    )
