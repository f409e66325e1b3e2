"""What `steelyard check` asks of somebody's own object: the contract of its room, and a small run.

An agent is scored as a run scores it, with a small budget of training, on a market of stocks and in
an order book, or on a task that is named: so what passes here does not end in a traceback there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from steelyard.agents.answers import strangers_in
from steelyard.benchmark.book_rules import BookRules
from steelyard.benchmark.futures import cuts_of
from steelyard.benchmark.rows import HOUSE, Run, score_agent
from steelyard.benchmark.strangers import OWN
from steelyard.benchmark.task import Task, Window
from steelyard.benchmark.venue import Venue, open_venue
from steelyard.data import load
from steelyard.errors import ConfigError, ContractError, MissingDataError, SteelyardError
from steelyard.evaluation.results import AgentScore
from steelyard.isolation.remote import LIMIT
from steelyard.types import Facts, Feature

BUDGET = {"steps": 256, "envs": 4, "horizon": 16, "minibatch": 64, "epochs": 1}
"""Settings of a learner that fit a check."""

STOCKS = Task(
    name="check-stocks",
    version=1,
    summary="twelve assets, for checks",
    data="synthetic:momentum?rows=700&assets=12",
    features=("return_1", "close_30_sma"),
    train=Window("train", "2000-01-03", "2001-12-31"),
    validate=Window("validate", "2002-01-01", "2002-03-29"),
    windows=(Window("test", "2002-04-01", "2002-06-28"),),
    episode=64,
)
BOOK = Task(
    name="check-book",
    version=1,
    summary="one coin in its order book, for checks",
    data="bundled:lob_btc_trademaster_small_5lvl",
    features=("imbalance", "momentum"),
    train=Window("train", "2001-01-01", "2001-01-01"),
    validate=Window("validate", "2001-01-02", "2001-01-02"),
    windows=(Window("test", "2001-01-03", "2001-01-03"),),
    split=(0.6, 0.2, 0.2),  # the data do not hold these days
    rules=BookRules(unit=0.01, step_gap=2),
    cash=1_000.0,
    episode=64,
    periods_per_year=0.0,
)


@dataclass(frozen=True)
class Fault:
    """One thing that a check found.

    Attributes:
        kind: "leak", "contract", "failure" or "isolation".
        severity: "error", or "warning" for what a row only says.
        where: the task, room or function.
        message, hint: one line each.
    """

    kind: str
    severity: str
    where: str
    message: str
    hint: str = ""

    def to_dict(self) -> Facts:
        """Everything, ready for JSON."""
        return asdict(self)


def check_agent_in_runs(agent: Any, task: Task | None = None, limit: float = LIMIT) -> list[Fault]:
    """Score an agent as a run does, with a small budget.

    Args:
        agent: of this package or of somebody's own.
        task: where; a small market of stocks and a small order book where None: an agent may be
            made for one of them, so it has to run in one, and to leak in none.
        limit: seconds that a decision may take.
    """
    if task is not None:
        return _scored(agent, open_venue(task), limit)
    found = [_scored(agent, open_venue(one), limit) for one in (STOCKS, BOOK)]
    leaks = [fault for faults in found for fault in faults if fault.kind == "leak"]
    if leaks:
        return leaks
    clean = [faults for faults in found if not any(one.severity == "error" for one in faults)]
    return clean[0] if clean else found[0]


def _scored(agent: Any, venue: Venue, limit: float) -> list[Fault]:
    from steelyard.agents.check import check_agent

    small, where = short(agent), venue.task.name
    if not strangers_in(agent):
        try:
            check_agent(small, venue.env, venue.training)
        except SteelyardError as error:
            return [_contract(error, where)]
    run = Run(venue, (0, 1), limit=limit)
    return faults_of(score_agent(run, type(agent).__name__, small), where)


def faults_of(row: AgentScore, where: str) -> list[Fault]:
    """What a row says of its agent."""
    if row.stands:
        if row.isolation in (HOUSE, OWN):
            return []
        hint = "what it opens decides: nobody can tell what it read"
        return [Fault("isolation", "warning", where, row.isolation, hint)]
    if "finding" in row.hunt:
        hint = "decide on observations, or on the view of the past: steelyard.past.Past"
        return [Fault("leak", "error", where, str(row.note), hint)]
    message, _, hint = str(row.note).rpartition(" (")
    if message and hint.endswith(")"):
        return [Fault("contract", "error", where, message, hint.removesuffix(")"))]
    return [Fault("failure", "error", where, str(row.note))]


def short(agent: Any) -> Any:
    """A learning agent with a budget that fits a check."""
    if not getattr(agent, "learns", True) or not hasattr(agent, "__dataclass_fields__"):
        return agent
    population = getattr(agent, "population", None)
    if population is not None:
        groups = tuple((short(one), count) for one, count in population.groups)
        return replace(agent, population=replace(population, groups=groups))
    known = agent.__dataclass_fields__
    return replace(agent, **{name: value for name, value in BUDGET.items() if name in known})


def check_feature_in_runs(feature: Feature, task: Task | None = None) -> list[Fault]:
    """The contract of a feature, and whether it looks ahead at the decisions of a task.

    Args:
        task: on whose data; a bundled set of thirty stocks, or a bundled book, where None.
    """
    from steelyard.features.check import check_feature
    from steelyard.features.leaks import find_leak

    if task is not None:
        panel = load(task.data)
        panel = panel.select(task.assets) if task.assets else panel
        panels = [panel]
    else:
        panels = [
            load("bundled:us_djia30_daily_2009_2023").rows(0, 600),
            load("bundled:lob_btc_coinbase_1min_15lvl_martinsn_sample"),
        ]
    for number, panel in enumerate(panels):
        start, rows = feature.warmup, len(panel)
        cuts = [start + cut for cut in cuts_of(max(rows - start - 1, 1))]
        try:
            leak = find_leak(feature, panel, cuts)
            if leak is not None:
                told = leak.error([str(stamp) for stamp in panel.timestamps].__getitem__)
                return [Fault("leak", "error", panel.name, told.message, told.hint)]
            check_feature(feature, panel)
        except MissingDataError as error:  # it reads what only the other kind of data has
            if number + 1 == len(panels):
                return [_contract(error, panel.name)]
            continue
        except SteelyardError as error:
            return [_contract(error, panel.name)]
        return []
    return []


def check_env_in_runs(env: Any) -> list[Fault]:
    """The contract of an environment, on a small market of stocks or, if it needs one, a book."""
    from steelyard.envs.check import check_env

    found: list[Fault] = []
    for task in (STOCKS, BOOK):
        try:
            check_env(env, open_venue(task).training)
        except (ContractError, ConfigError) as error:
            found.append(_contract(error, task.name))
        except (AttributeError, TypeError) as error:  # made for the other kind of market
            found.append(Fault("failure", "error", task.name, f"{type(error).__name__}: {error}"))
        else:
            return []
    return found[:1]


def check_reward_in_runs(reward: Any) -> list[Fault]:
    """The contract of a reward."""
    from steelyard.envs.check_reward import check_reward

    try:
        check_reward(reward)
    except SteelyardError as error:
        return [_contract(error, "rewards")]
    return []


CHECKS: dict[str, Callable[..., list[Fault]]] = {
    "agents": check_agent_in_runs,
    "features": check_feature_in_runs,
    "envs": check_env_in_runs,
    "rewards": check_reward_in_runs,
}
"""Room -> what is asked of its objects."""


def room_of(found: Any) -> str:
    """The room of an object, by its shape."""
    if isinstance(found, Feature):
        return "features"
    if hasattr(found, "step") and hasattr(found, "reset"):
        return "envs"
    return "rewards" if hasattr(found, "initial") and callable(found) else "agents"


def _contract(error: SteelyardError, where: str) -> Fault:
    return Fault("contract", "error", where, error.message, error.hint)


def ok(faults: Sequence[Fault]) -> bool:
    """Whether nothing was found that must be mended."""
    return all(one.severity != "error" for one in faults)
