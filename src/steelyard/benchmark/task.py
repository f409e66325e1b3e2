"""What is compared: the card of a task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from steelyard.evaluation.claims import Claim
from steelyard.evaluation.splits import Rolling
from steelyard.market import Fill
from steelyard.types import Facts


@dataclass(frozen=True)
class Window:
    """A period of a task, both days inclusive; the first row is the close that starts it."""

    name: str
    start: str
    end: str


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
        rolling: train anew as the test goes by; once, before it, where None.
        cash: starting capital of every window, in quote currency.
        cost: commission on each side, fraction of the traded value.
        max_shares: shares of one asset that an action of 1 orders.
        fill: "next_open", or "same_close" as the published kits trade.
        gates: gauge (a market-wide feature) -> threshold that closes the market.
        max_weight, leverage: see `envs.constraints.Limits`.
        reward: a key of `venue.REWARDS`; what learners see, not what is scored.
        episode: steps of a training episode.
        deterministic: trade the most likely action; else draw from the policy.
        learning: agent name -> field -> value, laid over an agent's own settings where it is
            called by name; "*" is for all that have the field.
        periods_per_year: bars per year, for annualising.
        index: name -> (what `load` is asked for, asset): price indices shown beside the agents.
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
    rolling: Rolling | None = None
    assets: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    cash: float = 1_000_000.0
    cost: float = 1e-3
    max_shares: float = 100.0
    fill: Fill = "next_open"
    gates: Mapping[str, float] = field(default_factory=dict)
    max_weight: float | None = None
    leverage: float | None = None
    reward: str = "value_change"
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
            "index": {name: tuple(place) for name, place in card["index"].items()},
            "rolling": Rolling(**card["rolling"]) if card["rolling"] else None,
            "learning": {
                name: {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
                for name, given in card["learning"].items()
            },
            "claims": tuple(Claim.of(claim) for claim in card["claims"]),
        }
        return cls(**{**card, "windows": windows, **read, **periods, **tuples})
