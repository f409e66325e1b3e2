"""Who an ensemble listens to, and how much its members differ."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from steelyard.evaluation.report.axes import time_ticks
from steelyard.evaluation.report.charts import stack_chart
from steelyard.evaluation.report.heat import blocks, heat_picture, heat_table, legend
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import counted, number, percent
from steelyard.evaluation.report.plot import POINTS, Look
from steelyard.evaluation.report.series import Layer
from steelyard.evaluation.results import AgentScore, Score
from steelyard.types import Facts, Floats

COLOURS = 8
"""Members that get a colour of their own; more of them are drawn by type, and as shades."""

READABLE = 12
"""Members up to which a matrix shows its numbers."""

MATRICES: tuple[tuple[str, str, str], ...] = (
    ("kl", "KL divergence", "nats, row from column; larger is more diverse"),
    ("agreement", "Agreement", "share of equal decisions; smaller is more diverse"),
    ("correlation", "Correlation of returns", "per bar; smaller is more diverse"),
)
"""Key of the facts, heading, and what to make of it."""


def ensembles(score: Score) -> Html:
    """A part per ensemble; empty where no agent has members."""
    found = [row for row in score.rows if row.stands and row.ensemble.get("members")]
    if not found:
        return Html("")
    lead = (
        "Members that always agree are one member. Weights are those in force in each window; "
        "a discarded member has weight 0. Shades run from the smallest to the largest number."
    )
    return join([tag("p", lead, class_="lead"), *(_ensemble(row) for row in found)])


def kind_of(member: str) -> str:
    """The type of a member: its name without the number that tells it from its siblings."""
    return re.sub(r"[\s_\-/#:.]*\d+$", "", member) or member


def _ensemble(row: AgentScore) -> Html:
    facts = row.ensemble
    members = [str(name) for name in facts["members"]]
    weights = _matrix(facts.get("weights"), (len(facts.get("dates") or ()), len(members)))
    said = counted(len(members), "member")
    if len(row.seeds) > 1 or "seed" in facts:
        said += f", seed {facts.get('seed', row.seeds[0])}"
    matrices = [_pairwise(members, facts, *one) for one in MATRICES]
    return join(
        [
            tag("h3", row.agent, tag("small", said)),
            _weights(row.agent, members, weights, facts) if weights is not None else Html(""),
            tag("div", *matrices, class_="multiples"),
        ]
    )


def _weights(agent: str, members: Sequence[str], weights: Floats, facts: Facts) -> Html:
    """Weights over the windows: areas of members or of types, and all members as shades."""
    dates = np.array([str(day)[:10] for day in facts["dates"]], "datetime64[D]")
    kinds = [kind_of(name) for name in members]
    known = np.nan_to_num(weights)
    effective = np.mean(1.0 / np.maximum((known**2).sum(axis=1), 1e-12))
    dropped = percent(float((known <= 0).mean()), 0, sign=False)
    said = (
        f"Weights in {counted(len(dates), 'window')}; on average worth "
        f"{number(effective, 1)} equal members; {dropped} of the weights are 0 (discarded)."
    )
    parts = [tag("p", said, class_="lead")]
    if len(members) <= COLOURS:
        parts.append(_areas(agent, dict(zip(members, known.T, strict=True)), dates))
    else:
        order = list(dict.fromkeys(kinds))
        if 1 < len(order) <= COLOURS:
            sums = {
                f"{kind} \u00d7 {kinds.count(kind)}": known[:, [k == kind for k in kinds]].sum(
                    axis=1
                )
                for kind in order
            }
            parts.append(_areas(agent, sums, dates))
        parts.append(_shades(agent, kinds, order, known, dates))
    return join(parts)


def _areas(agent: str, layers: dict[str, Floats], dates: NDArray[np.datetime64]) -> Html:
    """Steps: a weight holds from one window to the next."""
    repeats = max(1, min(24, (POINTS - 1) // len(dates)))
    look = Look(f"Weights of the members of {agent}", 220, sign=False, ends=False)
    return stack_chart(
        [
            Layer(name, f"c{number % COLOURS}", np.repeat(values, repeats))
            for number, (name, values) in enumerate(layers.items())
        ],
        np.repeat(dates, repeats),
        look,
    )


def _shades(
    agent: str,
    kinds: Sequence[str],
    order: Sequence[str],
    weights: Floats,
    dates: NDArray[np.datetime64],
) -> Html:
    """One row per member, siblings together, one column per window."""
    rows = sorted(range(len(kinds)), key=lambda member: order.index(kinds[member]))
    top = float(weights.max(initial=0.0))
    drawing = heat_picture(
        weights[:, rows].T, (0.0, top), f"Weights of every member of {agent}", square=False
    )
    last = max(len(dates) - 1, 1)
    times = [
        tag("span", tick.label, style=f"left:{100 * tick.row / last:.2f}%")
        for tick in time_ticks(dates)
    ]
    plot = tag(
        "div",
        tag("div", blocks([kinds[row] for row in rows], len(rows)), class_="levels"),
        tag("div", drawing, class_="area still"),
        tag("div", *times, class_="times"),
        class_="plot wide",
        style=f"--height:{min(420, 11 * len(rows))}px",
    )
    caption = tag("figcaption", "Every member, one row each")
    return tag("figure", caption, plot, legend("0 %", percent(top, 0, sign=False)), class_="shades")


def _pairwise(members: Sequence[str], facts: Facts, key: str, heading: str, unit: str) -> Html:
    """One matrix of the members; a large one by type with numbers, and as a picture."""
    values = _matrix(facts.get(key), (len(members), len(members)))
    if values is None or len(members) < 2:
        return Html("")
    np.fill_diagonal(values, np.nan)
    if not np.isfinite(values).any():
        return Html("")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    mean = f"mean {number(float(np.nanmean(values)), 3 if high < 0.1 else 2)}"
    title = tag("h4", heading, tag("small", f"{mean} · {unit}"))
    if len(members) <= READABLE:
        return tag("div", title, heat_table(members, values, (low, high)), class_="small")
    kinds = [kind_of(name) for name in members]
    order = list(dict.fromkeys(kinds))
    rows = sorted(range(len(kinds)), key=lambda member: order.index(kinds[member]))
    pieces = [title]
    if 1 < len(order) <= READABLE:
        pieces.append(heat_table(order, _by_kind(kinds, order, values), (low, high)))
    drawing = heat_picture(
        values[np.ix_(rows, rows)], (low, high), f"{heading} of {len(members)} members", square=True
    )
    shown = [kinds[row] for row in rows] if len(order) < len(members) else []
    labels = tag("div", blocks(shown, len(rows)), class_="levels")
    pieces.append(tag("div", labels, drawing, class_="framed"))
    pieces.append(legend(number(low, 2), number(high, 2)))
    return tag("div", *pieces, class_="small")


def _by_kind(kinds: Sequence[str], order: Sequence[str], values: Floats) -> Floats:
    """Means of a matrix over pairs of types; a member is no pair with itself."""
    masks = np.array([[kind == one for kind in kinds] for one in order], np.float64)
    known = np.isfinite(values).astype(np.float64)
    pairs = masks @ known @ masks.T
    sums = masks @ np.nan_to_num(values) @ masks.T
    return np.where(pairs > 0, sums / np.maximum(pairs, 1.0), np.nan)


def _matrix(values: object, shape: tuple[int, int]) -> Floats | None:
    """Facts as an array, None as NaN; nothing where they are missing or of another shape."""
    if values is None:
        return None
    held = np.array(values, dtype=np.float64)
    return held if held.shape == shape and held.size else None
