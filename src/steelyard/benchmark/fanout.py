"""The trainings of a run dealt out to workers: other processes, or other machines.

A job is one training, named as its checkpoint is. A worker makes it with the functions of any run
and its checkpoint comes back; once all are there, the run goes on as one that was interrupted, and
has nothing left to train. So where it was trained changes no number, and what is finished is never
trained again, wherever the rest goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax

from steelyard import errors
from steelyard.agents.answers import strangers_in
from steelyard.benchmark.configure import identity
from steelyard.benchmark.earlier import Earlier
from steelyard.benchmark.learning import ONCE, Report, Trainer, learner_of
from steelyard.benchmark.scoring import versions
from steelyard.benchmark.venue import Venue
from steelyard.errors import ConfigError, SteelyardError, TrainingError, WorkerError
from steelyard.evaluation.checkpoints import Checkpoints
from steelyard.types import Facts


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        member, agent: number and name of an agent that needs it.
        identity: code and settings of what is trained.
        window, phase: on which rows; see `Trainer.phases`.
        seeds: those that train in one program, and so in one job.
    """

    member: int
    agent: str
    identity: str
    window: str
    phase: str
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """What people call it."""
        rows = "" if self.phase == ONCE else f" on {self.phase}"
        many = "s" if len(self.seeds) > 1 else ""
        return f"{self.agent}{rows}, seed{many} {', '.join(map(str, self.seeds))}"

    @classmethod
    def of(cls, facts: Facts) -> Job:
        """The job that was written as `dataclasses.asdict` has it."""
        return cls(**{**facts, "seeds": tuple(facts["seeds"])})


@dataclass(frozen=True)
class Ended:
    """A job that is no longer in work; `lost` says how its worker ended where it was not done."""

    job: Job
    lost: str = ""


class Crew(Protocol):
    """Workers."""

    @property
    def free(self) -> bool:
        """Whether one more job can begin."""

    def begin(self, job: Job) -> None:
        """Give a job to a worker."""

    def wait(self) -> Ended:
        """The next job that ends; its checkpoint is there then.

        Raises:
            SteelyardError: what the worker refused, or where its training failed.
        """

    def close(self) -> None:
        """End all workers, at once."""


def plan(
    venue: Venue,
    members: Sequence[tuple[str, Any]],
    seeds: Sequence[int],
    checkpoints: Checkpoints,
    earlier: Earlier | None = None,
) -> list[Job]:
    """The trainings that `evaluate` with these arguments would make, each once."""
    trainer, jobs = Trainer(venue, checkpoints=checkpoints), dict[tuple[Any, ...], Job]()
    windows = venue.task.windows if venue.task.rolling else venue.task.windows[:1]
    for number, (name, agent) in enumerate(members):
        if not getattr(agent, "learns", True) or strangers_in(agent):
            continue  # somebody's own agent is trained in a process of its own
        known = identity(learner_of(agent))
        wanted = earlier.missing(name, agent, seeds) if earlier else list(seeds)
        for window in windows if wanted else ():
            for phase in trainer.phases(agent, window):
                for group in trainer.missing(agent, wanted, phase):
                    job = Job(number, name, known, window.name, phase, group)
                    jobs.setdefault((known, phase, group), job)
    return list(jobs.values())


def fan_out(jobs: Sequence[Job], crew: Crew, report: Report | None = None) -> None:
    """Have all jobs done. One whose worker dies is done once more, by another worker.

    Ends all workers, also where it is interrupted.

    Raises:
        WorkerError: the worker of one job died twice.
        SteelyardError: a worker cannot do a job, which no repetition changes.
    """
    waiting, lost, done = deque(jobs), set[Job](), 0
    tell = report if report is not None else _nobody
    try:
        tell("jobs done", 0, len(jobs))
        while done < len(jobs):
            while waiting and crew.free:
                crew.begin(waiting.popleft())
            ended = crew.wait()
            if not ended.lost:
                done += 1
                tell(ended.job.name, 1, 1)
                tell("jobs done", done, len(jobs))
            elif ended.job in lost:
                raise WorkerError(
                    f"the worker of `{ended.job.name}` died twice: {ended.lost}",
                    hint="steelyard run ... --resume goes on from what is finished",
                )
            else:
                lost.add(ended.job)
                waiting.appendleft(ended.job)
    finally:
        crew.close()


def _nobody(*_: object) -> None:
    """Where progress goes that nobody wants to hear of."""


def circumstances() -> dict[str, str]:
    """What must be the same where a job is done and where it was planned."""
    return {**versions(), "backend": jax.default_backend()}


def require_same(expected: Facts, found: Facts) -> None:
    """Refuse to train where the numbers might become others.

    Raises:
        ConfigError: a version, the backend or the fingerprint is not that of the run.
    """
    for name, value in expected.items():
        if found.get(name) != value:
            raise ConfigError(
                f"a worker has {name} {found.get(name)}, this run {value}",
                hint="install on the workers what is installed here",
            )


def perform(
    trainer: Trainer, venue: Venue, member: tuple[str, Any], job: Job, checkpoints: Checkpoints
) -> None:
    """Do a job, as a worker; its checkpoint is kept then.

    Raises:
        ConfigError: the agent is another one here.
        TrainingError: a log value is not finite; the policy before that is kept.
    """
    name, agent = member
    require_same({f"agent {name}": job.identity}, {f"agent {name}": identity(learner_of(agent))})
    window = next(one for one in venue.task.windows if one.name == job.window)
    try:
        trainer.train(job.name, agent, job.seeds, window, job.phase)
    except TrainingError as error:
        kept = checkpoints.keep_policy(error.policy)
        raise TrainingError(
            f"{job.agent}: {error.message}; the policy before that is {kept}", hint=error.hint
        ) from error


def as_facts(error: SteelyardError) -> dict[str, str]:
    """An error as it travels to whoever ordered the job."""
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint}


def as_error(facts: Facts) -> SteelyardError:
    """The error that travelled."""
    kind = getattr(errors, str(facts["kind"]), SteelyardError)
    made: SteelyardError = kind(str(facts["message"]), hint=str(facts["hint"]))
    return made
