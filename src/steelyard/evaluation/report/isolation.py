"""How every agent ran, and what was done to find out whether it looked ahead."""

from __future__ import annotations

from typing import Any

from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import MISSING, counted, names
from steelyard.evaluation.report.tables import scroll
from steelyard.evaluation.results import AgentScore, Score
from steelyard.types import Facts

MEANING = {
    "house": "an agent of this package, proven by its tests",
    "own process": "in a process of its own, which never held a later row and opened nothing",
}
"""What the shortest texts about isolation mean."""


def isolation(score: Score) -> Html:
    """A table of the agents; empty where nothing is known of any of them."""
    agents = [row for row in score.rows if row.kind != "index"]
    if not any(row.isolation or row.hunt for row in agents):
        return Html("")
    heads = ("Agent", "How it ran", "Search for leaks")
    body = [
        tag(
            "tr",
            tag("th", row.agent, scope="row"),
            tag("td", _ran(row)),
            tag("td", hunt_sentence(row.hunt) or MISSING),
        )
        for row in agents
    ]
    head = tag("tr", *(tag("th", label, scope="col") for label in heads))
    lead = (
        "An agent that has seen a later row can earn anything. So somebody's own code is asked in "
        "a process that holds no later row; where that cannot be, its numbers are marked \u2021."
    )
    made = scroll(tag("table", tag("thead", head), tag("tbody", *body), class_="conventions"))
    return join([tag("h3", "How every agent ran"), tag("p", lead, class_="lead"), made])


def hunt_sentence(hunt: Facts) -> str:
    """What the search for leaks did, in one sentence; empty where nothing is known of it."""
    told = [one for one in (_compared(hunt), _retrained(hunt), _opened(hunt)) if one]
    said = "; ".join(told)
    return said[:1].upper() + said[1:] + "." if said else ""


def _ran(row: AgentScore) -> str:
    unknown = "not recorded" if row.stands else "did not run"
    return MEANING.get(row.isolation, row.isolation) or unknown


def _compared(hunt: Facts) -> str:
    if not hunt.get("cuts"):
        return ""
    worlds = _texts(hunt.get("worlds"))
    future = "another future" if len(worlds) < 2 else f"{len(worlds)} other futures"
    kinds = f" ({names(worlds)})" if worlds else ""
    many = f" among {counted(int(hunt['decisions']), 'decision')}" if hunt.get("decisions") else ""
    cuts = counted(int(hunt["cuts"]), "cut")
    if hunt.get("told"):
        return (
            f"what it was told up to {cuts}{many} is the same under {future}{kinds}, and it acted "
            "the same with another clock, environment, folder and home"
        )
    return f"actions up to {cuts}{many} were compared under {future}{kinds}"


def _retrained(hunt: Facts) -> str:
    if hunt.get("retrained") is None:
        return ""
    if not hunt["retrained"]:
        return "not trained again"
    of = f" of {int(hunt['of']):,}" if hunt.get("of") else ""
    last = int(hunt.get("of") or hunt["retrained"])
    where = f" in {counted(int(hunt['rounds']), 'rolling window')}" if hunt.get("rounds") else ""
    updates = f"{int(hunt['retrained']):,}{of} update{'' if last == 1 else 's'}"
    return f"trained again for {updates}{where}"


def _opened(hunt: Facts) -> str:
    if hunt.get("opened") is None:
        return ""
    return f"opened {names(_texts(hunt['opened'])) or 'nothing'}"


def _texts(held: Any) -> list[str]:
    return [held] if isinstance(held, str) else [str(one) for one in held or ()]
