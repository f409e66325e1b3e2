"""Numbers as shades: small matrices as tables with the numbers in them, large ones as a picture.

A picture is one path per shade, so that a matrix of a thousand cells takes a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import MISSING, number
from steelyard.types import Floats

SHADES = 12
"""Steps from the palest to the darkest cell of a picture."""

TEXT, PICTURE = 50.0, 92.0
"""Per cent of the accent colour in the darkest cell: under numbers, and where there are none."""

UPRIGHT = 3
"""Columns up to which names stand level above them."""


def heat_table(names: Sequence[str], values: Floats, span: tuple[float, float]) -> Html:
    """A matrix (M, M) with its numbers, shaded from `span[0]` to `span[1]`; NaN is left open."""
    places = 3 if 0 < np.nanmax(np.abs(values), initial=0.0) < 0.1 else 2
    upright = "heat" if len(names) > UPRIGHT else "heat level"
    heads = [tag("th", tag("span", name, title=name), scope="col") for name in names]
    body = [
        tag(
            "tr",
            tag("th", tag("span", name), scope="row"),
            *(_cell(float(value), places, span) for value in row),
        )
        for name, row in zip(names, values, strict=True)
    ]
    head = tag("thead", tag("tr", tag("td"), *heads))
    return tag("table", head, tag("tbody", *body), class_=upright)


def heat_picture(values: Floats, span: tuple[float, float], label: str, *, square: bool) -> Html:
    """A matrix (rows, columns) without numbers, stretched over its frame; NaN is left open."""
    rows, columns = values.shape
    level = np.where(np.isfinite(values), np.rint(SHADES * _share(values, span)), -1).astype(int)
    shades = []
    for shade in range(1, SHADES + 1):
        path = "".join(_runs(level[row] == shade, row) for row in range(rows))
        if path:
            strength = f"--h:{PICTURE * shade / SHADES:.0f}%"
            shades.append(tag("path", d=path, style=strength))
    return tag(
        "svg",
        *shades,
        viewBox=f"0 0 {columns} {rows}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
        class_="cells square" if square else "cells",
    )


def legend(low: str, high: str) -> Html:
    """The scale of a picture: its ends around the shades between them."""
    return tag("p", low, tag("i", class_="ramp"), high, class_="scale")


def blocks(labels: Sequence[str], size: int) -> Html:
    """Names of runs of equal labels beside the rows of a picture of `size` rows."""
    spans, start = [], 0
    for label, run in groupby(labels):
        count = len(list(run))
        middle = 100 * (start + count / 2) / size
        spans.append(tag("span", label, style=f"top:{middle:.2f}%"))
        start += count
    return join(spans)


def _cell(value: float, places: int, span: tuple[float, float]) -> Html:
    if not np.isfinite(value):
        return tag("td", MISSING, class_="open")
    strength = TEXT * float(_share(np.array(value), span))
    return tag("td", number(value, places), style=f"--h:{strength:.0f}%")


def _share(values: Floats, span: tuple[float, float]) -> Floats:
    """Place of every value between the ends of `span`, cut at both."""
    low, high = span
    return np.asarray(np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0))


def _runs(held: Floats, row: int) -> str:
    """Rectangles over the runs of True in one row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], held.astype(np.int64), [0]])))
    return "".join(f"M{a} {row}h{b - a}v1h{a - b}z" for a, b in edges.reshape(-1, 2).tolist())
