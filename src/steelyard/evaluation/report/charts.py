"""Charts as inline SVG that stretches with the page; labels beside them keep their size.

Everything works without a script: keys are checkboxes that style sheets read. The script of the
page adds a reading line to every plot, from the JSON document in its figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.evaluation.report.axes import (
    SIZE,
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
from steelyard.evaluation.report.numbers import number, percent
from steelyard.evaluation.report.series import Layer, Series
from steelyard.types import Floats

POINTS = 720
"""Points of a line; a longer series keeps its extremes."""


@dataclass(frozen=True)
class Look:
    """How a chart shows its values.

    Attributes:
        label: what it shows, for readers of the page that do not see it.
        height: of the plot in CSS pixels.
        percent: values are fractions.
        sign: gains carry a plus.
        zero: the range holds 0.
        keys: a key above the plot that hides and shows series.
        ends: names and last values beside the plot.
        points: drawn rows at most (about).
    """

    label: str
    height: int = 380
    percent: bool = True
    sign: bool = True
    zero: bool = True
    keys: bool = True
    ends: bool = True
    points: int = POINTS

    def levels(self, span: Range) -> list[float]:
        """Ticks, about 60 pixels apart and at least three."""
        return span.ticks(max(3, round(self.height / 60)))

    def written(self, value: float, places: int) -> str:
        """A value as a tick or an end label."""
        if self.percent:
            return percent(value, max(0, places - 2), sign=self.sign)
        if places > 4 or abs(value) >= 1e5:
            return f"{value:.3g}".replace("-", "−")
        return number(value, places)


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
    plot = _plot(span, ticks, count, join(areas), Html(""), look)
    return tag("figure", _stack_keys(keys), plot, data(shown), class_="chart stack")


def index_rules(series: int) -> str:
    """Style rules of the keys: hide series k where its box is not ticked, fade the others."""
    return "\n".join(
        f".chart:has(.k{k} input:not(:checked)) .p{k}:not(.key){{display:none}}"
        f".chart:has(.k{k}:hover) .series:not(.p{k}){{opacity:.12}}"
        for k in range(series)
    )


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
    plot = _plot(span, ticks, count, drawn, ends, look)
    return tag("figure", _keys(keys) if look.keys else Html(""), plot, data(shown), class_="chart")


def _plot(
    span: Range, ticks: Sequence[Tick], count: int, drawn: Html, ends: Html, look: Look
) -> Html:
    """The frame around what is drawn: grid, axes, room for the reading line."""
    levels = look.levels(span)
    places = decimals(levels)
    grid = join(
        _rule(level, span, "zero" if abs(level) < 1e-12 else "grid") for level in levels
    )
    left = [(tick, tick.row / max(count - 1, 1)) for tick in ticks]
    uprights = join(
        tag("path", d=f"M{SIZE * place:.0f} 0V{SIZE}", class_="grid") for _, place in left
    )
    drawing = tag(
        "svg",
        join([uprights if len(ticks) > 1 else Html(""), grid, drawn]),
        viewBox=f"0 0 {SIZE} {SIZE}",
        preserveAspectRatio="none",
        role="img",
        aria_label=look.label,
    )
    level_labels = join(
        tag("span", look.written(level, places), style=_top(1 - span.fraction(level)))
        for level in levels
    )
    time_labels = join(
        tag("span", tick.label, class_="major" if tick.major else "minor", style=_left(place))
        for tick, place in left
    )
    area = tag("div", drawing, class_="area", tabindex="0")
    return tag(
        "div",
        tag("div", level_labels, class_="levels", aria_hidden="true"),
        area,
        tag("div", ends, class_="ends", aria_hidden="true") if ends else Html(""),
        tag("div", time_labels, class_="times", aria_hidden="true"),
        class_="plot with-ends" if ends else "plot",
        style=f"--height:{look.height}px",
    )


def _band(one: Series, number: int, rows: Rows, columns: Rows, span: Range) -> Html:
    if one.low is None or one.high is None:
        return Html("")
    upper, lower = span.places(one.high[rows]), span.places(one.low[rows])
    return tag(
        "path", d=ribbon(columns, upper, lower), class_=f"series band p{number} {one.style}"
    )


def _stroke(columns: Rows, places: Rows, number: int, style: str) -> Html:
    return tag("path", d=line(columns, places), class_=f"series line p{number} {style}")


def _area(columns: Rows, edge: Rows, base: Rows, number: int, style: str) -> Html:
    return tag("path", d=ribbon(columns, edge, base), class_=f"layer p{number} {style}")


def _rule(level: float, span: Range, style: str) -> Html:
    place = SIZE * (1 - span.fraction(level))
    return tag("path", d=f"M0 {place:.0f}H{SIZE}", class_=style)


Keys = Sequence[tuple[str, str, str]]


def _keys(keys: Keys) -> Html:
    """Boxes that show and hide a series each."""
    boxes = [
        tag(
            "label",
            tag("input", type="checkbox", checked=True, autocomplete="off"),
            tag("i", class_=f"swatch {style}"),
            label,
            class_=f"key k{number}",
        )
        for number, (label, style, _) in enumerate(keys)
    ]
    return tag("div", *boxes, class_="keys")


def _stack_keys(keys: Keys) -> Html:
    """Names and mean weights of the layers."""
    items = [
        tag("li", tag("i", class_=f"swatch block {style}"), label, tag("small", " ", mean))
        for label, style, mean in keys
    ]
    return tag("ul", *items, class_="keys")


def _ends(series: Sequence[Series], keys: Keys, span: Range, look: Look) -> Html:
    places = [1 - span.fraction(float(one.value[-1])) for one in series]
    spread = apart(places, 17 / look.height)
    return join(
        tag(
            "span",
            tag("b", label),
            " ",
            value,
            class_=f"series p{number} {style}",
            style=_top(place),
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
    """Days, or days with minutes where a day has more than one row."""
    days = times.astype("datetime64[D]")
    if len(np.unique(days)) == len(days):
        return [str(day) for day in days]
    return [str(moment).replace("T", " ") for moment in times.astype("datetime64[m]")]


def _top(fraction: float) -> str:
    return f"top:{100 * fraction:.2f}%"


def _left(fraction: float) -> str:
    return f"left:{100 * fraction:.2f}%"
