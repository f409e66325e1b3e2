"""What became of the claims of the task: a table of verdicts, and every pair with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from steelyard.evaluation.ranking import windows
from steelyard.evaluation.report import series
from steelyard.evaluation.report.forest import forest
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import (
    MISSING,
    counted,
    is_percent,
    lead_interval,
    lead_value,
    names,
    plain,
    quantity,
    title,
)
from steelyard.evaluation.report.tables import scroll
from steelyard.evaluation.results import UNJUDGED, Decision, Score, Verdict

ORDER: tuple[Decision, ...] = ("supported", "refuted", "undecided")

MARKS: dict[Decision, str] = {"supported": "✓", "refuted": "✗", "undecided": "?"}
"""What stands before a decision, for whoever does not see its colour."""

WHOLE = "on the whole"
"""The row of the groups among the rows of the pairs."""


def claims(score: Score) -> Html:
    """The section on claims; empty where the task makes none."""
    if not score.verdicts:
        return Html("")
    style = series.styles(score)
    lead = (
        "A claim compares two groups of agents, each as a whole: the mean of the ones minus the "
        "mean of the others, all on the same resampled bars and, where both have several, seed by "
        "seed. A lead is positive where it points the claimed way, in pp (percentage points) where "
        "the metric is in per cent. Supported: its 90 % interval lies above zero. Refuted: below. "
        "Else undecided, which is no evidence for either side. Blocks of bars break long falls, so "
        "intervals of drawdowns are wide."
    )
    figures = [_pairs(one, style) for one in score.verdicts if len(one.pairs) > 1]
    return join(
        [
            tag("p", lead, class_="lead"),
            _table(score),
            tag("div", *figures, class_="pair pairs") if figures else Html(""),
        ]
    )


def claims_sentence(score: Score) -> list[str]:
    """How many claims were supported, refuted, left undecided, and could not be judged."""
    if not score.verdicts:
        return []
    found = [one.decision for one in score.verdicts if one.ahead is not None]
    left = len(score.verdicts) - len(found)
    each = [f"{found.count(one)} {one}" for one in ORDER if one in found]
    said = f"{counted(len(found), 'claim')} put to the test: {names(each)}." if found else ""
    open_ = f"{counted(left, 'claim')} not judged: a side has no numbers." if left else ""
    return [" ".join(one for one in (said, open_) if one)]


def claim_lines(score: Score) -> list[str]:
    """One line per verdict, for the terminal."""
    many = len(windows(score)) > 1
    return [
        f"{_decided(one)} · {plain(one.window) + ' · ' if many else ''}"
        f"{plain(one.text)}: {_found(one)}"
        for one in score.verdicts
    ]


def _found(one: Verdict) -> str:
    """The lead in as few words as can be."""
    if one.ahead is None:
        return one.sentence.removeprefix(UNJUDGED).strip()
    told = (
        f"{lead_value(one.metric, one.ahead.value)} in {quantity(one.metric)} "
        f"({lead_interval(one.metric, one.ahead)})"
    )
    return told + (f", {_along(one)} pairs" if len(one.pairs) > 1 else "")


def _decided(one: Verdict) -> str:
    """The decision with its mark; a claim of which a side has no numbers is not even undecided."""
    return (
        f"{MARKS[one.decision]} {one.decision}"
        if one.ahead is not None
        else f"{MISSING} not judged"
    )


def _along(one: Verdict) -> str:
    """How many pairs point the claimed way."""
    return f"{sum(pair.ahead.value > 0 for pair in one.pairs)} of {len(one.pairs)}"


def _table(score: Score) -> Html:
    heads = ("Claim", "Verdict", "Lead", "Pairs", "What was found")
    head = tag("tr", *(tag("th", label, scope="col") for label in heads))
    many = len(windows(score)) > 1
    body = []
    for window, verdicts in groupby(score.verdicts, key=lambda one: one.window):
        if many:
            label = tag("th", window, colspan=len(heads), scope="colgroup")
            body.append(tag("tr", label, class_="group"))
        body += [_row(one) for one in verdicts]
    return scroll(tag("table", tag("thead", head), tag("tbody", *body), class_="claims"))


def _row(one: Verdict) -> Html:
    value, interval = MISSING, Html("")
    if one.ahead is not None:
        value = lead_value(one.metric, one.ahead.value)
        interval = tag("small", lead_interval(one.metric, one.ahead))
    chip = tag("span", _decided(one), class_=f"chip {one.decision}")
    return tag(
        "tr",
        tag("th", one.text, tag("small", title(one.metric)), scope="row"),
        tag("td", chip),
        tag("td", tag("b", value), interval, class_="lead-cell"),
        tag("td", _along(one) if one.pairs else MISSING),
        tag("td", one.sentence),
    )


def _pairs(one: Verdict, style: Mapping[str, str]) -> Html:
    """The lead of every pair, below that of the groups."""
    held = {f"{pair.better} over {pair.than}": pair.ahead for pair in one.pairs}
    styles = {
        f"{pair.better} over {pair.than}": style.get(pair.better, "neutral") for pair in one.pairs
    }
    if one.ahead is not None:
        held = {WHOLE: one.ahead, **held}
    caption = tag(
        "figcaption", tag("b", one.text), f" · lead in {quantity(one.metric)}, 90 % intervals"
    )
    drawn = forest(
        held,
        {WHOLE: "neutral index", **styles},
        unit="pp" if is_percent(one.metric) else "",
        ranked=False,
    )
    return tag("figure", caption, drawn)
