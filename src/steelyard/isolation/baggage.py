"""Prices of the future in somebody's luggage: numbers inside an agent that only time can tell.

An agent, its modules and its closures are looked through for runs of numbers that are the prices,
or the returns, of an asset on consecutive rows behind the last one that it may know.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from dis import get_instructions
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.agents.answers import held_by, is_stranger
from steelyard.isolation.sources import is_own
from steelyard.types import Floats, Panel

RUN = 6
"""Consecutive rows that are no chance."""

SAME = 2e-7
"""Relative distance below which two numbers are the same, which float32 keeps."""

SHORTEST, LONGEST = 40, 20_000_000
"""Letters of a text that is looked through for numbers."""

NUMBER = re.compile(r"-?\d+\.\d+(?:[eE][-+]?\d+)?")

READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})

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
            for form in _forms(values, len(panel.assets)):
                found = _first(form, needle)
                if found is None:
                    continue
                asset, row = found
                if best is None or known + 1 + row < best.row:
                    best = Found(panel.assets[asset], known + 1 + row, name)
    return best


def _forms(values: Floats, assets: int) -> list[Floats]:
    """Numbers as they are and, of a long column, one asset after another within each row."""
    if values.ndim != 1 or assets == 1 or len(values) < RUN * assets:
        return [values]
    return [values, values[: len(values) // assets * assets].reshape(-1, assets)]


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
        if id(one) in seen or isinstance(one, (bool, int, float, complex, type(None))):
            continue
        seen.add(id(one))
        for values in _numbers(one):
            numbers += values.size
            yield values
        if _library(one) not in TABLES:  # how a table is made inside tells nothing more
            waiting += _inside(one)


def _library(one: Any) -> str:
    """The library that an object is of; of some types the name of the module is no text."""
    return str(getattr(type(one), "__module__", "")).split(".")[0]


def _numbers(one: Any) -> list[Floats]:
    """The numbers of an array, of the columns of a table, or of the entries of a collection."""
    if isinstance(one, (str, bytes)):
        return _in_text(one)
    if isinstance(one, np.ndarray):
        if one.dtype.kind == "O":
            return _entries(one.tolist()) if one.ndim else []
        columns = [one[name] for name in one.dtype.names] if one.dtype.names else [one]
        return [values.astype(np.float64) for values in columns if values.dtype.kind in "fiu"]
    if isinstance(one, dict):
        return _entries(list(one.values()))
    if isinstance(one, (list, tuple, deque, array)):
        return _entries(list(one))
    library = _library(one)
    if library not in ("jaxlib", "jax", "torch", *TABLES) or isinstance(one, type):
        return []
    parts = _columns(one) if library in TABLES else [one]
    return [values for part in parts for values in _as_array(part)]


def _columns(table: Any) -> list[Any]:
    """The columns of a table, or the thing itself where it has none."""
    try:
        return [table[name] for name in getattr(table, "column_names", None) or table.columns]
    except Exception:  # noqa: BLE001 - a series, an expression: no table
        return [table]


def _in_text(text: str | bytes) -> list[Floats]:
    """The numbers of a text, line by line where each has as many, else one after another."""
    if not SHORTEST <= len(text) <= LONGEST:
        return []
    lines = (text.decode("latin-1") if isinstance(text, bytes) else text).splitlines()
    rows = [values for line in lines if (values := [float(one) for one in NUMBER.findall(line)])]
    usual = max({len(row) for row in rows}, key=[len(row) for row in rows].count, default=0)
    table = [row for row in rows if len(row) == usual]
    flat = [value for row in rows for value in row]
    return [np.asarray(held, np.float64) for held in (table, flat) if len(held) >= RUN]


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
    if values.dtype.kind == "O" and values.ndim and not isinstance(part, list):
        return _entries(values.tolist())
    return [values.astype(np.float64)] if values.dtype.kind in "fiu" else []


def _inside(one: Any) -> list[Any]:
    """What an object holds: its fields, the closure and the globals of its code."""
    if isinstance(one, dict):
        return [*one.keys(), *held_by(one)]
    if isinstance(one, FunctionType):
        cells = [cell.cell_contents for cell in one.__closure__ or () if _filled(cell)]
        defaults = [one.__defaults__, one.__kwdefaults__]
        own = _globals_of(one) if is_stranger(one) else []
        return [*cells, *defaults, *held_by(one), *own]
    if isinstance(one, ModuleType):
        return list(vars(one).values()) if is_own(one) else []
    if isinstance(one, type):
        return [*vars(one).values(), *one.__bases__] if is_stranger(one) else []
    if isinstance(one, (staticmethod, classmethod)):
        return [one.__func__]
    if isinstance(one, property):
        return [one.fget, one.fset]
    return [*held_by(one), type(one)]


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
        reads = (one for one in get_instructions(code) if one.opname in READS)
        names.update(str(one.argval) for one in reads)
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
    held = [function.__globals__.get(name) for name in names]
    constants = [one for one in function.__code__.co_consts if isinstance(one, tuple)]
    module = sys.modules.get(function.__module__)
    # whoever runs a script or notebook keeps more there than the agent that it defines uses
    whole = [module] if module is not None and module.__name__ != "__main__" else []
    return [*constants, *held, *whole]
