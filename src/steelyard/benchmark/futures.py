"""Other futures: what a task would be had something else come after a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from steelyard.lookahead import another_future
from steelyard.rollout import Params
from steelyard.types import Floats, Panel

CUTS = 8
"""Decisions after which the future is replaced, the first and the last one among them."""

KEPT = 2**30
"""Bytes of other futures that a run keeps, so that its next agent need not make them."""

LATER = 48
"""Rows that another panel has behind the row up to which it is the same."""


def cuts_of(decisions: int) -> list[int]:
    """Numbers of the decisions behind which another future begins, at most `CUTS`."""
    return sorted({round(at) for at in np.linspace(0, decisions - 1, min(CUTS, decisions))})


def futures(params: Params, rows: NDArray[np.int64]) -> Iterator[tuple[int, Params]]:
    """(decision, params in which everything behind its close is another future), at every cut.

    Args:
        params: of one pass.
        rows: (D,) row of each decision.
    """
    for cut in cuts_of(len(rows)):
        yield cut, in_another_future(params, int(rows[cut]))


class Futures:
    """The other futures of the windows of a run, made once where memory allows."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bool], list[tuple[int, Params]]] = {}

    def of(
        self, name: str, params: Params, rows: NDArray[np.int64], *, rolling: bool = False
    ) -> Iterable[tuple[int, Params]]:
        """As `futures`, for the window `name`; only those of the last window are kept.

        Args:
            rolling: whether rows are shown as the round that trades them sees them.
        """
        key = (name, rolling)
        if key in self._kept:
            return self._kept[key]
        size = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(params))
        if CUTS * size > KEPT:
            return futures(params, rows)
        self._kept = {known: kept for known, kept in self._kept.items() if known[0] == name}
        self._kept[key] = list(futures(params, rows))
        return self._kept[key]


def ending_behind(params: Params, row: int) -> Params:
    """The settings of a pass that ends on the row behind `row`: nothing later is to be prepared."""
    last = jnp.minimum(jnp.asarray(row + 1, jnp.int32), jnp.asarray(params.last, jnp.int32))
    return replace(params, last=last)


def in_another_future(params: Params, row: int) -> Params:
    """The same settings on a market that is unrelated behind `row`."""
    return replace(params, market=another_future(params.market, row))


def another_panel(panel: Panel, row: int, *, same_clock: bool = False) -> Panel:
    """The panel up to `row`, and behind it other rows, another number of them, on other dates.

    The other rows are earlier ones in another order at twice the price, so that they are bars, or
    books, as good as the true ones.

    Args:
        same_clock: keep number and dates of the rows.
    """
    random = np.random.default_rng(row)
    known, count = np.arange(row + 1), len(panel) - row - 1 if same_clock else LATER
    later = random.choice(known, count)

    def changed(values: Floats) -> Floats:
        return np.concatenate([values[known], 2.0 * values[later]])

    context = {name: changed(values) for name, values in panel.context.items()}
    if "segment" in panel.context:
        segment = panel.context["segment"]
        context["segment"] = np.append(segment[known], np.full(count, segment[row] + 1))
    return replace(
        panel,
        timestamps=panel.timestamps if same_clock else _other_clock(panel.timestamps, row, count),
        fields={name: changed(values) for name, values in panel.fields.items()},
        context=context,
    )


def _other_clock(stamps: NDArray[np.datetime64], row: int, count: int) -> NDArray[np.datetime64]:
    """The timestamps up to `row`, and then every third one of a clock of the same kind."""
    known = stamps[: row + 1].astype("datetime64[us]").astype(np.int64)
    step = 3 * max(int(np.median(np.diff(known))), 1) if len(known) > 1 else 3 * 86_400_000_000
    behind = known[-1] + step * np.arange(1, count + 1)
    return np.append(known, behind).astype("datetime64[us]").astype(stamps.dtype)
