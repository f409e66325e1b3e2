"""Tasks on stocks and on a book, and their data with other rows behind some row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from book_markets import random_books
from steelyard.benchmark import BookRules, StockRules, Task, Venue, Window
from steelyard.data import load
from steelyard.types import Floats, Panel
from tasks_for_tests import planted

PLANTED, SPREAD = 98.7651234, 0.02
"""A price that no data here have, and how far asks lie above it."""

GATED = StockRules(gates={"turbulence": 6.0})


def stocks(**changes: Any) -> tuple[Task, Panel]:
    """Three assets, a gate and a series of the whole market; two years to learn from."""
    panel = load(planted(assets=3).data)
    vix = 15 + np.abs(np.random.default_rng(3).normal(0, 9, len(panel)))
    features = ("return_1", "close_30_sma", "turbulence", "vix")
    task = planted(assets=3, rules=GATED, features=features, episode=20)
    return replace(task, **changes), replace(panel, context={"vix": vix})


def book(**changes: Any) -> tuple[Task, Panel]:
    """Six hundred seconds in five segments: to learn from, to validate on and to trade."""
    panel = random_books(5, 600, segments=5, most=9.0)
    clock = panel.timestamps
    train, validate, test = (
        Window(name, str(clock[first]), str(clock[last]))
        for name, first, last in (("train", 0, 330), ("validate", 331, 450), ("test", 451, 580))
    )
    task = Task(
        name="book",
        version=1,
        summary="a random book",
        data="books",
        train=train,
        validate=validate,
        windows=(test,),
        features=("imbalance", "order_flow_imbalance"),
        rules=BookRules(max_position=2, step_gap=2, delay=1),
        episode=16,
        periods_per_year=0.0,
    )
    return replace(task, **changes), panel


MARKETS = {"stocks": stocks, "book": book}


def other_rows(panel: Panel, last: int, *, same_clock: bool = False) -> Panel:
    """The panel up to row `last`, and unrelated rows behind it.

    Unless `same_clock`, there are two thirds as many of them, on other dates. They are earlier
    ones in turn at three times their price, so that they are as good bars or books as the true
    ones; segments go on, and end elsewhere.
    """
    behind = len(panel) - last - 1
    count = behind if same_clock else max(2 * behind // 3, 1)
    drawn = np.random.default_rng(last).integers(0, last + 1, count)

    def changed(values: Floats) -> Floats:
        return np.concatenate([values[: last + 1], 3.0 * values[drawn]])

    context = {name: changed(values) for name, values in panel.context.items()}
    if "segment" in context:
        later = panel["segment"][last] + np.arange(count) // 37
        context["segment"] = np.append(panel["segment"][: last + 1], later)
    step = panel.timestamps[1] - panel.timestamps[0]
    other = panel.timestamps[last] + 2 * step * np.arange(1, count + 1)
    clock = panel.timestamps if same_clock else np.append(panel.timestamps[: last + 1], other)
    fields = {name: changed(values) for name, values in panel.fields.items()}
    return replace(panel, timestamps=clock, fields=fields, context=context)


def with_planted(panel: Panel, last: int) -> Panel:
    """The panel with one number in every field of every row behind `last`."""
    fields = {}
    for name, values in panel.fields.items():
        fields[name] = values.copy()
        fields[name][last + 1 :] = PLANTED + SPREAD * name.startswith("ask_")
    context = {name: values.copy() for name, values in panel.context.items()}
    for name, values in context.items():
        values[last + 1 :] = panel["segment"][last] if name == "segment" else PLANTED
    return replace(panel, fields=fields, context=context)


def traces(params: Any, venue: Venue, last: int) -> list[str]:
    """Where params hold the planted price, or an observation of a row behind `last`."""
    near = [PLANTED, PLANTED + SPREAD, PLANTED + SPREAD / 2]
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        values = np.asarray(leaf, np.float64)
        if any(np.isclose(values, one, rtol=1e-7, atol=0).any() for one in near):
            found.append(jax.tree_util.keystr(path))
    later = {row.tobytes() for row in np.asarray(venue.exact.table)[last + 1 :]}
    shown = np.asarray(params.market.table)
    found += ["table"] * any(row.tobytes() in later for row in shown.reshape(-1, shown.shape[-1]))
    return found


def differences(one: Any, other: Any) -> list[str]:
    """The leaves of two params that differ in a bit, in shape or in type."""
    leaves, others = (jax.tree_util.tree_leaves_with_path(params) for params in (one, other))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    return [
        jax.tree_util.keystr(path)
        for (path, leaf), (_, twin) in zip(leaves, others, strict=True)
        if _bits(leaf) != _bits(twin)
    ]


def _bits(leaf: Any) -> tuple[Any, ...]:
    values = np.asarray(leaf)
    return values.shape, values.dtype, values.tobytes()
