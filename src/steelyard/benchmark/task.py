"""What is compared: the card of a task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from steelyard.benchmark.rules import Rules, rules_of
from steelyard.benchmark.stock_rules import StockRules
from steelyard.evaluation.claims import Claim
from steelyard.evaluation.combinatorial import Combinatorial
from steelyard.evaluation.splits import Rolling
from steelyard.types import Facts


@dataclass(frozen=True)
class Window:
    """A period of a task, both days inclusive; the first row is the close that starts it."""

    name: str
    start: str
    end: str


@dataclass(frozen=True)
class FactorFile:
    """Factors that `steelyard factors mine` wrote.

    Attributes:
        path: their folder.
        sha256: their name; another file at that place is refused.
    """

    path: str
    sha256: str


@dataclass(frozen=True)
class Task:
    """What is compared: data, periods, money and rules. A card says everything that moves a score.

    Attributes:
        name, version, summary: what moves a published score bumps the version.
        data: what `load` is asked for.
        assets: the universe; all of the data where empty.
        features: names in room "features", in the order of the observation.
        train, validate: rows to learn from, and to choose hyper-parameters on. With `rolling` no
            row before `train` is learned from, and `validate` is where a search chooses.
        windows: test windows.
        needs_factors: whether agents trade on mined factors.
        factors: those that they trade on, as further columns behind the features.
        split: shares of the rows to train, validate and trade on, in that order, where the data do
            not hold the periods above; they must hold them where None. With four shares the first
            is left to the mining of factors.
        rolling: train anew as the test goes by; once, before it, where None.
        cross_validation: hold out parts of `train` and `validate` in turn; where a search chooses.
        cash: starting capital of every window, in quote currency.
        rules: what kind of market it is, and how it is traded: costs, fills, limits.
        episode: decisions of a training episode.
        deterministic: trade the most likely action; else draw from the policy.
        learning: agent name -> field -> value, laid over an agent's own settings where it is
            called by name; "*" is for all that have the field.
        periods_per_year: points of a curve per year, for annualising; 0 = read it off the clock of
            the data, which never rests.
        index: name -> (what `load` is asked for, asset): price indices shown beside the agents; the
            first asset of the task's own data where both are empty.
        agents: what `steelyard run` trains and compares by default.
        published: rows of a published table, shown beside ours with their notes.
        claims: what a publication says about its rows, to be judged by ours.
    """

    name: str
    version: int
    summary: str
    data: str
    train: Window
    windows: tuple[Window, ...]
    validate: Window | None = None
    needs_factors: bool = False
    factors: FactorFile | None = None
    split: tuple[float, ...] | None = None
    rolling: Rolling | None = None
    cross_validation: Combinatorial | None = None
    assets: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    cash: float = 1_000_000.0
    rules: Rules = field(default_factory=StockRules)
    episode: int = 252
    deterministic: bool = True
    learning: Mapping[str, Facts] = field(default_factory=dict)
    periods_per_year: float = 252.0
    index: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    agents: tuple[str, ...] = ()
    published: tuple[Facts, ...] = ()
    claims: tuple[Claim, ...] = ()

    def card(self) -> dict[str, Any]:
        """Every fact, ready for JSON."""
        return dict(json.loads(json.dumps(asdict(self))))

    @classmethod
    def from_card(cls, card: Facts) -> Task:
        """The task whose `card` this is, as a result bundle stores it."""
        windows = tuple(Window(**window) for window in card["windows"])
        periods = {
            name: Window(**card[name]) if card[name] else None for name in ("train", "validate")
        }
        tuples = {name: tuple(card[name]) for name in ("assets", "features", "agents", "published")}
        read: dict[str, Any] = {
            "factors": FactorFile(**card["factors"]) if card["factors"] else None,
            "split": tuple(card["split"]) if card["split"] else None,
            "rules": rules_of(card["rules"]),
            "index": {name: tuple(place) for name, place in card["index"].items()},
            "cross_validation": (
                Combinatorial(**card["cross_validation"]) if card["cross_validation"] else None
            ),
            "rolling": Rolling(**card["rolling"]) if card["rolling"] else None,
            "learning": {
                name: {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
                for name, given in card["learning"].items()
            },
            "claims": tuple(Claim.of(claim) for claim in card["claims"]),
        }
        return cls(**{**card, "windows": windows, **read, **periods, **tuples})
