"""Panels that are another one in part: what the look-ahead checks of features ask about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from steelyard.features.series import GROUPS
from steelyard.types import Floats, Panel

Rows = NDArray[np.bool_]

AWAY, GARBAGE, MISSING = "are taken away", "are replaced by garbage", "are not observed"
"""What may become of later rows."""

HOLES = 4
"""Holes of a panel that are looked into, at most."""


def copied(panel: Panel) -> Panel:
    """A panel that may be written to."""
    return replace(
        panel,
        timestamps=panel.timestamps.copy(),
        fields={name: values.copy() for name, values in panel.fields.items()},
        context={name: series.copy() for name, series in panel.context.items()},
    )


def garbled(panel: Panel, where: Rows, *, missing: bool = False) -> Panel:
    """The panel with unrelated numbers (or NaN) `where` (T, N); also in the context on full rows.

    Numbers are spread over eight orders of magnitude around the mean of their series. The classes
    of assets and the segments stay, because they are no observations.
    """
    names = [*panel.fields, *panel.context]
    spread = np.exp(np.random.default_rng(0).normal(0.0, 3.0, int(where.sum()) + len(names)))

    def spoil(name: str, values: Floats, chosen: Rows) -> Floats:
        if name == "segment" or name in GROUPS:
            return values
        spoiled = values.astype(np.float64)
        if missing:
            spoiled[chosen] = np.nan
        else:
            begin = names.index(name)  # each series has its own noise
            noise = spread[begin : begin + np.count_nonzero(chosen)]
            spoiled[chosen] = _usual_size(values) * noise
        return spoiled

    full: Rows = np.asarray(where.all(axis=1))
    return replace(
        panel,
        fields={name: spoil(name, values, where) for name, values in panel.fields.items()},
        context={name: spoil(name, series, full) for name, series in panel.context.items()},
    )


def _usual_size(values: Floats) -> float:
    """Mean of what is there without its sign; 1 where there is nothing but zeros."""
    there = np.abs(values[np.isfinite(values)])
    return float(there.mean()) or 1.0 if there.size else 1.0


def another_future(panel: Panel, cut: int, world: str) -> Panel:
    """Rows up to `cut` as they are, and behind it what `world` says."""
    if world == AWAY:
        return panel.rows(0, cut + 1)
    later = np.zeros((len(panel), len(panel.assets)), dtype=bool)
    later[cut + 1 :] = True
    other = garbled(panel, later, missing=world == MISSING)
    return other if world == MISSING else replace(other, timestamps=_another_calendar(panel, cut))


def _another_calendar(panel: Panel, cut: int) -> NDArray[np.datetime64]:
    """Timestamps that go on after `cut` in one, two or three times the usual step."""
    stamps = panel.timestamps.copy()
    usual = np.sort(np.diff(stamps))[(len(stamps) - 1) // 2]
    steps = np.random.default_rng(cut).integers(1, 4, len(stamps) - 1 - cut)
    stamps[cut + 1 :] = stamps[cut] + np.cumsum(steps) * usual
    return stamps


def hole_ends(panel: Panel, warmup: int) -> list[int]:
    """Some rows after the warm-up that lack something which is there on the next row."""
    ends: set[int] = set()
    for values in (*panel.fields.values(), *panel.context.values()):
        there = np.isfinite(values).reshape(len(panel), -1)
        back = np.flatnonzero((~there[:-1] & there[1:]).any(axis=1))
        ends.update(back[back >= warmup][[0, -1]].tolist() if (back >= warmup).any() else [])
    found = sorted(ends)
    chosen = np.linspace(0, len(found) - 1, min(HOLES, len(found))).astype(int)
    return [found[place] for place in chosen]
