"""Training from the host: one compiled program for all seeds, windows and settings.

A *job* is one training: a seed, on a window, with one set of float hyper-parameters. All jobs run
the same program. It takes a chunk of them at a time, vmapped: on an accelerator all at once, or as
many as fit into its memory; on a CPU as many as its caches like, with a thread per core. Several
devices take a chunk each at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from steelyard.devices import fetch, is_lost, is_out_of_memory
from steelyard.errors import ConfigError, DeviceError, SteelyardError, TrainingError
from steelyard.evaluation.crew import Crew, Place
from steelyard.evaluation.hosts import from_all_hosts, own_share
from steelyard.evaluation.jobs import Across, Jobs, advance, dividing, places_of, start
from steelyard.evaluation.room import jobs_that_fit, ran_out
from steelyard.rollout import Env, Params, Policy
from steelyard.types import Floats

Progress = Callable[[int, int], None]
"""Called with (updates done, updates in all)."""

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
    devices: Sequence[Any] | None = None,
    across: Across = "jobs",
    most: int | None = None,
) -> Trained:
    """Train `agent` once per seed and window, all in one program.

    The result is that of `agent.train` for every one of them; the program is only called piece by
    piece. Ctrl-C stops after the pieces in work. A single chunk keeps what was learned so far.

    With `across="jobs"` every device runs the program of one device on its own jobs: the numbers
    are those of one device with the same `chunk`, to the last bit. With `across="envs"` every
    training has its environments on all devices; sums over them are then taken in another order.
    A device that is lost leaves its jobs to the others, once, with the same result.

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
        chunk: jobs in one call on one device, less where they do not fit into its memory; as many
            as suit it where None.
        devices: to train on; where None, every accelerator, or the CPU.
        across: what is dealt out to several devices, jobs or the environments of each.
        most: updates after which to stop, up to the end of a piece; all of them where None.

    Raises:
        TrainingError: a log value is not finite; it names the seed, the window and the update, and
            holds the last policy without such a number.
        MemoryLimitError: a training needs more memory than there is. It is said before anything
            is tried, with the largest number of environments that fits.
        DeviceError: a device was lost, and there is no other, or the others failed too.
    """
    count = len(jax.tree.leaves(params)[0]) if windows else 1
    jobs = Jobs(agent, env, params, tuple(seeds), count, (variants, windows), initial)
    places = places_of(jobs, devices, across)
    if keep and jax.process_count() > 1:
        raise ConfigError("the state of learners is not kept on several hosts", hint="keep=False")
    size, piece, beside = _cut(jobs, places, chunk, pieces)
    work = _Work(jobs, size, piece, across, strict, keep, min(most or 2**62, jobs.agent.updates))
    return _gather(jobs, _run(work, places, beside, progress), keep=keep)


class _Done(NamedTuple):
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
        """So many were made, or are to be made again where negative."""
        with self._lock:
            self._done += updates
            if self._progress is not None and updates > 0:
                self._progress(self._done, self._total)


@dataclass(frozen=True)
class _Work:
    """How the jobs are trained: `size` of them and `piece` updates per call, `until` so many."""

    jobs: Jobs
    size: int
    piece: int
    across: Across
    strict: bool
    keep: bool
    until: int


def _run(
    work: _Work, places: Sequence[Place], beside: int, progress: Progress | None
) -> Mapping[tuple[int, ...], _Done]:
    """All jobs, by the calls that they were done in.

    Args:
        beside: calls that fit into memory at the same time.
    """
    jobs, alone = work.jobs, work.across == "jobs"
    parts = [
        tuple(range(first, min(first + work.size, jobs.total)))
        for first in range(0, jobs.total, work.size)
    ]
    own = own_share(parts) if alone else parts
    meter = _Meter(progress, work.until * len(own))
    if places[0][0].platform == "cpu" and len(places) == 1:
        places = [*places] * min(_cores(), beside, len(own))
    crew: Crew[tuple[int, ...], _Done] = Crew(
        partial(_train_part, work, meter), None if alone else partial(dividing, jobs.agent.envs)
    )
    crew.run(own, places)
    return from_all_hosts(parts, crew.done) if alone else crew.done


def apart(*, windows: bool) -> bool:
    """Whether a call trains one job, so that other seeds beside a seed change no bit of it.

    Jobs in one vectorised call round as their number has it.
    """
    return windows and CHUNK == 1 and jax.default_backend() == "cpu"


def _cut(
    jobs: Jobs, places: Sequence[Place], chunk: int | None, pieces: int
) -> tuple[int, int, int]:
    """Jobs in one call, updates in one call, and calls that fit beside each other."""
    size = _suited(jobs, places, chunk)
    # neither seeds nor devices beside it change how the training of a seed is cut
    of_seed = max(1, -(-jobs.total // size) // len(jobs.seeds))
    piece = _piece(jobs.agent.updates, max(1, pieces // of_seed))
    size, beside = jobs_that_fit(jobs, size, piece, places)
    return size, piece, beside


def _suited(jobs: Jobs, places: Sequence[Place], asked: int | None) -> int:
    """Jobs in one call in one place, as far as its memory allows."""
    most = -(-jobs.total // (len(places) * int(jax.process_count())))
    if asked is not None:
        return min(asked, jobs.total)
    if jobs.axes[1] and places[0][0].platform == "cpu":
        return min(CHUNK, most)
    return most


def _piece(updates: int, pieces: int) -> int:
    """Updates in one call: equal pieces, so that one compiled program serves them all."""
    return max(d for d in range(1, max(1, updates // pieces) + 1) if updates % d == 0)


def _cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def _train_part(
    work: _Work, meter: _Meter, part: tuple[int, ...], place: Place, stop: Event
) -> _Done | None:
    """All updates of some jobs, piece by piece; None where it was stopped before the end."""
    jobs, logs, policy, made = work.jobs, [], None, 0
    together = place if work.across == "envs" else ()
    try:
        # filled up, so that one program serves all parts
        inputs = jobs.inputs([*part] + [part[-1]] * (work.size - len(part)), place)
        state = start(inputs, jobs.axes, together)
        while made < work.until:
            if stop.is_set():
                return None
            state, log = advance(inputs.given, state, work.piece, jobs.axes, together)
            logs.append({name: fetch(values) for name, values in log.items()})
            # the next call takes the memory of the state, and may be interrupted
            policy = fetch(state.policy)
            if work.strict:
                _require_finite(jobs, part, logs[-1], made)
            made += work.piece
            meter.add(work.piece)
    except jax.errors.JaxRuntimeError as error:
        meter.add(-made)
        failure = _failure(work, part, place, made, error)
        if failure is None:
            raise
        raise failure from error
    except KeyboardInterrupt:
        gone = work.keep and any(leaf.is_deleted() for leaf in jax.tree.leaves(state))
        if policy is None or len(part) < jobs.total or gone:
            raise
    log = {name: np.concatenate([log[name] for log in logs], axis=1) for name in logs[0]}
    # replay buffers of all windows together would not fit into memory
    log = {name: values.astype(np.float64) for name, values in log.items()}
    return _Done(policy, state if work.keep else None, log, made)


def _failure(
    work: _Work, part: Sequence[int], place: Place, made: int, error: Exception
) -> SteelyardError | None:
    """What a failure of the runtime means; None where it is neither a loss nor a lack."""
    if is_out_of_memory(error):
        return ran_out(work.jobs, work.piece)
    if not is_lost(error):
        return None
    names = [work.jobs.name(job) for job in part]
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return DeviceError(
        f"{' or '.join(map(str, place))} was lost after update {made} of "
        f"{work.jobs.agent.updates} of {shown}",
        hint="run it again with --resume: finished trainings are kept",
    )


def _require_finite(
    jobs: Jobs, part: Sequence[int], log: Mapping[str, Floats], before: int
) -> None:
    """Stop at the first value of the log that is not a number, with the policy before it."""
    for name, values in log.items():
        bad = np.argwhere(~np.isfinite(values[: len(part)]))
        if not len(bad):
            continue
        position, update = (int(number) for number in bad[np.argmin(bad[:, 1])])
        job, made = part[position], before + update
        steps = getattr(jobs.agent, "steps", 0) * (made + 1) // jobs.agent.updates
        error = TrainingError(
            f"`{name}` of {jobs.name(job)} is not finite at update {made + 1}"
            + (f", about step {steps}" if steps else ""),
            hint="use a smaller learning_rate or max_gradient",
        )
        error.policy = _policy_after(jobs, job, made)
        raise error


def _policy_after(jobs: Jobs, job: int, updates: int) -> Policy:
    """The policy of one job after some updates, by training it once more up to there."""
    inputs = jobs.inputs([job], (jax.local_devices()[0],))
    state = start(inputs, jobs.axes)
    if updates:
        state, _ = advance(inputs.given, state, updates, jobs.axes)
    policy: Policy = jax.tree.map(lambda leaf: leaf[0] if np.ndim(leaf) else leaf, state.policy)
    return policy


def _gather(jobs: Jobs, done: Mapping[tuple[int, ...], _Done], *, keep: bool) -> Trained:
    """The results of all parts, seed by seed."""
    own = [len(part) for part in done]
    order = np.argsort([job for part in done for job in part])
    sorted_already = bool(np.all(np.diff(order) == 1))

    def joined(*leaves: Any) -> Any:
        if not np.ndim(leaves[0]):  # a number that no training changes
            return leaves[0]
        stack = np if isinstance(leaves[0], np.ndarray) else jnp
        whole = stack.concatenate([leaf[:n] for leaf, n in zip(leaves, own, strict=True)])
        return whole if sorted_already else whole[order]

    def of_seed(leaf: Any, seed: int) -> Any:
        if not np.ndim(leaf):
            return leaf
        if not jobs.axes[1]:
            return leaf[seed]
        return leaf[seed * jobs.count : (seed + 1) * jobs.count]

    results = list(done.values())
    policies = jax.tree.map(joined, *[one.policy for one in results])
    logs = {name: joined(*[one.log[name] for one in results]) for name in results[0].log}
    seeds = range(len(jobs.seeds))
    return Trained(
        policies=[jax.tree.map(lambda leaf, i=i: of_seed(leaf, i), policies) for i in seeds],
        logs=[{name: of_seed(log, i) for name, log in logs.items()} for i in seeds],
        updates=int(results[0].updates),
        complete=bool(results[0].updates == jobs.agent.updates),
        state=jax.tree.map(joined, *[one.state for one in results]) if keep else None,
    )
