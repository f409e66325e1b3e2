"""The section on the probability of overfitting: what became of the best trials elsewhere."""

from __future__ import annotations

import numpy as np

from steelyard.evaluation.overfitting import Overfitting
from steelyard.evaluation.report.axes import SIZE, Range, Tick
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import number, percent
from steelyard.evaluation.report.plot import Look, frame
from steelyard.types import Floats

DOTS = 600
"""Halves that are drawn at most, evenly spaced."""


def overfitting_section(found: Overfitting | None) -> Html:
    """Ranks and returns of the chosen trials outside; nothing where nothing was found."""
    if found is None:
        return Html("")
    lead = (
        f"The time is cut into {found.chunks} pieces. In each of {len(found.logits):,} halves of "
        "them the trial with the best Sharpe ratio per bar is chosen, and looked at in the other "
        "half (Bailey, Borwein, Lopez de Prado and Zhu, 2017)."
    )
    line = (
        f"Each dot is a half: its best Sharpe ratio, and what that trial has in the other half. "
        f"The slope is {number(found.slope)}; a loss in {percent(found.loss, 0, sign=False)}."
    )
    ranks = (
        f"How often the chosen trial ranks where in the other half, from the worst of "
        f"{found.trials} to the best. What lies up to the middle is overfitting: "
        f"{percent(found.pbo, 0, sign=False)}."
    )
    verdict = "rejected" if found.rejected else "not rejected"
    at = percent(found.level, 0, sign=False)
    return tag(
        "section",
        tag("h2", "Overfitting", tag("small", f"{verdict} at {at}")),
        tag("p", lead, class_="lead"),
        tag(
            "div",
            tag("figure", tag("figcaption", ranks), _ranks(found), class_="chart"),
            tag("figure", tag("figcaption", line), _degradation(found), class_="chart"),
            class_="pair",
        ),
    )


def _ranks(found: Overfitting) -> Html:
    """The share of halves for every tenth of the ranks, as columns."""
    # a rank in the very middle is overfitting, so it belongs to the bar below
    counts, edges = np.histogram(found.ranks - 1e-9, bins=10, range=(0.0, 1.0))
    share = counts / len(found.ranks)
    span = Range(0.0, 1.05 * float(share.max()))
    bars = []
    for height, low, high in zip(share, edges[:-1], edges[1:], strict=True):
        left, right = round(SIZE * low + SIZE / 200), round(SIZE * high - SIZE / 200)
        style = "layer c1" if high <= 0.5 + 1e-9 else "layer c0"
        upper = int(span.places(np.array([height]))[0])
        bars.append(tag("path", d=f"M{left} {SIZE}V{upper}H{right}V{SIZE}z", class_=style))
    ticks = [
        Tick(round(SIZE * at), text, True) for at, text in ((0, "worst"), (0.5, "½"), (1, "best"))
    ]
    look = Look("Share of halves by rank outside", 220, sign=False)
    return frame(span, ticks, SIZE + 1, join(bars), Html(""), look)


def _degradation(found: Overfitting) -> Html:
    """The Sharpe ratio outside over that inside, and the line through the dots."""
    kept = np.unique(np.linspace(0, len(found.inside) - 1, DOTS).round().astype(int))
    across, span = Range.of([found.inside]), Range.of([found.outside], zero=True)
    dots = "".join(
        f"M{column} {row}h0"
        for column, row in zip(
            _columns(found.inside[kept], across), span.places(found.outside[kept]), strict=True
        )
    )
    ends = np.array([float(found.inside.min()), float(found.inside.max())])
    rows = span.places(found.intercept + found.slope * ends)
    left, right = _columns(ends, across)
    drawn = [
        tag("path", d=dots, class_="dots c0"),
        tag("path", d=f"M{left} {rows[0]}L{right} {rows[1]}", class_="line c1"),
    ]
    levels = across.ticks(4)
    ticks = [
        Tick(column, f"{level:.3g}", True)
        for level, column in zip(levels, _columns(np.array(levels), across), strict=True)
    ]
    look = Look("Sharpe ratio per bar outside over inside", 220, percent=False, zero=False)
    return frame(span, ticks, SIZE + 1, join(drawn), Html(""), look)


def _columns(values: Floats, span: Range) -> list[int]:
    return [round(SIZE * span.fraction(float(value))) for value in values]
