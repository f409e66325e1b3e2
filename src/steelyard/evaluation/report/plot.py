"""The frame of a chart: grid, axes, keys; what is drawn inside comes from `charts.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steelyard.evaluation.report.axes import SIZE, Range, Tick, decimals
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import MINUS, number, percent

POINTS = 720
"""Points of a line; a longer series keeps its extremes."""

Keys = Sequence[tuple[str, str, str]]
"""Label, CSS classes and a number as text, per series."""


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
            return f"{value:.3g}".replace("-", MINUS)
        return number(value, places)


def frame(
    span: Range, ticks: Sequence[Tick], count: int, drawn: Html, ends: Html, look: Look
) -> Html:
    """The frame around what is drawn: grid, axes, room for the reading line."""
    levels = look.levels(span)
    places = decimals(levels)
    grid = join(_rule(level, span, "zero" if abs(level) < 1e-12 else "grid") for level in levels)
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
        tag("span", look.written(level, places), style=top(1 - span.fraction(level)))
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


def _rule(level: float, span: Range, style: str) -> Html:
    place = SIZE * (1 - span.fraction(level))
    return tag("path", d=f"M0 {place:.0f}H{SIZE}", class_=style)


def line_keys(keys: Keys) -> Html:
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


def stack_keys(keys: Keys) -> Html:
    """Names and mean weights of the layers."""
    items = [
        tag("li", tag("i", class_=f"swatch block {style}"), label, tag("small", " ", mean))
        for label, style, mean in keys
    ]
    return tag("ul", *items, class_="keys")


def index_rules(series: int) -> str:
    """Style rules of the keys: hide series k where its box is not ticked, fade the others."""
    return "\n".join(
        f".chart:has(.k{k} input:not(:checked)) .p{k}:not(.key){{display:none}}"
        f".chart:has(.k{k}:hover) .series:not(.p{k}){{opacity:.12}}"
        for k in range(series)
    )


def top(fraction: float) -> str:
    """A distance from the upper edge, as a style."""
    return f"top:{100 * fraction:.2f}%"


def _left(fraction: float) -> str:
    return f"left:{100 * fraction:.2f}%"
