"""Does a feature know rows that come later? `find_leak` asks it on panels with another future."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import NamedTuple, TypeAlias

import numpy as np

from steelyard.errors import ContractError, SteelyardError
from steelyard.features import compute
from steelyard.features.worlds import (
    AWAY,
    GARBAGE,
    MISSING,
    another_future,
    copied,
    garbled,
    hole_ends,
)
from steelyard.types import Feature, Floats, Panel

SAME = 1e-9  # relative tolerance: other shapes may be summed in another order
TINY = 1e-12  # absolute tolerance, for the same reason

UNCHANGED = "differs when nothing has changed"

Answer: TypeAlias = tuple[int, str, Floats | SteelyardError]
"""The cut, what became of the rows behind it, and what the feature said to that."""


class Leak(NamedTuple):
    """The first value of a feature that knew too much.

    Attributes:
        feature: its name.
        asset: whose value it is; empty for a series of the whole market, and for a failure.
        row: the first row whose value is not a function of the rows up to it.
        cut: the last row that was left as it is.
        world: what became of the rows after `cut`: they "are taken away", "are replaced by
            garbage" or "are not observed", with the error in brackets where the feature then
            fails; or "differs when nothing has changed".
    """

    feature: str
    asset: str
    row: int
    cut: int
    world: str

    def error(self, day: Callable[[int], str] = "row {}".format) -> ContractError:
        """The leak as an error with a hint; `day` says how a row is called."""
        value = f"its value of {self.asset}" if self.asset else "its value"
        value, name = f"{value} at {day(self.row)}", f"feature `{self.feature}`"
        if self.world == UNCHANGED:
            return ContractError(
                f"{name} is not a function of the panel: {value} {UNCHANGED}",
                hint="keep nothing between two calls, and draw no random numbers",
            )
        when = f"when the rows after {day(self.cut)} {self.world}"
        if " (" in self.world:
            return ContractError(
                f"{name} fails {when}",
                hint="need nothing of later rows: answer with NaN where there is no value",
            )
        return ContractError(
            f"{name} looks ahead: {value} changes {when}",
            hint="let row t use rows up to t only, also in means, scales and fills",
        )


def find_leak(
    feature: Feature, panel: Panel, rows: Sequence[int], *, exact: bool = False
) -> Leak | None:
    """The earliest value of a feature that changes with rows after it; None where there is none.

    At each of `rows`, and at the ends of up to four holes of the panel, where a fill from behind
    would show, the later rows are taken away, replaced by garbage on another calendar, and not
    observed. In the end the panel itself is asked again. Values are those of `compute`, segment by
    segment. A failure under another future is a leak too, where no value is found to change; but
    not one that comes with whatever is not observed, before a cut as well as behind it.

    Args:
        feature: any feature.
        panel: the data on which it must not look ahead.
        rows: the cuts: rows 0..c stay, what is behind c changes. Rows of the warm-up and the last
            row are passed over: there is no value, or nothing behind it.
        exact: compare bits; otherwise up to 1e-9 of a value, or 1e-12.

    Raises:
        ContractError: the feature fails on the panel itself, returns another shape than (T, N) or
            (T,), or writes into the panel (of which it has a copy).
    """
    asked, own = guarded(feature), copied(panel)
    with quiet():
        # one question comes before the panel itself, lest its answer be one that is kept
        answers = _answers(asked, own, rows)
        first = next(answers, None)
        values = untouched(asked, own, panel)
        found = [
            _compared(feature, panel, values, answer, exact)
            for answer in chain([first] if first else [], answers)
        ]
        again = (len(panel) - 1, UNCHANGED, untouched(asked, own, panel))
    changed = _compared(feature, panel, values, again, exact)
    leaks = [leak for leak in found if leak is not None]
    return changed or min(leaks, key=lambda leak: (" (" in leak.world, leak.row), default=None)


def guarded(feature: Feature) -> Feature:
    """The feature, named by whatever is raised in it, and refused where its shape is not right."""

    def function(panel: Panel) -> Floats:
        rows, assets = len(panel), len(panel.assets)
        try:
            values = np.asarray(feature.function(panel), dtype=np.float64)
        except SteelyardError:
            raise
        except Exception as error:
            raise ContractError(
                f"feature `{feature.name}` fails on {rows} rows of {assets} assets: "
                f"{_named(error)}",
                hint="where there is no value, also on few rows or none, answer with NaN",
            ) from error
        wanted = (rows,) if feature.scope == "market" else (rows, assets)
        if values.shape != wanted:
            axes = "(T,)" if feature.scope == "market" else "(T, N)"
            raise ContractError(
                f"feature `{feature.name}` returned shape {values.shape}, not {axes} = {wanted}",
                hint='one column per asset, or scope="market" for one series',
            )
        return values

    return replace(feature, function=function)


def untouched(feature: Feature, own: Panel, panel: Panel) -> Floats:
    """Values of a guarded feature on `own`, a copy of `panel` that it must leave as it is.

    Raises:
        ContractError: the copy is not like the panel any more.
    """
    values = compute([feature], own)[feature.name]
    if own.digest() != panel.digest():
        raise ContractError(
            f"feature `{feature.name}` writes into the panel that it was given",
            hint="work on a copy: np.array(panel[...])",
        )
    return values


def first_difference(one: Floats, other: Floats, exact: bool) -> tuple[int, ...] | None:
    """Row, and column where there are some, of the first value that is not the same."""
    relative, absolute = (0.0, 0.0) if exact else (SAME, TINY)
    same = np.isclose(one, other, rtol=relative, atol=absolute, equal_nan=True)
    return None if same.all() else tuple(np.argwhere(~same)[0].tolist())


@contextmanager
def quiet() -> Iterator[None]:
    """Let garbage divide by zero."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def _answers(feature: Feature, panel: Panel, rows: Sequence[int]) -> Iterator[Answer]:
    """Cut by cut and world by world: the values there, or the error that came instead."""
    cuts = sorted({int(row) for row in rows if feature.warmup <= row < len(panel) - 1})
    asked = [(cut, world) for cut in cuts for world in (AWAY, GARBAGE, MISSING)]
    for cut, world in asked + [(cut, GARBAGE) for cut in hole_ends(panel, feature.warmup)]:
        answer = _asked(feature, another_future(panel, cut, world))
        if world == MISSING and isinstance(answer, SteelyardError):
            early = np.zeros((len(panel), len(panel.assets)), dtype=bool)
            early[: cut + 1] = True
            if isinstance(_asked(feature, garbled(panel, early, missing=True)), SteelyardError):
                continue  # it fails on whatever is not observed, which says nothing of later rows
        yield cut, world, answer


