"""Log-log charts and charts of ratios as SVG files of their own, in light and dark.

Colours are those of the reports. Sizes are in CSS pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from steelyard.bench.result import three_digits
from steelyard.evaluation.report.axes import apart
from steelyard.evaluation.report.markup import Html, join, tag

WIDTH = 1_000
LEFT, RIGHT, TOP, BOTTOM = 76, 330, 66, 54
ROW = 26
"""Height of a row in a chart of ratios."""

LINE = 17
"""Height of a line of text."""

LABEL = 54
"""Characters of the name of a ratio; longer ones are cut."""

Place = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A line of a log-log chart.

    Attributes:
        label: what stands at its end.
        style: classes for colour and dash.
        points: (x, y, low, high), ascending in x and all positive.
        knot: the x of the point that is ringed; 0 = none.
    """

    label: str
    style: str
    points: Sequence[tuple[float, float, float, float]]
    knot: float = 0.0


@dataclass(frozen=True)
class Bar:
    """A row of a chart of ratios: what it is, the ratio with its range, the bar, and the colour."""

    label: str
    ratio: float
    low: float
    high: float
    bar: float | None
    style: str


@dataclass(frozen=True)
class Scale:
    """Positive values to pixels, from `start` at `low` to `end` at `high`, by their logarithm."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value, which may lie outside."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, base: float = 10.0) -> list[float]:
        """Powers of `base` inside the range."""
        first = math.ceil(math.log(self.low, base) - 1e-9)
        last = math.floor(math.log(self.high, base) + 1e-9)
        return [base**power for power in range(first, last + 1)]


def log_chart(
    title: str,
    subtitle: str,
    axis: str,
    lines: Sequence[Line],
    height: int = 520,
    notes: Sequence[str] = (),
) -> Html:
    """Lines over a size, both axes logarithmic.

    Args:
        title, subtitle: above it; the subtitle says what y is, and its unit.
        axis: what x is.
        lines: at least one; with names at their right ends.
        height: of the picture, to which the notes are added.
        notes: lines of text below it.
    """
    xs = [point[0] for line in lines for point in line.points]
    ys = [value for line in lines for point in line.points for value in point[1:]]
    across = Scale(min(xs), max(max(xs), 2 * min(xs)), LEFT, WIDTH - RIGHT)
    low = 10 ** math.floor(math.log10(min(ys)) + 0.15)
    high = 10 ** math.ceil(math.log10(max(ys)) - 0.15)
    up = Scale(min(low, min(ys)), max(high, max(ys), 10 * low), height - BOTTOM, TOP)
    drawn = [*_grid(across, up, height), *_lines(lines, across, up), *_names(lines, across, up)]
    foot = _text(axis, (LEFT + WIDTH - RIGHT) / 2, height - 12, "dim", "middle")
    below = [
        _text(note, 16, height + LINE * (number + 0.6), "dim") for number, note in enumerate(notes)
    ]
    return picture(title, subtitle, height + LINE * len(notes), [*drawn, foot, *below])


def ratio_chart(title: str, subtitle: str, bars: Sequence[Bar]) -> Html:
    """Dots with ranges on one logarithmic axis; an upright is the bar that has to be reached."""
    height = TOP + ROW * len(bars) + BOTTOM
    every = [value for one in bars for value in (one.low, one.high, one.bar or one.ratio)]
    across = Scale(min(every) / 1.3, max(every) * 1.3, 400, WIDTH - 160)
    drawn = []
    for tick in across.ticks():
        place = across(tick)
        drawn.append(_rule(place, TOP, place, height - BOTTOM, "grid"))
        drawn.append(_text(f"{tick:,g}x", place, height - BOTTOM + 20, "dim", "middle"))
    for number, one in enumerate(bars):
        drawn.extend(_ratio(one, across, TOP + ROW * (number + 0.5)))
    return picture(title, subtitle, height, drawn)


def picture(title: str, subtitle: str, height: int, drawn: Sequence[Html]) -> Html:
    """An SVG of its own: the style, the titles, and what is drawn."""
    heads = [_text(title, 16, 28, "title"), _text(subtitle, 16, 48, "dim")]
    return tag(
        "svg",
        tag("style", Html(style())),
        *heads,
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
        role="img",
        aria_label=title,
    )


@cache
def style() -> str:
    """Colours and fonts of the reports, which stand before their first layout rule, and ours."""
    report = files("steelyard.evaluation.report").joinpath("report.css").read_text("utf-8")
    own = files("steelyard.bench").joinpath("plots.css").read_text("utf-8")
    return report[: report.index("* { box-sizing")].replace("@media screen and", "@media") + own


def short(value: float) -> str:
    """1,500,000 as 1.5M; below 1,000 as it is."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _grid(across: Scale, up: Scale, height: int) -> list[Html]:
    """Rules and their labels; sizes that go far are marked at powers of four."""
    drawn = []
    for tick in up.ticks():
        place = up(tick)
        drawn.append(_rule(LEFT, place, WIDTH - RIGHT, place, "grid"))
        drawn.append(_text(short(tick), LEFT - 10, place + 4, "dim", "end"))
    for tick in across.ticks(4 if across.high > 100 * across.low else 2):
        place = across(tick)
        drawn.append(_rule(place, TOP, place, height - BOTTOM, "grid"))
        drawn.append(_text(f"{tick:,g}", place, height - BOTTOM + 18, "dim", "middle"))
    return drawn


