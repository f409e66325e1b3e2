"""The contract of this room, checked on any feature and any panel: `check_feature`."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ContractError, DataError
from steelyard.types import Feature, Floats, Panel

Rows = NDArray[np.bool_]

CUTS = 4  # rows after which the future is taken away or replaced
SAME = 1e-9  # relative tolerance: other shapes may be summed in another order
SPARE = 8  # rows that the panel must have beyond the warm-up


def check_feature(feature: Feature, panel: Panel) -> None:
    """Check that a feature keeps the contract of its room on `panel`.

    * Its shape is (T, N), or (T,) for scope "market", and it leaves the panel as it was.
    * It has its first value on the row after the warm-up that it states.
    * It is causal: without the rows after t, with garbage on them and with nothing observed on
      them, the values up to t are the same; at several t.
    * For scope "asset", each column comes from its own asset: alone, and beside other assets that
      are garbage or not observed, its values are the same.

    Args:
        feature: a `Feature`, as made by the decorator `steelyard.features.feature`.
        panel: at least `feature.warmup + 8` rows; two assets or more make the check stronger.

    Raises:
        ContractError: the first part of the contract that is broken, with a hint.
        DataError: the panel is too short to tell.
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
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # garbage may divide by zero
        _check_shape(feature, panel)
        values = feature(panel)
        _check_warmup(feature, panel, values)
        _check_causal(feature, panel, values)
        if feature.scope == "asset" and len(panel.assets) > 1:
            _check_apart(feature, panel, values)


def _check_shape(feature: Feature, panel: Panel) -> None:
    before = panel.digest()
    shape = np.shape(feature.function(panel))
    wanted = (len(panel),) if feature.scope == "market" else (len(panel), len(panel.assets))
    if shape != wanted:
        axes = "(T,)" if feature.scope == "market" else "(T, N)"
        raise ContractError(
            f"feature `{feature.name}` returned shape {shape}, not {axes} = {wanted}",
            hint='one column per asset, or scope="market" for one series',
        )
    if panel.digest() != before:
        raise ContractError(
            f"feature `{feature.name}` writes into the panel that it was given",
            hint="work on a copy: np.array(panel[...])",
        )


def _check_warmup(feature: Feature, panel: Panel, values: Floats) -> None:
    """Some column must have a value on its first row after the warm-up."""
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


def _check_causal(feature: Feature, panel: Panel, values: Floats) -> None:
    rows = len(panel)
    for cut in np.linspace(feature.warmup + SPARE // 2, rows - 1, CUTS).astype(int).tolist():
        future = np.zeros((rows, len(panel.assets)), dtype=bool)
        future[cut:] = True
        worlds = {
            "are taken away": panel.rows(0, cut),
            "are replaced by garbage": _garbage(panel, future),
            "are not observed": _garbage(panel, future, missing=True),
        }
        for change, world in worlds.items():
            if not _same(feature(world)[:cut], values[:cut]):
                raise ContractError(
                    f"feature `{feature.name}` looks ahead: values up to row {cut - 1} change when "
                    f"the rows after it {change}",
                    hint="let row t use rows up to t only, also in means, scales and fills",
                )


def _check_apart(feature: Feature, panel: Panel, values: Floats) -> None:
    for column in sorted({0, len(panel.assets) - 1}):
        others = np.ones((len(panel), len(panel.assets)), dtype=bool)
        others[:, column] = False
        worlds = {
            "it stands alone": panel.select([panel.assets[column]]),
            "the other assets are garbage": _garbage(panel, others),
            "the other assets are not observed": _garbage(panel, others, missing=True),
        }
        for change, world in worlds.items():
            alone = 0 if len(world.assets) == 1 else column
            if not _same(feature(world)[:, alone], values[:, column]):
                raise ContractError(
                    f"feature `{feature.name}` mixes assets: the values of "
                    f"{panel.assets[column]} change when {change}",
                    hint='use each asset\'s own rows only, or make it scope="market"',
                )


def _garbage(panel: Panel, where: Rows, *, missing: bool = False) -> Panel:
    """The panel with unrelated numbers (or NaN) `where`; also in the context on full rows."""
    random = np.random.default_rng(0)

    def spoil(values: Floats, chosen: Rows) -> Floats:
        noise = np.nan if missing else np.exp(random.normal(5.0, 3.0, values.shape))
        return np.where(chosen, noise, values)

    full: Rows = np.asarray(where.all(axis=1))
    return replace(
        panel,
        fields={name: spoil(values, where) for name, values in panel.fields.items()},
        context={name: spoil(series, full) for name, series in panel.context.items()},
    )


def _same(one: Floats, other: Floats) -> bool:
    return np.allclose(one, other, rtol=SAME, atol=1e-12, equal_nan=True)
