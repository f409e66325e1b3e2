"""How an agent that is not of this package is trained and traded: in processes of its own.

One process trains it on a market that ends where training ends. Two others trade with what it
learned, each told one moment after another: first one with another clock, environment, working
folder and home, then the one that is scored. Who acts differently in the two has found something
that was not told. An object that cannot be sent to a process is asked in this one, in several
futures; the row says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from steelyard.agents.answers import guarded, require_agent
from steelyard.benchmark.hunt import Finding, LessonHunt
from steelyard.benchmark.passes import day_of
from steelyard.benchmark.rehearsal import Actions, Pass, Stages, recorded
from steelyard.benchmark.rounds import Rounds
from steelyard.benchmark.task import Window
from steelyard.benchmark.venue import Venue
from steelyard.evaluation.results import Backtest
from steelyard.isolation.baggage import find_baggage
from steelyard.isolation.desk import Learned, Lesson
from steelyard.isolation.here import Here
from steelyard.isolation.parcel import Parcel, pack_agent
from steelyard.isolation.remote import LIMIT, Remote
from steelyard.rollout import Params
from steelyard.types import Facts, Floats

OWN, HERE = "own process", "in this process, not isolated"
TRUSTED = "trusted: not checked for leaks"
LISTED = 3
"""Opened files and the like that are named on a row."""

Report = Callable[[str, int, int], None]


@dataclass
class Asked:
    """What came of an agent in one window.

    Attributes:
        passes: one per seed; empty where it was not scored.
        logs: per seed, of its trainings.
        finding: how it knew too much; None where it did not.
        opened: what it was seen to open.
        hunt: what the search for leaks did.
    """

    passes: list[Backtest] = field(default_factory=list)
    logs: Sequence[Any] = ()
    finding: Finding | None = None
    opened: tuple[str, ...] = ()
    hunt: dict[str, Any] = field(default_factory=dict)


class Stranger:
    """Somebody's own agent on one venue.

    Args:
        venue: where it trades.
        name: for progress.
        agent: the agent.
        lessons: of the run.
        report: of progress.
        trust: no search for leaks.
        limit: seconds that a decision may take.

    Raises:
        ContractError: it lacks what a run needs.
    """

    def __init__(
        self,
        venue: Venue,
        name: str,
        agent: Any,
        lessons: LessonHunt,
        report: Report | None = None,
        *,
        trust: bool = False,
        limit: float = LIMIT,
    ) -> None:
        with guarded():
            require_agent(agent)
        self._venue, self._name, self._agent, self._lessons = venue, name, agent, lessons
        self._report, self._trust, self._limit = report, trust, limit
        self._parcel: Parcel | None = pack_agent(agent)
        self._learned: tuple[Any, Sequence[Any], Facts] | None = None
        self._opened: dict[str, None] = {}

    @property
    def isolation(self) -> str:
        """How it ran, for readers."""
        where = HERE if self._parcel is None else OWN
        if self._opened:
            named = list(self._opened)
            more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
            known = "own process, not isolated" if self._parcel is not None else HERE
            where = f"{known}: opened {', '.join(named[:LISTED])}{more}"
        if self._trust:
            return TRUSTED + ("" if where == OWN else f"; {where}")
        return where

    def ask(self, window: Window, seeds: Sequence[int], rounds: Rounds | None) -> Asked:
        """Train where there is something to learn, and trade a window.

        Raises:
            ContractError: the agent failed; the message says at which decision.
        """
        first = self._venue.span(window)[0]
        if not self._trust:
            carried = find_baggage(self._agent, self._venue.panel, first)
            if carried is not None:
                return Asked(finding=self._carrying(carried.asset, carried.row, carried.field))
        params = self._venue.window(window) if rounds is None else rounds.window
        stages, logs, facts, finding = self._taught(window, seeds, rounds)
        made = Asked(logs=logs, finding=finding, hunt=dict(facts))
        if finding is None:
            self._trade(made, Pass(self._venue, window, params, stages, seeds))
        made.opened = tuple(self._opened)
        return made

    def _carrying(self, asset: str, row: int, what: str) -> Finding:
        date = day_of(self._venue, row)
        text = f"holds numbers of the future: the {what} of {asset} from {date} on"
        return Finding(text, asset, date)

    def _desk(self, *, changed: bool = False) -> Remote | Here:
        if self._parcel is None:
            return Here(self._agent)
        return Remote(self._parcel, changed=changed, limit=self._limit)

    def _note(self, desk: Remote | Here) -> None:
        self._opened.update(dict.fromkeys(desk.opened))

    def _tell(self, what: str) -> Callable[[int, int], None] | None:
        if self._report is None:
            return None
        report, name = self._report, f"{what} {self._name}"
        return lambda done, total: report(name, done, total)

    # training

    def _taught(
        self, window: Window, seeds: Sequence[int], rounds: Rounds | None
    ) -> tuple[Stages, Sequence[Any], Facts, Finding | None]:
        """Policies by the row from which on they trade, logs, and what was looked for."""
        if not getattr(self._agent, "learns", True):
            if not callable(getattr(self._agent, "train", None)):
                return (), (), {}, None
            lesson = Lesson(self._venue.env, self._venue.before(window), tuple(seeds))
            return *self._train([(-1, lesson)], None), None
        if rounds is None:
            if self._learned is None:
                lesson = self._lesson(self._venue.training, seeds)
                if hasattr(self._agent, "combine"):
                    lesson = replace(lesson, validate=self._venue.validation())
                self._learned = self._train([(-1, lesson)], lesson)
            stages, logs, facts = self._learned
            return self._judged(stages, logs, facts, seeds)
        starts = np.asarray(rounds.starts).tolist()
        lessons = [(row, self._round(rounds, n, seeds)) for n, row in enumerate(starts)]
        return *self._train(lessons, None), None

    def _lesson(self, params: Params, seeds: Sequence[int]) -> Lesson:
        venue = self._venue
        return Lesson(venue.env, params, tuple(seeds), cash=venue.task.cash)

    def _round(self, rounds: Rounds, number: int, seeds: Sequence[int]) -> Lesson:
        """What is learned before a rolling window is traded, and nothing behind it."""
        learn, validate, again = (
            None if params is None else jax.tree.map(lambda leaf: leaf[number], params)
            for params in (rounds.learn, rounds.validate, rounds.again)
        )
        if hasattr(self._agent, "combine"):
            return replace(self._lesson(learn, seeds), validate=validate, again=again)
        return self._lesson(learn if again is None else again, seeds)

    def _train(
        self, lessons: Sequence[tuple[int, Lesson]], small: Lesson | None
    ) -> tuple[Stages, Sequence[Any], dict[str, Any]]:
        """Train on one lesson after another, in the order of time."""
        stages, made = [], []
        facts: dict[str, Any] = {}
        with self._desk() as desk:
            if small is not None and not self._trust:
                once = desk.learn(replace(small, most=1))
                facts = {"retrained": once.updates, "of": once.of, "digest": once.digest}
            for row, lesson in lessons:
                made.append(desk.learn(lesson, self._tell("train")))
                stages.append((row, desk.hand_over()))
            self._note(desk)
        return stages, _logs(made), facts

    def _judged(
        self, stages: Stages, logs: Sequence[Any], facts: Facts, seeds: Sequence[int]
    ) -> tuple[Stages, Sequence[Any], Facts, Finding | None]:
        """Train once more for a few updates where other rows lie behind training."""
        if "digest" not in facts:
            return stages, logs, facts, None
        if self._lessons.finding is not None:
            return stages, logs, {}, self._lessons.finding
        lesson = replace(self._lesson(self._lessons.elsewhere, seeds), most=1)
        with self._desk(changed=True) as desk:
            again = desk.learn(lesson)
            self._note(desk)
        told = {name: value for name, value in facts.items() if name != "digest"}
        if again.digest == facts["digest"]:
            return stages, logs, told, None
        train = self._venue.task.train
        date = day_of(self._venue, self._venue.panel.span(train.start, train.end)[1])
        text = (
            "learns something else where other rows lie behind the end of training, "
            f"{date}, in another environment, folder, home and time"
        )
        return stages, logs, told, Finding(text, "", date)

    def _trade(self, made: Asked, window: Pass) -> None:
        """The search for leaks, then the pass that is scored."""
        rehearsed = None if self._trust else self._rehearse(window)
        with self._desk() as desk:
            actions = window.play(desk, self._tell("backtest"))
            self._note(desk)
        if rehearsed is not None:
            own = self._parcel is not None
            made.finding = rehearsed(actions) or (window.told_alike(actions) if own else None)
            made.hunt |= {"cuts": window.cuts, "decisions": window.decisions, "told": own}
        if made.finding is None:
            made.passes = [
                self._venue.trade(window.params, recorded(one), seed)
                for one, seed in zip(actions, window.seeds, strict=True)
            ]

    def _rehearse(self, window: Pass) -> Callable[[Actions], Finding | None]:
        tell = self._tell("leaks")
        if self._parcel is None:
            return window.in_futures(lambda: Here(self._agent), tell)
        with Remote(self._parcel, changed=True, limit=self._limit) as desk:
            compared = window.elsewhere(desk, tell)
            self._note(desk)
        return compared


def _logs(made: Sequence[Learned]) -> Sequence[dict[str, Floats]]:
    """Per seed the logs of all trainings, (U,), or (R, U) where there are several."""
    if len(made) == 1:
        return [dict(log) for log in made[0].logs]
    return [
        {name: np.stack([one.logs[seed][name] for one in made]) for name in made[0].logs[seed]}
        for seed in range(len(made[0].logs))
    ]
