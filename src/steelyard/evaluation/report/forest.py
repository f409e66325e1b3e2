"""Intervals side by side: a dot with its interval per agent, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from steelyard.evaluation.report.axes import Range, decimals
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import NARROW, number
from steelyard.evaluation.results import Estimate

Unit = Literal["", "%", "pp"]


def forest(
    held: Mapping[str, Estimate],
    style: Mapping[str, str],
    *,
    reference: str = "",
    unit: Unit = "",
    ranked: bool = True,
) -> Html:
    """A table whose middle column draws the intervals over one scale.

    Args:
        held: agent -> estimate; what is not finite is left out.
        style: agent -> CSS classes.
        reference: agent whose interval is shaded behind all others.
        unit: of the estimates; fractions are written as "%" or, where they are differences, as
            "pp" (percentage points).
        ranked: the highest first; else as they come.
    """
    shown = {
        name: one for name, one in held.items() if np.isfinite([one.low, one.value, one.high]).all()
    }
    ends = np.array([[one.low, one.value, one.high] for one in shown.values()])
    span = Range.of([ends], zero=True, pad=0.05)
    levels = span.ticks(4)
    backdrop = join([_shade(shown.get(reference), span), *(_rule(level, span) for level in levels)])
    order = sorted(shown.items(), key=lambda item: -item[1].value) if ranked else shown.items()
    body = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", backdrop, _interval(one, span, style[name]), class_="range"),
            _value(one, unit),
        )
        for name, one in order
    ]
    axis = tag("tfoot", _axis(levels, span, unit))
    return tag("table", tag("tbody", *body), axis, class_="forest")


def _axis(levels: Sequence[float], span: Range, unit: Unit) -> Html:
    """The scale below the drawings."""
    places = decimals(levels)
    labels = [
        tag(
            "span",
            _written(level, max(0, places - 2) if unit else places, unit),
            style=f"left:{_place(level, span)}",
        )
        for level in levels
    ]
    scale = tag("td", *labels, class_="range axis")
    return tag("tr", tag("td"), scale, tag("td"), aria_hidden="true")


def _place(value: float, span: Range) -> str:
    return f"{100 * span.fraction(value):.2f}%"


def _between(one: Estimate, span: Range) -> str:
    return f"left:{_place(one.low, span)};right:calc(100% - {_place(one.high, span)})"


def _shade(reference: Estimate | None, span: Range) -> Html:
    return tag("i", class_="shade", style=_between(reference, span)) if reference else Html("")


def _rule(level: float, span: Range) -> Html:
    kind = "rule zero" if abs(level) < 1e-12 else "rule"
    return tag("i", class_=kind, style=f"left:{_place(level, span)}")


def _interval(one: Estimate, span: Range, style: str) -> Html:
    return join(
        [
            tag("i", class_=f"span {style}", style=_between(one, span)),
            tag("i", class_=f"dot {style}", style=f"left:{_place(one.value, span)}"),
        ]
    )


def _value(one: Estimate, unit: Unit) -> Html:
    """The numbers beside the drawing."""
    scale, digits = (100, 1) if unit else (1, 2)
    ends = " to ".join(number(scale * end, digits, sign=bool(unit)) for end in (one.low, one.high))
    return tag(
        "td", tag("b", _written(one.value, digits, unit)), tag("small", ends), class_="value"
    )


def _written(value: float, digits: int, unit: Unit) -> str:
    return number(100 * value, digits, sign=True) + NARROW + unit if unit else number(value, digits)
