"""The page on a search: what was found, what every trial was worth, and where it lay."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import numpy as np

from steelyard.evaluation.report.axes import SIZE, Range, Tick
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import (
    MISSING,
    counted,
    is_percent,
    metric_interval,
    metric_value,
    percent,
    title,
)
from steelyard.evaluation.report.overfitting import overfitting_section
from steelyard.evaluation.report.plot import Look, frame
from steelyard.evaluation.trials import Search, Trial, deflated, short, written
from steelyard.types import Floats

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What the page may load: nothing."""

DOTS = (
    ".area .dots{stroke:var(--c);stroke-width:7;stroke-linecap:round}"
    ".area .dots.top{stroke-width:12}.area .bars{stroke:var(--c);stroke-width:1;opacity:.3}"
    ".values td,.values th{padding:5px 18px 5px 0;border-bottom:1px solid var(--hair)}"
    ".values{width:auto}.values thead th{color:var(--dim);font-size:12px}"
)


def render(search: Search) -> str:
    """The page on a search in which not all trials failed, as the text of one HTML file."""
    said = sentences(search)
    headline, *others = (one.replace("'", "\u2019") for one in said)
    facts = {
        **_rows_that_chose(search),
        "Trials": f"{len(search.trials)}, {search.failed or 'none'} failed",
        "Seeds per trial": str(search.seeds),
        "Metric": f"{label(search)}, {search.better} is better",
    }
    header = tag(
        "header",
        tag(
            "p",
            "Steelyard search · fingerprint ",
            tag("code", search.fingerprint),
            class_="eyebrow",
        ),
        tag("h1", f"{search.agent} on {search.task}"),
        *[tag("p", "Note: ", note, class_="warning") for note in search.notes],
        tag("p", headline, class_="verdict"),
        tag("ul", *[tag("li", one) for one in others], class_="verdict-points"),
        tag("dl", *[_fact(name, text) for name, text in facts.items()], class_="facts"),
    )
    swept = [_swept(search, name) for name in search.space]
    body = tag(
        "main",
        header,
        tag("section", tag("h2", "Best settings"), _settings(search)),
        tag("section", tag("h2", "Trials"), *_trials(search)),
        overfitting_section(search.overfitting),
        tag("section", tag("h2", "Where they lay"), tag("div", *swept, class_="multiples")),
        tag("section", tag("h2", "All trials"), tag("div", _table(search), class_="scroll")),
    )
    return (
        f"<!doctype html>\n{tag('html', _head(search, headline), tag('body', body), lang='en')}\n"
    )


def sentences(search: Search) -> list[str]:
    """What the search found, and how far that can be trusted."""
    best, cross = search.chosen, search.cross_validation
    name = label(search).replace("Lead", "lead")
    assert best.value is not None
    many = len(search.trials)
    place = (
        "the validation rows" if cross is None else f"average over {counted(cross.count, 'split')}"
    )
    found = (
        f"The {f'best of {many} trials' if many > 1 else 'only trial'} has a {name} of "
        f"{metric_value(search.metric, best.value.value)} on {place} "
        f"({metric_interval(search.metric, best.value)})"
    )
    start = search.start
    if start is not None and start.value is not None:
        same = best.settings == start.settings
        found += (
            ": the settings as they were given"
            if same
            else f"; as given, {search.agent} has {metric_value(search.metric, start.value.value)}"
        )
    chance = [] if search.overfitting is None else [search.overfitting.sentence]
    return [
        found + ".",
        *chance,
        *_luck(search),
        "These rows chose the settings, so they cannot say what they are worth. The test can.",
    ]


def _luck(search: Search) -> list[str]:
    """How likely the best trial is more than luck; nothing where a single return cannot tell."""
    moments = search.chosen.moments
    if moments is None or moments.bars < 2:
        return []
    luck = "the luck of so many tries" if len(search.trials) > 1 else "luck"
    return [
        f"The probability that its Sharpe ratio is more than {luck} is "
        f"{percent(deflated(search), 0, sign=False)} (deflated Sharpe ratio)."
    ]


def label(search: Search) -> str:
    """What a trial is worth, in words."""
    cross = search.cross_validation
    name = title(search.metric)
    return name if cross is None or not cross.against else f"Lead over {cross.against} in {name}"


def interval_of(search: Search) -> str:
    """What the value of a trial and its interval are."""
    if search.cross_validation is None:
        return "Median over seeds with its 90 % interval"
    return "Mean over splits, median over seeds, with the middle 90 % of splits and seeds"


def _rows_that_chose(search: Search) -> dict[str, str]:
    cross, period = search.cross_validation, " to ".join(search.period)
    if cross is None:
        return {"Validation": period}
    cut = f"{cross.held_out} of {cross.groups} groups held out: "
    made = f"{counted(cross.count, 'split')}, {counted(cross.path_count, 'path')}"
    gaps = f"{counted(cross.purge, 'row')} purged, {cross.embargo} under embargo"
    return {"Cross-validation": period, "Splits": f"{cut}{made}; {gaps}"}


def _head(search: Search, headline: str) -> Html:
    style = files(__package__).joinpath("report.css").read_text("utf-8") + DOTS
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="description", content=headline),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{search.agent} on {search.task} · Steelyard search"),
        tag("style", Html(style)),
    )


def _fact(name: str, text: str) -> Html:
    return tag("div", tag("dt", name), tag("dd", text))


