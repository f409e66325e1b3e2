"""What the numbers depend on: the task's card, settings, conventions, and how to verify them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.evaluation.documents import plain_json
from steelyard.evaluation.ranking import metric_names, windows
from steelyard.evaluation.report.isolation import isolation
from steelyard.evaluation.report.markup import Html, join, tag
from steelyard.evaluation.report.numbers import counted, money, number, percent, title
from steelyard.evaluation.report.tables import scroll
from steelyard.evaluation.results import AgentScore, Score
from steelyard.metrics import metric_card
from steelyard.types import Facts

FILLS = {
    "next_open": "decided at close, filled at next open",
    "same_close": "decided and filled at the same close",
}


def key_facts(score: Score) -> Html:
    """What every number depends on, in a line."""
    card = score.card
    seeds = max((len(row.seeds) for row in score.rows if row.stands), default=0)
    facts: list[tuple[str, str]] = [
        (place.name if len(windows(score)) > 1 else "Test", _period(place.start, place.end))
        for place in windows(score)
    ]
    if isinstance(card.get("train"), Mapping):
        facts.insert(0, ("Trained on", _period(card["train"]["start"], card["train"]["end"])))
    if isinstance(card.get("rolling"), Mapping):
        facts.append(("Rolling windows", rolling(card["rolling"])))
    one = len(score.assets) == 1
    if "cash" in card:
        facts.append(("Capital", money(float(card["cash"]))))
    facts += _rules(card.get("rules") or {})
    facts.append(("Universe", score.assets[0] if one else counted(len(score.assets), "asset")))
    if seeds:
        facts.append(("Seeds", str(seeds)))
    return fact_list(facts, "facts")


def _rules(rules: Facts) -> list[tuple[str, str]]:
    """What a trade costs and when it fills."""
    facts = []
    if "cost" in rules:
        facts.append(("Cost", percent(float(rules["cost"]), 2, sign=False) + " each side"))
    if "execution" in rules:
        facts += _book(rules)
    if "fill" in rules:
        facts.append(("Fill", FILLS.get(str(rules["fill"]), str(rules["fill"]))))
    return facts


def _book(rules: Facts) -> list[tuple[str, str]]:
    """How an order book is traded."""
    walks, gap = rules["execution"] == "walk", rules["step_gap"]
    fee = percent(float(rules["taker_fee" if walks else "maker_fee"]), 3, sign=False)
    slip = percent(float(rules["slippage"]), 3, sign=False)
    late = f"{counted(rules['delay'], 'row')} later" if rules["delay"] else "in the book just seen"
    return [
        ("Orders", f"{rules['order_size']} x {rules['unit']} of a coin or share, {late}"),
        ("Position", f"at most {rules['max_position']} x {rules['unit']}, long or short"),
        ("Fill", "walks the levels of the book" if walks else f"at the mid, slipping {slip}"),
        ("Fee", fee + " each side"),
        ("Clock", "a decision every " + (f"{gap} rows" if gap != 1 else "row")),
    ]


def rolling(facts: Facts) -> str:
    """How agents are trained anew as time goes by, in words."""
    known = {"train", "validate", "trade", "purge", "embargo", "retrain", "expanding", "warm_start"}
    least = "all rows so far, at least " if facts.get("expanding") else ""
    steps = [
        f"learn on {least}{_plain(facts.get('train'))} rows",
        f"leave out {facts['purge']}" if facts.get("purge") else "",
        f"choose on the next {facts['validate']}" if facts.get("validate") else "",
        f"leave out {facts['embargo']}" if facts.get("embargo") else "",
        "learn again on both" if facts.get("retrain") else "",
        f"trade the next {_plain(facts.get('trade'))}",
        "go on from the networks before" if facts.get("warm_start") else "start anew",
    ]
    rest = [f"{title(key)} {_plain(value)}" for key, value in facts.items() if key not in known]
    return "; ".join([", ".join(step for step in steps if step), *rest])


def task(score: Score) -> Html:
    """The card of the task, the agents' settings and the versions."""
    elsewhere = ("published", "summary", "claims", "rolling")
    card = {key: value for key, value in score.card.items() if key not in elsewhere}
    if isinstance(score.card.get("rolling"), Mapping):
        card["rolling_windows"] = rolling(score.card["rolling"])
    agents = [_settings(row) for row in score.rows if row.settings]
    versions = ", ".join(f"{name} {version}" for name, version in score.versions.items())
    return join(
        [
            fact_list([(title(key), _plain(value)) for key, value in card.items()]),
            tag("h3", "Settings of the agents") if agents else Html(""),
            *agents,
            tag("p", f"Ran in {number(score.seconds, 0)} s with {versions or 'unknown versions'}."),
        ]
    )


