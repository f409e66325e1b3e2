"""Intervals side by side: a dot with its interval per agent, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from steelyard.evaluation.report.axes import Range, decimals
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import number, percent
from steelyard.evaluation.results import Estimate


def forest(
    held: Mapping[str, Estimate],
    style: Mapping[str, str],
    *,
    reference: str = "",
    as_percent: bool = False,
) -> Html:
    """A table whose middle column draws the intervals over one scale.

    Args:
        held: agent -> estimate; what is not finite is left out.
        style: agent -> CSS classes.
        reference: agent whose interval is shaded behind all others.
        as_percent: the estimates are fractions.
    """
    shown = {
        name: one for name, one in held.items() if np.isfinite([one.low, one.value, one.high]).all()
    }
    ends = np.array([[one.low, one.value, one.high] for one in shown.values()])
    span = Range.of([ends], zero=True, pad=0.05)
    levels = span.ticks(4)
    backdrop = join([_shade(shown.get(reference), span), *(_rule(level, span) for level in levels)])
    body = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", backdrop, _interval(one, span, style[name]), class_="range"),
            _value(one, as_percent),
        )
        for name, one in sorted(shown.items(), key=lambda item: -item[1].value)
    ]
    axis = tag("tfoot", _axis(levels, span, as_percent))
    return tag("table", tag("tbody", *body), axis, class_="forest")


def _axis(levels: Sequence[float], span: Range, as_percent: bool) -> Html:
    """The scale below the drawings."""
    places = decimals(levels)
    labels = [
        tag(
            "span",
            percent(level, max(0, places - 2)) if as_percent else number(level, places),
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


def _value(one: Estimate, as_percent: bool) -> Html:
    """The numbers beside the drawing."""
    scale, digits = (100, 1) if as_percent else (1, 2)
    ends = " to ".join(number(scale * end, digits, sign=as_percent) for end in (one.low, one.high))
    value = percent(one.value, 1) if as_percent else number(one.value, 2)
    return tag("td", tag("b", value), tag("small", ends), class_="value")