def _settings(search: Search) -> Html:
    heads = [tag("th", one) for one in ("setting", "best", "as given", "searched in")]
    rows = [
        tag(
            "tr",
            tag("th", tag("code", name), scope="row"),
            *[tag("td", short(one)) for one in (value, search.settings.get(name), where)],
        )
        for (name, value), where in zip(
            search.chosen.settings.items(), search.space.values(), strict=True
        )
    ]
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="values")


def _trials(search: Search) -> tuple[Html, Html]:
    """Every trial with its interval, and the best so far."""
    values = _values(search.trials)
    places = _columns(np.arange(len(values), dtype=np.float64), Range(-0.5, len(values) - 0.5))
    known = [one.value for one in search.trials if one.value is not None]
    span = Range.of([np.array([edge for one in known for edge in (one.low, one.high)])])
    bars = [
        f"M{place} {_row(one.value.high, span)}V{_row(one.value.low, span)}"
        for place, one in zip(places, search.trials, strict=True)
        if one.value is not None
    ]
    drawn = join(
        [
            tag("path", d="".join(bars), class_="bars c0"),
            tag("path", d=_best_so_far(places, values, search.better, span), class_="line c1"),
            *_dots(search, places, span),
        ]
    )
    even = sorted({round((len(values) - 1) * n / 8) for n in range(9)})
    ticks = [Tick(places[row], str(row + 1), n % 2 == 0) for n, row in enumerate(even)]
    said = f"{interval_of(search)}, in the order of the trials. The line is the best so far."
    return tag("p", said, class_="lead"), _plot(
        search, "in the order of trials", span, ticks, drawn
    )


def _swept(search: Search, name: str) -> Html:
    """The value of every trial against one setting."""
    where, chosen = search.space[name], [one.settings[name] for one in search.trials]
    if ":" in where:
        low, high, *log = where.split(":")
        scale = np.log10 if log else np.asarray
        span = Range.of([scale(np.array([float(low), float(high)]))])
        places = _columns(scale(np.array(chosen, np.float64)), span)
        levels = span.ticks(4)
        if log:
            levels = [level for level in levels if level == round(level)] or levels
        shown = [f"{10**level if log else level:.3g}" for level in levels]
        spots = _columns(np.array(levels), span)
    else:
        shown = where.split(",")
        spots = _columns(np.arange(len(shown), dtype=np.float64), Range(-0.5, len(shown) - 0.5))
        places = [spots[shown.index(written(one))] for one in chosen]
    ticks = [Tick(spot, text, True) for spot, text in zip(spots, shown, strict=True)]
    drawn = join(_dots(search, places, Range.of([_values(search.trials)])))
    plot = _plot(search, f"against {name}", Range.of([_values(search.trials)]), ticks, drawn, 170)
    return tag("div", tag("h4", tag("code", name)), plot, class_="small")


def _plot(
    search: Search, said: str, span: Range, ticks: Sequence[Tick], drawn: Html, height: int = 320
) -> Html:
    look = Look(f"{label(search)} {said}", height, percent=is_percent(search.metric), zero=False)
    return tag("figure", frame(span, ticks, SIZE + 1, drawn, Html(""), look), class_="chart")


def _dots(search: Search, columns: Sequence[int], span: Range) -> list[Html]:
    """A dot per trial; those that failed grey on the lower edge, the best one larger."""
    ended, failed, top = [], [], ""
    for number, (column, one) in enumerate(zip(columns, search.trials, strict=True)):
        if one.value is None:
            failed.append(f"M{column} {SIZE}h0")
        elif number == search.best:
            top = f"M{column} {_row(one.value.value, span)}h0"
        else:
            ended.append(f"M{column} {_row(one.value.value, span)}h0")
    kinds = ((failed, "dots rest"), (ended, "dots c0"), ([top], "dots top c1"))
    return [tag("path", d="".join(dots), class_=kind) for dots, kind in kinds if dots]


def _best_so_far(columns: Sequence[int], values: Floats, better: str, span: Range) -> str:
    """Steps from every best trial to the next one."""
    sign = 1.0 if better == "higher" else -1.0
    best = sign * np.fmax.accumulate(sign * values)
    path = ""
    for column, value in zip(columns, best, strict=True):
        if np.isfinite(value):
            row = _row(float(value), span)
            path += f"H{column}V{row}" if path else f"M{column} {row}"
    return path


def _values(trials: Sequence[Trial]) -> Floats:
    return np.array([np.nan if one.value is None else one.value.value for one in trials])


def _columns(values: Floats, span: Range) -> list[int]:
    return [round(SIZE * span.fraction(float(value))) for value in values]


def _row(value: float, span: Range) -> int:
    return int(span.places(np.array([value]))[0])


def _table(search: Search) -> Html:
    heads = [tag("th", one) for one in ("trial", label(search), "", *search.space)]
    rows = [
        tag(
            "tr",
            tag("th", str(number), scope="row"),
            *[tag("td", text) for text in _worth(search, one)],
            *[tag("td", short(value)) for value in one.settings.values()],
        )
        for number, one in enumerate(search.trials, 1)
    ]
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="values")


def _worth(search: Search, one: Trial) -> tuple[str, str]:
    if one.value is None:
        return MISSING, one.note
    return metric_value(search.metric, one.value.value), metric_interval(search.metric, one.value)