def _asked(feature: Feature, panel: Panel) -> Floats | SteelyardError:
    try:
        return compute([feature], panel)[feature.name]
    except SteelyardError as error:
        return error


def _compared(
    feature: Feature, panel: Panel, values: Floats, answer: Answer, exact: bool
) -> Leak | None:
    """The leak that an answer shows; a failure is one where values are known up to the cut."""
    cut, world, other = answer
    if isinstance(other, SteelyardError):
        reason = f"{world} ({_named(other.__cause__ or other)})"
        known = np.isfinite(values[_begin(panel, cut) : cut + 1]).any()
        return Leak(feature.name, "", cut, cut, reason) if known else None
    place = first_difference(other[: cut + 1], values[: cut + 1], exact)
    if place is None:
        return None
    asset = panel.assets[place[1]] if len(place) > 1 else ""
    return Leak(feature.name, asset, place[0], cut, world)


def _begin(panel: Panel, row: int) -> int:
    """First row of the segment of a row."""
    segment = panel.context.get("segment", np.zeros(len(panel)))[: row + 1]
    return int(np.flatnonzero(np.diff(segment, prepend=np.nan))[-1])


def _named(error: BaseException) -> str:
    said = error.message if isinstance(error, SteelyardError) else str(error)
    return f"{type(error).__name__}: {said}"
