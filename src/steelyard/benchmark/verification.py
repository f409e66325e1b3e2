"""Scoring a result bundle again from its recorded actions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steelyard.benchmark.scoring import index_curve
from steelyard.benchmark.task import Task, Window
from steelyard.benchmark.venue import Venue, open_venue
from steelyard.errors import BundleError
from steelyard.evaluation.backtest import Recorded
from steelyard.evaluation.recordings import Pass
from steelyard.evaluation.report.numbers import counted, plain
from steelyard.evaluation.results import is_isolated, not_scored
from steelyard.evaluation.statistics import interval
from steelyard.types import EquityCurve, Facts, Floats


@dataclass(frozen=True)
class Verification:
    """What a second look at a bundle found.

    Attributes:
        bundle: the directory.
        fingerprint: of the task, the data and the library here.
        comparable: whether it is that of the bundle. Another library version can still re-score.
        curves: account curves that were rebuilt.
        differing: names of those of which at least one value differs in at least one bit, and of
            curves that belong to no row.
        metrics: numbers that were computed again.
        wrong: names of those that differ from the bundle's.
        unscored: agent -> why its row has no numbers, as the bundle says.
        isolation: agent -> how it ran, where that is no proof that it saw no later row.
    """

    bundle: str
    fingerprint: str
    comparable: bool
    curves: int
    differing: Sequence[str]
    metrics: int
    wrong: Sequence[str]
    unscored: Mapping[str, str] = field(default_factory=dict)
    isolation: Mapping[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every curve and every number came out again."""
        return not self.differing and not self.wrong and self.comparable

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {**asdict(self), "holds": self.holds}

    def lines(self) -> list[str]:
        """The result for people."""
        told = [
            f"{counted(self.curves, 'account curve')} replayed, {_differ(self.differing)}",
            f"{counted(self.metrics, 'number')} computed again, {_differ(self.wrong)}",
        ]
        told += [f"differs: {plain(name)}" for name in (*self.differing, *self.wrong)]
        told += [plain(not_scored(agent, why)) for agent, why in self.unscored.items()]
        told += [plain(f"{agent}: {how}") for agent, how in self.isolation.items()]
        if not self.comparable:
            told.append(
                f"the fingerprint here is {self.fingerprint}: other data or another library version"
            )
        return [*told, f"{self.bundle}: " + ("holds" if self.holds else "DOES NOT HOLD")]


def verify(bundle: Path) -> Verification:
    """Replay the actions of a bundle on the exact ledger and compare every bit and every number.

    Raises:
        BundleError: the bundle is damaged, or names data that cannot be loaded the same way.
    """
    from steelyard.evaluation.bundle import actions, curves, read

    content = read(bundle)
    venue = open_venue(_task(content["config"]))
    rows = content["score"]["rows"]
    recorded, stored = actions(bundle), curves(bundle)
    replayed: set[Pass] = set()
    differing: list[str] = []
    wrong: list[str] = []
    metrics = 0
    for row, scored in [(one, place) for one in rows for place in one["windows"]]:
        rebuilt = _rebuilt(venue, row, scored, recorded)
        replayed |= rebuilt.keys()
        differing += [
            _named(place)
            for place, curve in rebuilt.items()
            if not _same_bits(curve, _at(stored, place))
        ]
        again = interval(list(rebuilt.values()))
        for name, estimate in scored["metrics"].items():
            metrics += 1
            if not _same(asdict(again[name]), estimate):
                wrong.append(f"{row['agent']}/{scored['name']}/{name}")
    for one in content["score"].get("ceilings", ()):
        metrics += 1
        if not _same_ceiling(venue, one):
            wrong.append(f"hindsight/{one['window']}/profit")
    return Verification(
        bundle=str(bundle),
        fingerprint=venue.fingerprint,
        comparable=venue.fingerprint == content["score"]["fingerprint"],
        curves=len(replayed),
        differing=[*differing, *(_named(place) for place in stored if place not in replayed)],
        metrics=metrics,
        wrong=wrong,
        unscored={row["agent"]: row.get("note", "") for row in rows if not row["windows"]},
        isolation={
            row["agent"]: row["isolation"]
            for row in rows
            if not is_isolated(row.get("isolation", ""))
        },
    )


def _rebuilt(
    venue: Venue, row: Facts, scored: Facts, recorded: Mapping[Pass, Any]
) -> dict[Pass, EquityCurve]:
    """The curves of a row in a window: prices of an index, recorded actions of an agent."""
    window = Window(scored["name"], scored["start"], scored["end"])
    if row["kind"] == "index":
        return {
            (row["agent"], window.name, int(seed)): index_curve(venue, row["agent"], window)
            for seed in row["seeds"]
        }
    places: list[Pass] = [(row["agent"], window.name, int(seed)) for seed in row["seeds"]]
    return {place: _replay(venue, window, _at(recorded, place), place[2]) for place in places}


def _task(config: Mapping[str, Any]) -> Task:
    """The task that the bundle's card describes; a bundle may come from anybody."""
    try:
        return Task.from_card(config["card"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"the bundle's task card cannot be read: {type(error).__name__} {error}",
            hint="ask for the bundle as `steelyard run` wrote it",
        ) from error


def _replay(venue: Venue, window: Window, actions: Any, seed: int) -> EquityCurve:
    params = venue.window(window)
    if actions.shape != (int(params.length), params.market.assets):
        raise BundleError(
            f"the actions of window `{window.name}` have shape {actions.shape}, which does not fit"
        )
    with jax.enable_x64(True):
        policy = Recorded(jnp.asarray(actions, jnp.float32))
    return venue.trade(params, policy, seed).curve


def _at(found: Mapping[Any, Any], place: Pass) -> Any:
    if place not in found:
        raise BundleError(f"the bundle has nothing for {_named(place)}")
    return found[place]


def _named(place: Pass) -> str:
    return "/".join(map(str, place))


def _differ(names: Sequence[str]) -> str:
    return f"{len(names)} differ" + ("s" if len(names) == 1 else "")


def _same_bits(curve: EquityCurve, stored: tuple[Any, Floats]) -> bool:
    timestamps, value = stored
    same_clock = np.array_equal(
        curve.timestamps.astype("datetime64[ns]"), timestamps.astype("datetime64[ns]")
    )
    return same_clock and np.array_equal(curve.value, value)


def _same_ceiling(venue: Venue, stated: Mapping[str, Any]) -> bool:
    """Whether the best in hindsight is what the bundle says."""
    windows = [window for window in venue.task.windows if window.name == stated["window"]]
    best = venue.ceiling(windows[0]) if windows else None
    return best is not None and bool(
        np.isclose(best.value[-1] - best.value[0], stated["profit"], rtol=1e-9, atol=1e-9)
    )


def _same(one: Mapping[str, float], other: Mapping[str, float | None]) -> bool:
    """Equal to 1e-9; machines may sum in another order. JSON has null for what is no number."""
    return all(
        not math.isfinite(value)
        if found is None
        else bool(np.isclose(value, found, rtol=1e-9, atol=1e-12))
        for value, found in ((one[name], other[name]) for name in ("value", "low", "high"))
    )
