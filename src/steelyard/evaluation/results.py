"""What an evaluation produces: backtests, the estimates made from them, and the score of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from steelyard.types import EquityCurve, Facts, Floats


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; `low` and `high` enclose the middle 90 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Backtest:
    """One pass of one policy over one window, on the exact ledger.

    Attributes:
        curve: account value at the close of each of the T rows, and the closed trades.
        actions: (T-1, N) float32, what the policy answered; enough to rebuild everything else.
        units: (T, N) shares held at each close.
        cash: (T,) in quote currency.
        traded: (T-1,) value bought plus value sold of each step, in quote currency.
        costs: (T-1,) commissions of each step, in quote currency.
        weights: (T, N) value of each holding over the account value.
        gated: (T-1,) whether a risk gate was closed at the decision.
    """

    curve: EquityCurve
    actions: NDArray[np.float32]
    units: Floats
    cash: Floats
    traded: Floats
    costs: Floats
    weights: Floats
    gated: NDArray[np.bool_]


@dataclass(frozen=True)
class WindowScore:
    """One agent in one test window.

    Attributes:
        name, start, end: the window; both days inclusive, ISO text.
        backtests: one per seed; empty for an index, which cannot be traded.
        curves: one per seed.
        metrics: name -> estimate over seeds and resampled blocks.
    """

    name: str
    start: str
    end: str
    backtests: Sequence[Backtest]
    curves: Sequence[EquityCurve]
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class AgentScore:
    """One row of the table: an agent, or an index that stands beside the agents.

    Attributes:
        agent: name, as typed.
        kind: "learned", "classic" or "index".
        seeds: the seeds that were run, `(0,)` where nothing is random.
        windows: one score per test window of the task; none where the agent could not run, or
            may not be scored.
        training: per learned seed, log name -> one value per update.
        settings: the agent's hyper-parameters, ready for JSON.
        seconds: wall time of training and backtests.
        note: what a reader must know ("stopped early: 3 of 5 seeds"), empty if nothing. Of a row
            without windows, why it has none, in a line.
        ensemble: who an ensemble of M members is made of, ready for JSON; empty for other agents.
            "members" their names; where it weighs them, "dates" (R ISO days on which weights
            came into force) and "weights" (R x M, each row adds up to 1, 0 for who is discarded);
            "kl", "agreement" and "correlation" (M x M, None where not known): KL(row || column) in
            nats, share of equal decisions, correlation of returns. "seed" says of which seed.
        identity: hex digits that are equal for equal code and settings, so that a later run can go
            on from this one.
        isolation: how the agent ran: "house" (an agent of this package, proven by its tests), "own
            process" (somebody's own code in a process that never held a later row and opened
            nothing), empty for an index, else a text that readers must see ("in this process, not
            isolated", "trusted: not checked for leaks").
        hunt: what the search for leaks did, ready for JSON. "cuts", "decisions" and "worlds": at
            how many of how many decisions the future was changed, and into what; "retrained",
            "of" and "rounds": updates that were trained again, of how many, in how many rolling
            windows; "opened": files and sockets. A key may be absent.
    """

    agent: str
    kind: str
    seeds: tuple[int, ...]
    windows: Sequence[WindowScore]
    training: Sequence[Mapping[str, Floats]] = ()
    settings: Facts = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""
    ensemble: Facts = field(default_factory=dict)
    identity: str = ""
    isolation: str = ""
    hunt: Facts = field(default_factory=dict)

    @property
    def stands(self) -> bool:
        """Whether the row has numbers; one that does not is only named, with its reason."""
        return len(self.windows) > 0


def is_isolated(isolation: str) -> bool:
    """Whether nothing must be said about how an agent ran: `isolation` is known and proven."""
    return isolation in ("", "house", "own process")


def not_scored(agent: str, reason: str) -> str:
    """The sentence about a row without numbers."""
    told = reason.strip().rstrip(".")
    return f"{agent} was not scored" + (f": {told}." if told else ".")


Decision = Literal["supported", "refuted", "undecided"]

UNJUDGED = "Not judged:"
"""How the sentence on a claim begins where one of its sides has no numbers."""


@dataclass(frozen=True)
class Lead:
    """How far one agent is ahead of another on the same bars; positive is better.

    Attributes:
        better, than: the agents, as the claim names them.
        ahead: in the unit of the claim's metric, turned so that better is positive.
    """

    better: str
    than: str
    ahead: Estimate


@dataclass(frozen=True)
class Verdict:
    """What one window says about one claim; see `claims.judge`.

    Attributes:
        claim, text, metric: of the claim.
        window: name of the test window.
        decision: "supported", "refuted" or "undecided".
        ahead: mean of the ones minus mean of the others, positive is better; None where it could
            not be judged.
        pairs: the same for every pair of agents.
        sentence: what was found, with the numbers.
    """

    claim: str
    text: str
    metric: str
    window: str
    decision: Decision
    ahead: Estimate | None
    pairs: Sequence[Lead]
    sentence: str


@dataclass(frozen=True)
class Ceiling:
    """What nobody can pass in a window, and how near to it the agents came.

    Attributes:
        window: name of the test window.
        profit: of the best path in hindsight, in quote currency.
        gain: the same as a fraction of the capital.
        shares: agent -> its profit over that one, the median over seeds; empty where there was
            nothing to earn, or nobody was scored.
    """

    window: str
    profit: float
    gain: float
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Score:
    """All rows of a run of one task, comparable because they share one fingerprint.

    Attributes:
        task: name of the task.
        fingerprint: 16 hex digits of sha256 over the task's card, the data and the library's
            version of everything that moves a score.
        card: the task's facts (periods, capital, costs, fill, universe), ready for JSON.
        conventions: how the metrics are computed, for the report's foot.
        assets: names of the N assets, the columns of units and weights.
        rows: agents and indices, in the order of the table.
        published: rows of a published table that belong beside ours, ready for JSON.
        versions: library -> version.
        seconds: wall time from data to here.
        notes: what a reader must know about the whole run.
        verdicts: what became of the task's claims, window by window.
        ceilings: the best that hindsight could do, where the market tells; one per window.
    """

    task: str
    fingerprint: str
    card: Facts
    conventions: Facts
    assets: tuple[str, ...]
    rows: Sequence[AgentScore]
    published: Sequence[Facts] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    notes: Sequence[str] = ()
    verdicts: Sequence[Verdict] = ()
    ceilings: Sequence[Ceiling] = ()
