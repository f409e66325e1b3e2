"""The figures of a result: sampling speed, growth, ratios; and a page of all of it.

They are drawn from the document of a result, so that a file written on another machine can be
drawn here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from steelyard.bench.drawing import Bar, Line, log_chart, ratio_chart, style
from steelyard.bench.growth import ENVIRONMENTS
from steelyard.bench.result import three_digits
from steelyard.evaluation.report.markup import Html, tag

PUBLISHED_RATE, PUBLISHED_ENVS, PUBLISHED_GAIN = 227_212.0, 2_048, 1_649.93
"""Samples per second with so many environments, and the gain over one (FinRL Contests, 2025)."""

PUBLISHED_NOTES = (
    "Published, A100: 227,212 samples/s with 2,048 environments, 1,649.93 times one environment "
    "(FinRL Contests, 2025, section 4.2.2),",
    "in seconds of the clock. The organisers' script (exp_sampling_rate.py) divides a counter that "
    "adds up over its whole loop by the duration",
    "of the last pass alone, so that its figure grows with the length of the loop. Whether it made "
    "the published one cannot be verified: a mark, not a target.",
)

Document = Mapping[str, Any]


def figures(document: Document) -> dict[str, Html]:
    """Name -> SVG of every figure that the rows of the document hold something for.

    Names are `speed` (rates over environments), `growth-AXIS` (cost along another axis) and
    `ratios`.
    """
    curves = [row["curve"] for row in document["rows"] if row.get("curve")]
    made = {}
    if lines := [curve for curve in curves if curve["axis"] == ENVIRONMENTS]:
        made["speed"] = _speed(lines)
    for axis in dict.fromkeys(curve["axis"] for curve in curves):
        if axis != ENVIRONMENTS:
            made[f"growth-{axis}"] = _growth(
                axis, [curve for curve in curves if curve["axis"] == axis]
            )
    if bars := list(_bars(document["rows"])):
        made["ratios"] = ratio_chart(
            "Ratios, side by side",
            "samples per CPU-second of ours over the other side's: median, range, and the bar",
            bars,
        )
    return made


def page(document: Document, table: str) -> str:
    """One HTML file that loads nothing: the figures, and every row as text.

    Args:
        document: the result.
        table: the rows as `as_text` writes them.
    """
    machine = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    shown = [tag("figure", drawn) for drawn in figures(document).values()]
    body = tag(
        "main",
        tag("h1", "Steelyard, measured"),
        tag("p", f"protocol {document['protocol']}; {machine}"),
        *shown,
        tag("div", _table(document["rows"]), class_="scroll"),
        tag("details", tag("summary", "As text"), tag("pre", table)),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width"),
        tag("title", "steelyard bench"),
        tag("style", Html(style())),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", body), lang="en")


def draw(document: Document, table: str) -> dict[str, str]:
    """File name -> text of the page and of one SVG per figure."""
    made = {f"{name}.svg": str(drawn) for name, drawn in figures(document).items()}
    return {**made, "bench.html": page(document, table)}


def _speed(curves: Sequence[Mapping[str, Any]]) -> Html:
    ours, peers = count(), count(3)
    lines = []
    for curve in curves:
        peer = bool(curve.get("peer"))
        look = f"c{next(peers if peer else ours) % 8}" + (" peer" if peer else "")
        points = [(p["size"], p["rate"], p["low"], p["high"]) for p in curve["points"]]
        lines.append(Line(curve["label"], look, points))
    one = PUBLISHED_RATE / PUBLISHED_GAIN
    published = [
        (envs, rate, rate, rate) for envs, rate in ((1.0, one), (PUBLISHED_ENVS, PUBLISHED_RATE))
    ]
    lines.append(Line("published, A100 (see below)", "neutral published", published))
    unit = "samples per CPU-second on one core, resets included (published: per second, one A100)"
    title = "Sampling speed over parallel environments"
    return log_chart(title, unit, ENVIRONMENTS, lines, notes=PUBLISHED_NOTES)


def _growth(axis: str, curves: Sequence[Mapping[str, Any]]) -> Html:
    """Cost in microseconds of a CPU; the ring is the point of saturation."""
    lines = []
    for number, curve in enumerate(curves):
        points = [
            (p["size"], 1e6 / p["rate"], 1e6 / p["high"], 1e6 / p["low"]) for p in curve["points"]
        ]
        label = f"{curve['label']}: {curve['slope']:.2f} ± {curve['error']:.2f}"
        lines.append(Line(label, f"c{number % 8}", points, curve["knot"]))
    unit = "CPU microseconds for a sample; log-log slope and its standard error from the ring on"
    return log_chart(f"Cost over {axis}", unit, axis, lines, height=400)


def _bars(rows: Sequence[Mapping[str, Any]]) -> Iterator[Bar]:
    """The rows that are ratios; the suite is named where there are several."""
    alone = len({row["suite"] for row in rows}) == 1
    for row in rows:
        if row["ratio"] is not None and row["judged"] == "ratio" and row["ratio"] > 0:
            look = {True: "met", False: "missed", None: "open"}[row["met"]]
            label = row["name"] if alone else f"{row['suite']}: {row['name']}"
            yield Bar(label, row["ratio"], row["low"], row["high"], row["bar"], look)


def _table(rows: Sequence[Mapping[str, Any]]) -> Html:
    heads = ("case", "ours", "peer", "ratio", "bar", "met")
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
        tag("tbody", *(_line(row) for row in rows)),
    )


def _line(row: Mapping[str, Any]) -> Html:
    met = {True: "yes", False: "NO", None: "not measured" if row["bar"] is not None else "no bar"}
    ratio = f"{three_digits(row['ratio'])}x" if row["ratio"] is not None else ""
    ends = [three_digits(row[end]) for end in ("low", "high") if row[end] is not None]
    bar = f"{row['sense']} {three_digits(row['bar'])}" if row["bar"] is not None else ""
    said = "; ".join(filter(None, [row["versus"] and f"against {row['versus']}", row["note"]]))
    return tag(
        "tr",
        tag("td", f"{row['suite']}: {row['name']}", tag("small", said)),
        *(tag("td", three_digits(row[side]), class_="number") for side in ("ours", "peer")),
        tag("td", ratio, tag("small", " to ".join(ends)), class_="number"),
        tag("td", bar),
        tag("td", met[row["met"]], class_=met[row["met"]].split()[0]),
    )