def conventions(score: Score) -> Html:
    """How the numbers are made."""
    names = metric_names(score) or [
        name
        for name, fact in score.conventions.items()
        if isinstance(fact, Mapping) and "formula" in fact
    ]
    rest = [
        (title(key), _plain(fact)) for key, fact in score.conventions.items() if key not in names
    ]
    return join(
        [
            tag(
                "p",
                "A value is the median over seeds. An interval holds the middle 90 % of values "
                "resampled in blocks of bars (stationary bootstrap), all seeds together; it tells "
                "what one more run over bars like these may show. r are returns per bar, n bars, "
                "P bars per year, V account values. Ratios at ±10⁶ had nothing to be divided by.",
                class_="lead",
            ),
            _convention_table(names, score.conventions),
            fact_list(rest),
            isolation(score),
        ]
    )


def verify(score: Score, bundle: str) -> Html:
    """How anybody can score the recorded actions again."""
    return join(
        [
            tag(
                "p",
                "Every action of every agent with numbers is recorded beside this file. This "
                "command replays them on the exact ledger and compares all numbers, bit for bit:",
                class_="lead",
            ),
            tag("pre", tag("code", f"steelyard verify {bundle}")),
            tag("p", f"Scores compare only where fingerprints are equal: {score.fingerprint}."),
        ]
    )


def _convention_table(metrics: Sequence[str], conventions: Facts) -> Html:
    """How every metric is computed, as its card says."""
    body = []
    for name in metrics:
        stated = conventions.get(name, {})
        card = metric_card(name) | (dict(stated) if isinstance(stated, Mapping) else {})
        options = ", ".join(f"{key} {value}" for key, value in (card.get("options") or {}).items())
        facts = [f"ddof {card['ddof']}" if "ddof" in card else "", options]
        facts += [str(card.get(key) or "") for key in ("note", "source")]
        facts += [stated] if isinstance(stated, str) else []
        body.append(
            tag(
                "tr",
                tag("th", title(name), scope="row"),
                tag("td", tag("code", str(card["formula"]))),
                tag("td", str(card["unit"])),
                tag("td", str(card["better"])),
                tag("td", "; ".join(fact for fact in facts if fact)),
            )
        )
    heads = ("Metric", "Formula", "Unit", "Better", "Conventions")
    head = tag("tr", *(tag("th", label, scope="col") for label in heads))
    return scroll(tag("table", tag("thead", head), tag("tbody", *body), class_="conventions"))


def _period(start: str, end: str) -> Html:
    """Two days that are not broken over lines."""
    return join([tag("span", start, class_="nowrap"), " to ", tag("span", end, class_="nowrap")])


def fact_list(facts: Sequence[tuple[str, str]], style: str = "card") -> Html:
    """Names with values."""
    pairs = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts]
    return tag("dl", *pairs, class_=style) if pairs else Html("")


def _plain(value: Any) -> str:
    """A fact as text: lists with commas, periods as days, pairs with their names."""
    value = plain_json(value)
    if value is None or value in ([], {}, ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, (int, float)):
        return f"{value:,}"
    if isinstance(value, Mapping) and {"start", "end"} <= set(value):
        return f"{value.get('name', '')} {value['start']} to {value['end']}".strip()
    if isinstance(value, (list, tuple)):
        nested = any(isinstance(item, (list, tuple, Mapping)) for item in value)
        return ("; " if nested else ", ").join(_plain(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return str(value)


def _settings(row: AgentScore) -> Html:
    pairs = [(key, _plain(value)) for key, value in row.settings.items()]
    return tag("details", tag("summary", row.agent), fact_list(pairs))
