"""What the series of formulas are on a panel: stocks, one asset, books.

**Time** is an asset's own: rows on which it is not observed do not exist for windows. **Across
assets** is the row of the panel. Where there is no cross-section (one asset, or a book) `rank` and
`scale` go over the last 10 rows and `indneutralize` is dropped.

**Stocks** have open, high, low, close and volume; `vwap` is (high + low + close) / 3 and `cap` the
mean of volume times vwap over 20 rows, unless the panel has fields of these names. Groups are
the fields `sector`, `industry` and `subindustry` (`with_groups`); without them all assets are one
group.

**Books** have none of these. The bar of a row is what happened since the row before: `close` is the
mid and `open` the mid one row before; `high` is the larger best ask and `low` the smaller best bid
of the two rows. `volume` is the size on all levels of both sides and `vwap` their mean price
weighted by size. All of it is known at the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import DataError
from steelyard.features import operators
from steelyard.features.expressions import Expression
from steelyard.types import Floats, Panel

BAR = ("open", "high", "low", "close", "volume")
BEST = ("close", "bid_1", "ask_1", "bid_size_1", "ask_size_1")
GROUPS = ("sector", "industry", "subindustry")

POINT: Mapping[str, Callable[..., Floats]] = {
    "add": np.add,
    "subtract": operators.subtract,
    "multiply": np.multiply,
    "divide": operators.divide,
    "power": operators.power,
    "signed_power": operators.signed_power,
    "less": operators.less,
    "either": operators.either,
    "where": operators.where,
    "log": operators.log,
    "sign": np.sign,
    "absolute": np.abs,
    "minimum": np.minimum,
    "maximum": np.maximum,
}
"""Row by row."""

TIME: Mapping[str, Callable[..., Floats]] = {
    name: getattr(operators, name)
    for name in (
        *("delay", "delta", "ts_sum", "mean", "product", "stddev", "decay_linear", "ts_rank"),
        *("ts_min", "ts_max", "ts_argmin", "ts_argmax", "correlation", "covariance"),
    )
}
"""Over a window, the last argument."""

ACROSS: Mapping[str, Callable[[Floats], Floats]] = {
    "rank": operators.rank,
    "scale": operators.scale,
}
"""Across the assets of a row; `indneutralize` knows groups besides."""

ALONE: Mapping[str, Callable[[Floats], Floats]] = {
    "rank": operators.rank_alone,
    "scale": operators.scale_alone,
    "indneutralize": lambda values: values,
}
"""What stands in their place where there is no cross-section."""


@dataclass(frozen=True)
class Series:
    """The observed rows of a panel, asset by asset at the top of each column.

    Attributes:
        fields: name -> (T, N); what stands below an asset's observed rows is NaN.
        observed: (T, N) whether the panel has that row of the asset; None where it has all.
        order: (T, N) row of the panel at each place, the observed ones first.
        alone: no cross-section: one asset, or books.
        groups: name -> (T, N) codes of classes, rows as in the panel.
    """

    fields: Mapping[str, Floats]
    observed: NDArray[np.bool_] | None
    order: NDArray[np.intp] | None
    alone: bool
    groups: Mapping[str, Floats]

    @classmethod
    def of(cls, panel: Panel, names: frozenset[str]) -> Series:
        """What a panel has for the series `names`.

        A row of an asset is observed where everything is that the panel has of a bar or of a best
        bid and ask, whether a formula reads it or not.

        Raises:
            MissingDataError: a series needs a field that the panel lacks.
        """
        book = "bid_1" in panel.fields
        bar = [panel[name] for name in (BEST if book else BAR) if name in panel.fields]
        read = _read_book(panel) if book else _read_bars(panel, names)
        alone = book or len(panel.assets) == 1
        groups = {name: panel[name] for name in GROUPS if name in panel.fields and not alone}
        observed = np.logical_and.reduce([np.isfinite(values) for values in bar])
        if observed.all():
            return cls(read, None, None, alone, groups)
        order = np.argsort(~observed, axis=0, kind="stable")
        packed = {
            name: np.take_along_axis(np.where(observed, values, np.nan), order, axis=0)
            for name, values in read.items()
        }
        return cls(packed, observed, order, alone, groups)

    @property
    def shape(self) -> tuple[int, int]:
        """(T, N)."""
        rows, assets = self.fields["close"].shape
        return rows, assets

    @property
    def divisible(self) -> bool:
        """Whether rows can be evaluated in blocks: places are rows, or no row is compared."""
        return self.alone or self.order is None

    def rows(self, start: int, stop: int) -> Series:
        """Places `start` to `stop` (exclusive)."""
        if (start, stop) == (0, self.shape[0]):
            return self
        cut = slice(start, stop)
        return replace(
            self,
            fields={name: values[cut] for name, values in self.fields.items()},
            groups={name: values[cut] for name, values in self.groups.items()},
        )

    def apply(self, node: Expression, inputs: list[Any]) -> Any:
        """The value of a node: (T, N), or a number for a constant."""
        if node.operator == "constant":
            return node.number
        if node.operator in POINT:
            return POINT[node.operator](*inputs)
        if node.operator in TIME:
            return TIME[node.operator](*inputs, int(node.number))
        if not inputs:
            return self._leaf(node.operator)
        if self.alone:
            return ALONE[node.operator](inputs[0])
        values = self.unpacked(inputs[0])
        if node.operator == "indneutralize":
            return self._packed(operators.neutralize(values, self.groups.get(node.group)))
        return self._packed(ACROSS[node.operator](values))

    def unpacked(self, values: Floats) -> Floats:
        """Values at the rows of the panel; NaN where the asset is not observed."""
        if self.order is None or self.observed is None:
            return values
        result = np.empty_like(values)
        np.put_along_axis(result, self.order, values, axis=0)
        np.copyto(result, np.nan, where=~self.observed)
        return result

    def _packed(self, values: Floats) -> Floats:
        return values if self.order is None else np.take_along_axis(values, self.order, axis=0)

    def _leaf(self, name: str) -> Floats:
        """A series by the name that it has in formulas."""
        if name in self.fields:
            return self.fields[name]
        close = self.fields["close"]
        if name == "returns":
            return operators.subtract(operators.divide(close, operators.delay(close, 1)), 1.0)
        if name == "cap":
            return operators.mean(self._leaf("volume") * self._leaf("vwap"), 20)
        if name == "vwap":
            return (self.fields["high"] + self.fields["low"] + close) / 3.0
        if name == "open":
            return operators.delay(close, 1)
        if name == "high":
            return np.maximum(self.fields["ask_1"], operators.delay(self.fields["ask_1"], 1))
        return np.minimum(self.fields["bid_1"], operators.delay(self.fields["bid_1"], 1))


def with_groups(panel: Panel, **groups: Mapping[str, str]) -> Panel:
    """The panel with classes of its assets, for `indneutralize`.

    Args:
        panel: the data.
        groups: `sector`, `industry` or `subindustry`: asset -> name of its class.

    Raises:
        DataError: another keyword, or an asset without a class.
    """
    fields = dict(panel.fields)
    for level, classes in groups.items():
        missing = [asset for asset in panel.assets if asset not in classes]
        if level not in GROUPS or missing:
            what = f"no class for {', '.join(missing)}" if missing else "not a level of classes"
            raise DataError(f"`{level}`: {what}", hint=f"levels are {', '.join(GROUPS)}")
        names = sorted(set(classes.values()))
        codes = [float(names.index(classes[asset])) for asset in panel.assets]
        fields[level] = np.tile(np.array(codes), (len(panel), 1))
    return replace(panel, fields=fields)


def _read_bars(panel: Panel, names: frozenset[str]) -> dict[str, Floats]:
    """The fields that series are made of."""
    wanted = set(names)
    for name, parts in {
        "returns": {"close"},
        "cap": {"volume", "vwap"},
        "vwap": {"high", "low", "close"},
    }.items():
        if name in wanted and name not in panel.fields:
            wanted = wanted - {name} | parts
    return {name: panel[name] for name in {*wanted, "close"}}


def _read_book(panel: Panel) -> dict[str, Floats]:
    """Mid, best prices, and size and mean price of all that stands in the book."""
    size = np.zeros_like(panel["close"])
    value = np.zeros_like(size)
    for price, standing in _levels(panel):
        there = np.isfinite(price) & np.isfinite(standing)
        size += np.where(there, standing, 0.0)  # a level that is not there holds nothing
        value += np.where(there, price * standing, 0.0)
    with np.errstate(all="ignore"):
        made = {"volume": size, "vwap": operators.divide(value, size)}
    made |= {name: panel[name] for name in ("close", "bid_1", "ask_1")}
    return made | {name: panel[name] for name in ("cap",) if name in panel.fields}


def _levels(panel: Panel) -> Iterator[tuple[Floats, Floats]]:
    """Price and size of every level of both sides."""
    level = 1
    while f"bid_{level}" in panel.fields:
        for side in ("bid", "ask"):
            yield panel[f"{side}_{level}"], panel[f"{side}_size_{level}"]
        level += 1
