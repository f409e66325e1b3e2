"""Prices of the future in somebody's luggage: numbers inside an agent that only time can tell.

An agent, its modules and its closures are looked through for runs of numbers that are the prices,
or the returns, of an asset on consecutive rows behind the last one that it may know.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.agents.answers import is_stranger
from steelyard.isolation.sources import is_own
from steelyard.types import Floats, Panel

RUN = 6
"""Consecutive rows that are no chance."""

SAME = 2e-7
"""Relative distance below which two numbers are the same, which float32 keeps."""

TABLES = ("pandas", "polars", "pyarrow")

MOST_OBJECTS, MOST_NUMBERS = 200_000, 50_000_000


@dataclass(frozen=True)
class Found:
    """What somebody carries.

    Attributes:
        asset: whose numbers.
        row: of the panel, the first that it cannot know.
        field: which numbers, as "close".
    """

    asset: str
    row: int
    field: str


def find_baggage(agent: Any, panel: Panel, known: int) -> Found | None:
    """The first numbers of rows behind `known` that an agent carries; None where there are none.

    Args:
        agent: somebody's own, with the modules that its classes and functions live in.
        panel: all rows.
        known: last row that the agent may have seen.
    """
    needles = _needles(panel, known)
    if not needles:
        return None
    best: Found | None = None
    for values in _arrays(agent):
        for name, needle in needles.items():
            found = _first(values, needle)
            if found is None:
                continue
            asset, row = found
            if best is None or known + 1 + row < best.row:
                best = Found(panel.assets[asset], known + 1 + row, name)
    return best


def _needles(panel: Panel, known: int) -> dict[str, Floats]:
    """Name -> (R, N) numbers of the rows behind `known`, of those that move from row to row."""
    made = {}
    for name in ("close", "open", "high", "low", "bid_1", "ask_1"):
        values = panel.fields.get(name)
        if values is None:
            continue
        made[name] = values[known + 1 :]
        if name == "close":
            with np.errstate(divide="ignore", invalid="ignore"):
                change = values[1:] / values[:-1]
            made["return"] = (change - 1)[known:]
            made["log return"] = np.log(change)[known:]
            made["log close"] = np.log(values[known + 1 :])
    return {name: values for name, values in made.items() if len(values) >= RUN}


def _first(values: Floats, needle: Floats) -> tuple[int, int] | None:
    """(asset, row) of the first run of a needle along any axis of some numbers."""
    best: tuple[int, int] | None = None
    flat = needle.T.ravel()
    usable = np.flatnonzero(np.isfinite(flat) & (np.abs(flat) > 1e-12))
    order = usable[np.argsort(flat[usable])]
    rows, sorted_needle = len(needle), flat[order]
    for axis in range(values.ndim):
        if values.shape[axis] < RUN:
            continue
        lanes = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
        for turned in (lanes, lanes[:, ::-1]):
            for lane, at, place in _runs(_places(turned, sorted_needle, order), rows):
                asset, row = divmod(place, rows)
                row = _back(turned[lane], at, needle[:, asset], row)
                if best is None or row < best[1]:
                    best = asset, row
    return best


def _back(lane: Floats, at: int, needle: Floats, row: int) -> int:
    """The row at which a run really begins: numbers before it may be those of other assets too."""
    while at > 0 and row > 0 and abs(lane[at - 1] - needle[row - 1]) <= SAME * abs(lane[at - 1]):
        at, row = at - 1, row - 1
    return row


def _places(lanes: Floats, sorted_needle: Floats, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """For every number the place of the needle that it equals; -1 where it is none."""
    if not len(order):
        return np.full(lanes.shape, -1)
    at = np.clip(np.searchsorted(sorted_needle, lanes), 0, len(order) - 1)
    best = np.full(lanes.shape, -1)
    for near in (at, np.maximum(at - 1, 0)):
        with np.errstate(invalid="ignore"):
            same = np.abs(sorted_needle[near] - lanes) <= SAME * np.abs(lanes)
        best = np.where(same & (best < 0), order[near], best)
    return best


def _runs(place: NDArray[np.int64], rows: int) -> Iterator[tuple[int, int, int]]:
    """(lane, position, place) where a run of consecutive rows of one asset begins, if any does."""
    goes_on = (place[:, :-1] >= 0) & (place[:, 1:] == place[:, :-1] + 1)
    goes_on &= place[:, 1:] % rows != 0
    if goes_on.shape[1] < RUN - 1:
        return
    window = np.lib.stride_tricks.sliding_window_view(goes_on, RUN - 1, axis=1).all(axis=2)
    lane, at = np.nonzero(window)
    if len(lane):
        first = int(np.argmin(place[lane, at] % rows))
        yield int(lane[first]), int(at[first]), int(place[lane[first], at[first]])


def _arrays(agent: Any) -> Iterator[Floats]:
    """Every array, table and list of numbers that can be reached from an agent."""
    waiting, seen, numbers = [agent], set[int](), 0
    while waiting and len(seen) < MOST_OBJECTS and numbers < MOST_NUMBERS:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (str, bytes, bool, int, float, complex, type(None))):
            continue
        seen.add(id(one))
        for values in _numbers(one):
            numbers += values.size
            yield values
        waiting += _inside(one)


def _numbers(one: Any) -> list[Floats]:
    """The numbers of an array, of the columns of a table, or of the entries of a collection."""
    if isinstance(one, np.ndarray):
        columns = [one[name] for name in one.dtype.names] if one.dtype.names else [one]
        return [values.astype(np.float64) for values in columns if values.dtype.kind in "fiu"]
    if isinstance(one, dict):
        return _entries(list(one.values()))
    if isinstance(one, (list, tuple)):
        return _entries(list(one))
    if type(one).__module__.split(".")[0] not in ("jaxlib", "jax", "torch", *TABLES):
        return []
    names = getattr(one, "columns", None)
    if type(one).__module__.split(".")[0] in TABLES and names is not None:
        parts = [one[name] for name in names] if hasattr(one, "__getitem__") else []
    else:
        parts = [one]
    return [values for part in parts for values in _as_array(part)]


def _entries(held: list[Any]) -> list[Floats]:
    """Numbers, rows of numbers, or tuples of which some parts are numbers, one after another."""
    if len(held) < RUN:
        return []
    first = held[0]
    if isinstance(first, (int, float, np.generic)):
        return _as_array(held)
    if isinstance(first, np.ndarray):
        return _as_array(held)
    if not isinstance(first, (list, tuple)) or {type(one) for one in held} - {list, tuple}:
        return []
    width = min(len(one) for one in held)
    return [values for at in range(width) for values in _as_array([one[at] for one in held])]


def _as_array(part: Any) -> list[Floats]:
    """A part as an array of numbers; nothing where it is none."""
    try:
        values = np.asarray(part.to_numpy() if hasattr(part, "to_numpy") else part)
    except Exception:  # noqa: BLE001 - a key, a tensor elsewhere, a ragged list: no numbers to look at
        return []
    return [values.astype(np.float64)] if values.dtype.kind in "fiu" else []


def _inside(one: Any) -> list[Any]:
    """What an object holds: its fields, the closure and the globals of its code."""
    if isinstance(one, dict):
        return [*one.keys(), *one.values()]
    if isinstance(one, (list, tuple, set, frozenset)):
        return list(one)
    if isinstance(one, Panel):
        return [one.fields, one.context]
    if isinstance(one, MethodType):
        return [one.__func__, one.__self__]
    if isinstance(one, FunctionType):
        cells = [cell.cell_contents for cell in one.__closure__ or () if _filled(cell)]
        defaults = [one.__defaults__, one.__kwdefaults__]
        return [*cells, *defaults, *(_globals_of(one) if is_stranger(one) else [])]
    if isinstance(one, ModuleType):
        return list(vars(one).values()) if is_own(one) else []
    held = [getattr(one, "func", None), getattr(one, "__wrapped__", None)]
    if isinstance(one, type):
        return [*vars(one).values(), *one.__bases__] if is_stranger(one) else []
    if isinstance(one, (staticmethod, classmethod)):
        return [one.__func__]
    if isinstance(one, property):
        return [one.fget, one.fset]
    slots = [getattr(one, name, None) for name in getattr(type(one), "__slots__", ())]
    return [*getattr(one, "__dict__", {}).values(), *slots, *held, type(one)]


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _globals_of(function: FunctionType) -> list[Any]:
    """What the code of a function names outside of itself, and the rest of its module."""
    codes, names = [function.__code__], set[str]()
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
    held = [function.__globals__.get(name) for name in names]
    constants = [one for one in function.__code__.co_consts if isinstance(one, tuple)]
    module = sys.modules.get(function.__module__)
    # whoever runs a script or notebook keeps more there than the agent that it defines uses
    whole = [module] if module is not None and module.__name__ != "__main__" else []
    return [*constants, *held, *whole]
