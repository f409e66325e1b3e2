"""Charts as inline SVG that stretches with the page; labels beside them keep their size.

Everything works without a script: keys are checkboxes that style sheets read. The script of the
page adds a reading line to every plot, from the JSON document in its figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.evaluation.report.axes import (
    Range,
    Rows,
    Tick,
    across,
    apart,
    decimals,
    line,
    ribbon,
    rows_to_draw,
    time_ticks,
)
from steelyard.evaluation.report.markup import Html, data, join, tag
from steelyard.evaluation.report.numbers import percent
from steelyard.evaluation.report.plot import Keys, Look, frame, line_keys, stack_keys, top
from steelyard.evaluation.report.series import Layer, Series
from steelyard.types import Floats


def line_chart(series: Sequence[Series], times: NDArray[np.datetime64], look: Look) -> Html:
    """Lines with bands over time.

    Args:
        series: all of the same length T.
        times: (T,) the rows.
        look: how.
    """
    ticks = time_ticks(times)
    return _lines(series, ticks, lambda rows: _stamps(times[rows]), look)


def update_chart(series: Series, look: Look) -> Html:
    """One line with its band over the updates of a training."""
    count = len(series.value)
    even = sorted({round((count - 1) * n / 4) for n in range(5)})
    ticks = [Tick(row, f"{row + 1:,}", n % 2 == 0) for n, row in enumerate(even)]
    return _lines([series], ticks, lambda rows: [f"update {row + 1:,}" for row in rows], look)


def stack_chart(layers: Sequence[Layer], times: NDArray[np.datetime64], look: Look) -> Html:
    """Areas on top of each other: what is positive upwards, what is negative downwards."""
    count = len(times)
    rows = rows_to_draw(count, look.points)
    columns = across(rows, count)
    values = np.stack([layer.value[rows] for layer in layers])
    up = np.cumsum(np.maximum(values, 0.0), axis=0)
    down = np.cumsum(np.minimum(values, 0.0), axis=0)
    span = Range(min(0.0, float(down[-1].min())), max(1.0, float(up[-1].max())))
    base = span.places(np.zeros(len(rows)))
    areas = [  # from the outermost inwards, each down to the base line
        _area(columns, span.places(edge[number]), base, number, layers[number].style)
        for number in reversed(range(len(layers)))
        for edge in (up, down)
        if np.abs(edge[number]).max() > 1e-9
    ]
    ticks = time_ticks(times)
    keys = [
        (layer.label, layer.style, percent(float(layer.value.mean()), 1, sign=False))
        for layer in layers
    ]
    shown = _shown(rows, count, _stamps(times[rows]), keys, values, look)
    plot = frame(span, ticks, count, join(areas), Html(""), look)
    return tag("figure", stack_keys(keys), plot, data(shown), class_="chart stack")


def _lines(
    series: Sequence[Series],
    ticks: Sequence[Tick],
    stamps: Callable[[Rows], list[str]],
    look: Look,
) -> Html:
    count = len(series[0].value)
    rows = rows_to_draw(count, look.points, [one.value for one in series])
    columns = across(rows, count)
    edges = [edge for one in series for edge in (one.value, one.low, one.high) if edge is not None]
    span = Range.of(edges, zero=look.zero)
    bands = [_band(one, number, rows, columns, span) for number, one in enumerate(series)]
    strokes = [
        _stroke(columns, span.places(one.value[rows]), number, one.style)
        for number, one in enumerate(series)
    ]
    places = decimals(look.levels(span))
    keys = [
        (one.label, one.style, look.written(float(one.value[-1]), max(places + 1, 3)))
        for one in series
    ]
    values = np.stack([one.value[rows] for one in series])
    shown = _shown(rows, count, stamps(rows), keys, values, look)
    drawn = join([*bands, *reversed(strokes)])  # the first series lies on top
    ends = _ends(series, keys, span, look) if look.ends else Html("")
    plot = frame(span, ticks, count, drawn, ends, look)
    return tag(
        "figure", line_keys(keys) if look.keys else Html(""), plot, data(shown), class_="chart"
    )


def _band(one: Series, number: int, rows: Rows, columns: Rows, span: Range) -> Html:
    if one.low is None or one.high is None:
        return Html("")
    upper, lower = span.places(one.high[rows]), span.places(one.low[rows])
    return tag("path", d=ribbon(columns, upper, lower), class_=f"series band p{number} {one.style}")


def _stroke(columns: Rows, places: Rows, number: int, style: str) -> Html:
    return tag("path", d=line(columns, places), class_=f"series line p{number} {style}")


def _area(columns: Rows, edge: Rows, base: Rows, number: int, style: str) -> Html:
    return tag("path", d=ribbon(columns, edge, base), class_=f"layer p{number} {style}")


def _ends(series: Sequence[Series], keys: Keys, span: Range, look: Look) -> Html:
    places = [1 - span.fraction(float(one.value[-1])) for one in series]
    spread = apart(places, 17 / look.height)
    return join(
        tag(
            "span",
            tag("i", class_=f"swatch {style}"),
            tag("b", label),
            tag("em", value),
            class_=f"series p{number}",
            style=top(place),
        )
        for number, ((label, style, value), place) in enumerate(zip(keys, spread, strict=True))
    )


def _shown(
    rows: Rows, count: int, stamps: list[str], keys: Keys, values: Floats, look: Look
) -> dict[str, Any]:
    """What the reading line tells: values as whole numbers of 1e-4, or of four digits."""
    top = float(np.abs(values).max(initial=0.0))
    scale = 10 ** (4 if look.percent or top <= 0 else max(0, 3 - math.floor(math.log10(top))))
    return {
        "at": [round(int(row) / max(count - 1, 1), 5) for row in rows],
        "when": stamps,
        "names": [label for label, _, _ in keys],
        "styles": [style for _, style, _ in keys],
        "scale": scale,
        "percent": look.percent,
        "sign": look.sign,
        "values": np.rint(values * scale).astype(np.int64).tolist(),
    }


def _stamps(times: NDArray[np.datetime64]) -> list[str]:
    """Days, or days with minutes where a day has more than one time."""
    days = times.astype("datetime64[D]")
    if (days == times).all() or len(np.unique(days)) == len(days):
        return [str(day) for day in days]
    return [str(moment).replace("T", " ") for moment in times.astype("datetime64[m]")]
