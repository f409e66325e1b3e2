"""The contract of this room, checked on any feature and any panel: `check_feature`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ContractError, DataError
from steelyard.features.leaks import find_leak, first_difference, guarded, quiet, untouched
from steelyard.features.worlds import MISSING, another_future, copied, garbled
from steelyard.types import Feature, Floats, Panel

CUTS = 4  # rows after which the future is taken away or replaced
SPARE = 8  # rows that the panel must have beyond the warm-up


def check_feature(feature: Feature, panel: Panel, *, exact: bool = False) -> None:
    """Check that a feature keeps the contract of its room on `panel`.

    * Its shape is (T, N), or (T,) for scope "market", also on a panel of one row or of none,
      and where nothing is observed; it leaves the panel as it was; its values are finite, or NaN.
    * It has its first value on the row after the warm-up that it states.
    * It is causal and keeps nothing between calls: `steelyard.features.leaks.find_leak`.
    * For scope "asset", each column comes from its own asset: alone, and beside other assets that
      are garbage, not observed or full of gaps, its values are the same.
    * For scope "asset" and "cross_section", time is made of observed rows: in a copy of the panel
      with a late listing and gaps, an asset has the values that it has where the rows on which it
      was not observed do not exist (for "cross_section": on which no asset was).

    Args:
        feature: a `Feature`, as made by the decorator `steelyard.features.feature`.
        panel: at least `feature.warmup + 8` rows; two assets or more make the check stronger. Gaps
            between its segments are not seen.
        exact: values must be the same to the last bit. By default they may differ by 1e-9 of their
            size, because arrays of another shape may be summed in another order.

    Raises:
        ContractError: the first part of the contract that is broken, with a hint.
        DataError: the panel is too short to tell, or lacks a field that the feature reads.
    """
    if not isinstance(feature, Feature):
        raise ContractError(
            f"{feature!r} is not a Feature",
            hint="decorate the function with @feature(unit=..., warmup=...)",
        )
    if len(panel) < feature.warmup + SPARE:
        raise DataError(
            f"feature `{feature.name}` needs {feature.warmup} rows of warm-up and {SPARE} more to "
            f"be checked; panel `{panel.name}` has {len(panel)}",
            hint="check it on a longer panel",
        )
    if "segment" in panel.context:
        panel = replace(panel, context={**panel.context, "segment": np.zeros(len(panel))})
    asked = guarded(feature)
    with quiet():
        values = untouched(asked, copied(panel), panel)
        _check_values(asked, panel, values)
        _check_causal(asked, panel, exact)
        if feature.scope == "asset" and len(panel.assets) > 1:
            _check_apart(asked, panel, values, exact)
        if feature.scope != "market":
            _check_gaps(asked, panel, values, exact)
        for other in (panel.rows(0, 0), panel.rows(0, 1), another_future(panel, 0, MISSING)):
            asked(other)


def _check_values(feature: Feature, panel: Panel, values: Floats) -> None:
    """No value is infinite, and some column has one on its first row after the warm-up."""
    if np.isinf(values).any():
        row = int(np.argwhere(np.isinf(values))[0][0])
        raise ContractError(
            f"feature `{feature.name}` is infinite at row {row}",
            hint="answer with NaN where there is no value, as `per_asset` does for 1/0",
        )
    if feature.scope == "market":
        first = np.isfinite(values[feature.warmup : feature.warmup + 1])
    else:
        observed = np.isfinite(panel["close"])
        first = np.isfinite(values[observed & (np.cumsum(observed, axis=0) == feature.warmup + 1)])
    if not first.any():
        raise ContractError(
            f"feature `{feature.name}` states a warm-up of {feature.warmup} rows but has no value "
            "on the row after it",
            hint="state as warmup the number of observed rows before the first value",
        )


def _check_causal(feature: Feature, panel: Panel, exact: bool) -> None:
    cuts = np.linspace(feature.warmup, len(panel) - 2, CUTS).astype(int).tolist()
    leak = find_leak(feature, panel, cuts, exact=exact)
    if leak is not None:
        raise leak.error()


def _check_apart(feature: Feature, panel: Panel, values: Floats, exact: bool) -> None:
    for column in sorted({0, len(panel.assets) - 1}):
        others = np.ones((len(panel), len(panel.assets)), dtype=bool)
        others[:, column] = False
        worlds = {
            "it stands alone": panel.select([panel.assets[column]]),
            "the other assets are garbage": garbled(panel, others),
            "the other assets are not observed": garbled(panel, others, missing=True),
        }
        for change, world in worlds.items():
            alone = 0 if len(world.assets) == 1 else column
            if first_difference(feature(world)[:, alone], values[:, column], exact):
                raise _mixing(feature, panel.assets[column], change)


def _check_gaps(feature: Feature, panel: Panel, values: Floats, exact: bool) -> None:
    """Gaps are made in every other asset, or in all where assets are compared."""
    asset = feature.scope == "asset"
    order = np.argsort(-np.isfinite(panel["close"]).sum(axis=0), kind="stable").tolist()
    chosen = sorted(order[::2] if asset else order)
    where = np.zeros((len(panel), len(panel.assets)), dtype=bool)
    where[np.ix_(_gaps(feature, panel), chosen)] = True
    holed = garbled(panel, where, missing=True)
    spoiled = feature(holed)
    for column in sorted(set(order) - set(chosen)):
        if first_difference(spoiled[:, column], values[:, column], exact):
            raise _mixing(feature, panel.assets[column], "the other assets have gaps")
    for columns in [[column] for column in sorted(order)] if asset else [chosen]:
        compact, kept = _observed(holed, columns)
        there = spoiled[np.ix_(kept, columns)]
        place = first_difference(feature(compact), there, exact)
        if place is not None:
            name = panel.assets[columns[place[1]]]
            if len(kept) == len(panel):
                raise _mixing(feature, name, "it stands alone")
            raise ContractError(
                f"feature `{feature.name}` counts rows that were not observed: with gaps, its "
                f"value of {name} at row {kept[place[0]]} is another than without these rows",
                hint="let per_asset(lambda close: ..., panel['close']) of "
                "steelyard.features.rolling leave them out",
            )


def _gaps(feature: Feature, panel: Panel) -> NDArray[np.intp]:
    """Rows that leave the warm-up and more: a late listing, a longer gap, and single rows."""
    rows, share = len(panel), max((len(panel) - feature.warmup) // 8, 1)
    late, middle = np.arange(share), rows // 2 + np.arange(share)
    single = np.linspace(share + 1, rows - 2, share).astype(int)
    return np.unique(np.concatenate([late, middle, single]))


def _observed(panel: Panel, columns: Sequence[int]) -> tuple[Panel, NDArray[np.intp]]:
    """Some assets without the rows on which none of them was observed; and the rows that stay."""
    part = panel.select([panel.assets[column] for column in columns])
    kept = np.flatnonzero(np.isfinite(part["close"]).any(axis=1))
    compact = replace(
        part,
        timestamps=part.timestamps[kept],
        fields={name: values[kept] for name, values in part.fields.items()},
        context={name: series[kept] for name, series in part.context.items()},
    )
    return compact, kept


def _mixing(feature: Feature, asset: str, change: str) -> ContractError:
    return ContractError(
        f"feature `{feature.name}` mixes assets: the values of {asset} change when {change}",
        hint='use each asset\'s own rows only, or make it scope="market"',
    )
