"""The view of the past: all that an agent knows when it decides, and nothing behind it.

An agent that computes from history (a rule, an estimator, a model of another library) is asked
`decide(past)` at every decision. Its view grows with the clock: `past["close"][-1]` is the close
that has just been seen, and there is no row behind it, in no array, shape or calendar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.errors import MissingDataError
from steelyard.types import Facts, Floats, Panel, Space


class Holdings(NamedTuple):
    """An account at a close.

    Attributes:
        cash: quote currency.
        units: (N,) what is held of each asset, in lots of the market; < 0 = short.
        value: cash and holdings at their last prices, quote currency.
        mark: (N,) price of one unit at the last observed close; 0 before the listing.
        trading: (N,) whether each asset is listed and its latest order could fill.
    """

    cash: float
    units: Floats
    value: float
    mark: Floats
    trading: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Past:
    """What is known at the close of the bar on which an agent decides.

    T rows have been seen, from the first one of the data to this close. All arrays are read-only.

    Attributes:
        step: decisions of this pass before this one.
        timestamps: (T,) closes.
        assets: N names.
        fields: name -> (T, N) as in `Panel`: open, high, low, close, volume, or those of a book;
            NaN = not observed. `past["close"]` is short for it.
        context: name -> (T,) series of the whole market.
        features: (T, D) float32 the features of the task, scaled as learners see them.
        columns: D names of these.
        vector: (V,) float32 the observation of a learner at this close.
        account: what is owned.
        actions: what may be answered.
        rules: how the market is traded: `cost` (fraction of the traded value) and, for stocks,
            `max_shares` (units that an action of 1 orders), `lot` and `fill`.
    """

    step: int
    timestamps: NDArray[np.datetime64]
    assets: tuple[str, ...]
    fields: Mapping[str, Floats]
    context: Mapping[str, Floats]
    features: NDArray[np.float32]
    columns: tuple[str, ...]
    vector: NDArray[np.float32]
    account: Holdings
    actions: Space
    rules: Facts

    def __len__(self) -> int:
        return len(self.timestamps)

    def __getitem__(self, name: str) -> Floats:
        """A field (T, N) or a context series (T,) by name."""
        found = self.fields.get(name, self.context.get(name))
        if found is None:
            known = ", ".join([*self.fields, *self.context])
            raise MissingDataError(f"the past has no field `{name}`", hint=f"it has: {known}")
        return found

    def panel(self) -> Panel:
        """The rows so far as a panel, for functions that take one."""
        return Panel(self.timestamps, self.assets, dict(self.fields), dict(self.context), "past")

    def order(self, units: ArrayLike) -> NDArray[np.float32]:
        """The action that orders `units` (N,) lots of each asset, or as many as it may.

        + buys and - sells. Markets truncate `action * max_shares` towards zero; half a lot more
        keeps rounding away from the edge.
        """
        wanted = np.asarray(units, np.float64)
        aimed = (wanted + 0.5 * np.sign(wanted)) / float(self.rules["max_shares"])
        return np.clip(aimed, self.actions.low, self.actions.high).astype(np.float32)

    def affordable(self, basket: ArrayLike) -> Floats:
        """Whole units (N,) in the proportions of `basket` that the account's value buys here.

        Commission included. What does not trade is left as it is, and the rest is put into the
        others.

        Args:
            basket: (N,) units of each asset in proportion to each other; all 0 = hold cash.
        """
        account, cost = self.account, float(self.rules["cost"])
        wanted = np.where(account.trading, np.asarray(basket, np.float64), 0.0)
        free = account.cash + np.sum(np.where(account.trading, account.units, 0.0) * account.mark)
        price = account.mark * (1 + cost)
        total = np.sum(wanted * price)
        units = wanted * (free / total if total > 0 else 0.0)
        # a whole number that rounding has put just below itself stays what it is
        whole = np.clip(np.floor(units * (1 + 1e-6)), 0, 2**30)
        return np.where(account.trading, whole, np.trunc(account.units))


class Rule(Protocol):
    """A policy that computes from history: a fresh copy of it trades every pass."""

    def decide(self, past: Past) -> ArrayLike:
        """(N,) action, or the number of a choice."""
        ...


Rows: TypeAlias = Mapping[str, NDArray[Any]]
"""New rows by name: `timestamps`, `features`, `field/NAME` and `context/NAME`."""


class History:
    """What has been seen so far, row by row; makes the `Past` of every decision.

    Args:
        assets, columns, actions, rules: see `Past`.
    """

    def __init__(
        self,
        assets: Sequence[str],
        columns: Sequence[str],
        actions: Space,
        rules: Facts,
    ) -> None:
        self._assets, self._columns = tuple(assets), tuple(columns)
        self._actions, self._rules = Space(*actions), dict(rules)
        self._held: dict[str, NDArray[Any]] = {}
        self._rows = 0

    def extend(self, rows: Rows) -> None:
        """Take note of new rows; memory grows with what was seen, and knows nothing of the rest."""
        count = len(rows["timestamps"])
        for name, values in rows.items():
            held = self._held.get(name)
            if held is None or len(held) < self._rows + count:
                grown = np.zeros((2 * (self._rows + count), *values.shape[1:]), values.dtype)
                if held is not None:
                    grown[: self._rows] = held[: self._rows]
                self._held[name] = held = grown
            held[self._rows : self._rows + count] = values
        self._rows += count

    def past(self, step: int, vector: NDArray[np.float32], account: Holdings) -> Past:
        """The view at the last row that was seen."""
        seen = {name: _locked(held[: self._rows]) for name, held in self._held.items()}

        def group(head: str) -> dict[str, Any]:
            return {
                name.removeprefix(head): values
                for name, values in seen.items()
                if name.startswith(head)
            }

        locked = account._replace(
            units=_locked(account.units),
            mark=_locked(account.mark),
            trading=_locked(account.trading),
        )
        return Past(
            step=step,
            timestamps=seen["timestamps"],
            assets=self._assets,
            fields=group("field/"),
            context=group("context/"),
            features=seen["features"],
            columns=self._columns,
            vector=_locked(vector),
            account=locked,
            actions=self._actions,
            rules=dict(self._rules),
        )


def rows_of(panel: Panel, features: NDArray[np.float32], first: int, stop: int) -> Rows:
    """Rows `first` to `stop` (exclusive) of a panel and its features, as `History` takes them."""
    cut = slice(first, stop)
    stamps = panel.timestamps[cut].astype("datetime64[us]").astype(np.int64)
    return {
        "timestamps": stamps.view("datetime64[us]"),
        "features": np.asarray(features[cut], np.float32),
        **{f"field/{name}": values[cut] for name, values in panel.fields.items()},
        **{f"context/{name}": values[cut] for name, values in panel.context.items()},
    }


def _locked(values: NDArray[Any]) -> NDArray[Any]:
    view = values.view()
    view.flags.writeable = False
    return view