def _lines(lines: Sequence[Line], across: Scale, up: Scale) -> list[Html]:
    """Bands below, lines above, a dot per point; the knot is a ring."""
    drawn = []
    for line in lines:
        upper = [(across(x), up(high)) for x, _, _, high in line.points]
        lower = [(across(x), up(low)) for x, _, low, _ in line.points]
        middle = [(across(x), up(y)) for x, y, _, _ in line.points]
        drawn.append(
            tag("path", d=_path([*upper, *lower[::-1]]) + "z", class_=f"band {line.style}")
        )
        drawn.append(tag("path", d=_path(middle), class_=f"line {line.style}"))
        for (x, *_), place in zip(line.points, middle, strict=True):
            ring = "ring" if x == line.knot else "dot"
            radius = 5 if x == line.knot else 3
            drawn.append(_dot(*place, radius, f"{ring} {line.style}"))
    return drawn


def _names(lines: Sequence[Line], across: Scale, up: Scale) -> list[Html]:
    """Names beside the plot at the height of the ends, moved apart, each led to its line."""
    ends = [(across(line.points[-1][0]), up(line.points[-1][1])) for line in lines]
    span = up.start - up.end
    spread = apart([(y - up.end) / span for _, y in ends], 17 / span)
    drawn = []
    for line, (x, y), share in zip(lines, ends, spread, strict=True):
        place, right = up.end + share * span, WIDTH - RIGHT
        lead = _path([(x + 6, y), (right + 4, place), (right + 12, place)])
        drawn.append(tag("path", d=lead, class_=f"lead {line.style}"))
        drawn.append(_text(line.label, right + 16, place + 4, f"name {line.style}"))
    return drawn


def _ratio(one: Bar, across: Scale, y: float) -> list[Html]:
    label = one.label if len(one.label) <= LABEL else one.label[: LABEL - 1] + "…"
    drawn = [
        _text(label, 388, y + 4, "", "end"),
        _rule(across(one.low), y, across(one.high), y, f"range {one.style}"),
        _dot(across(one.ratio), y, 5, one.style),
        _text(f"{three_digits(one.ratio)}x", WIDTH - 150, y + 4, ""),
    ]
    if one.bar is not None:
        place = across(one.bar)
        drawn.append(_rule(place, y - 9, place, y + 9, "bar"))
        drawn.append(_text(f"of {three_digits(one.bar)}x", WIDTH - 80, y + 4, "dim"))
    return drawn


def _path(points: Sequence[Place]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _rule(x1: float, y1: float, x2: float, y2: float, style: str) -> Html:
    return tag("path", d=_path([(x1, y1), (x2, y2)]), class_=style)


def _dot(x: float, y: float, radius: float, style: str) -> Html:
    return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=radius, class_=style)


def _text(said: str, x: float, y: float, style: str, anchor: str | None = None) -> Html:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}"}
    return tag("text", join([said]), **place, class_=style or None, text_anchor=anchor)
