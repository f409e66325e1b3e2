"""Claims: judged by the group, in the direction of the metric, never beyond the interval."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from fake_score import CLAIMS, fake_score

from steelyard.errors import ConfigError, UnknownNameError
from steelyard.evaluation.claims import Claim, _decision, judge
from steelyard.evaluation.results import Decision, Estimate, Score, Verdict
from steelyard.metrics import summary

FEW = 150
"""Resamples: enough for these tests."""


def market(agents: Mapping[str, tuple[str, float, float]], rows: int = 500, seed: int = 1) -> Score:
    """Agents with (kind, drift, spread) per year."""
    return fake_score(agents=agents, windows=(("test", rows),), seeds=1, assets=1, seed=seed)


@pytest.fixture(scope="module")
def score() -> Score:
    return market(
        {
            "good": ("learned", 0.9, 0.15),
            "better": ("learned", 1.1, 0.15),
            "poor": ("classic", -0.4, 0.15),
            "calm": ("classic", 0.0, 0.05),
            "level": ("index", 0.05, 0.15),
        }
    )


def one(score: Score, metric: str, better: tuple[str, ...], than: tuple[str, ...]) -> Verdict:
    (verdict,) = judge(score, [Claim("c", "A claim", metric, better, than)], resamples=FEW)
    return verdict


def test_a_claim_is_supported_where_it_holds_and_refuted_turned_round(score: Score) -> None:
    held = one(score, "sharpe_ratio", ("good", "better"), ("poor", "level"))
    turned = one(score, "sharpe_ratio", ("poor", "level"), ("good", "better"))
    assert (held.decision, turned.decision) == ("supported", "refuted")
    assert held.ahead is not None
    assert turned.ahead is not None
    assert turned.ahead.value == pytest.approx(-held.ahead.value)
    assert turned.ahead.low == pytest.approx(-held.ahead.high)
    assert "4 of 4 pairs point the claimed way, 4 with an interval above zero" in held.sentence
    assert "reliably the other way: poor to good, poor to better" in turned.sentence


def test_what_better_means_is_said_by_the_card_of_the_metric(score: Score) -> None:
    lower = one(score, "annual_volatility", ("calm",), ("poor",))
    assert lower.decision == "supported"
    points = {row.agent: summary(row.windows[0].curves[0]) for row in score.rows}
    expected = points["poor"]["annual_volatility"] - points["calm"]["annual_volatility"]
    assert lower.ahead is not None
    assert lower.ahead.value == pytest.approx(expected)
    assert lower.ahead.low < expected < lower.ahead.high
    shallower = one(score, "max_drawdown", ("calm",), ("poor",))
    assert shallower.ahead is not None
    assert shallower.ahead.value > 0


def test_the_lead_of_the_group_is_the_mean_of_the_leads_of_its_pairs(score: Score) -> None:
    found = one(score, "sharpe_ratio", ("good", "calm"), ("poor", "level"))
    assert found.ahead is not None
    assert found.ahead.value == pytest.approx(np.mean([pair.ahead.value for pair in found.pairs]))
    assert [(pair.better, pair.than) for pair in found.pairs] == [
        *(("good", "poor"), ("good", "level")),
        *(("calm", "poor"), ("calm", "level")),
    ]


@pytest.mark.parametrize(
    ("ends", "decision"),
    [
        ((0.1, 0.2, 0.3), "supported"),
        ((-0.3, -0.2, -0.1), "refuted"),
        ((-0.1, 0.2, 0.3), "undecided"),
        ((0.0, 0.2, 0.3), "undecided"),
        ((-0.3, -0.2, 0.0), "undecided"),
        ((0.1, -0.2, 0.3), "undecided"),  # the value lies outside of its interval
        ((0.0, 0.0, 0.0), "undecided"),
    ],
)
def test_an_interval_that_touches_zero_decides_nothing(
    ends: tuple[float, float, float], decision: Decision
) -> None:
    low, value, high = ends
    assert _decision(Estimate(value, low, high)) == decision


def test_claims_about_agents_without_skill_are_seldom_decided() -> None:
    same = dict.fromkeys(("a", "b", "c", "d"), ("classic", 0.05, 0.15))
    claim = Claim("c", "A claim", "sharpe_ratio", ("a", "b"), ("c", "d"))
    found = [
        judge(market(same, rows=120, seed=seed), [claim], resamples=FEW)[0].decision
        for seed in range(50)
    ]
    assert found.count("undecided") >= 38


def test_who_was_not_run_is_named_and_left_out(score: Score) -> None:
    part = one(score, "sharpe_ratio", ("good", "absent"), ("poor",))
    assert part.decision == "supported"
    assert part.sentence.endswith("absent was not run.")
    assert len(part.pairs) == 1
    for better, than in ((("absent",), ("poor",)), (("good",), ("gone", "absent"))):
        none = one(score, "sharpe_ratio", better, than)
        assert (none.decision, none.ahead, none.pairs) == ("undecided", None, ())
        assert none.sentence.startswith("Not judged: ")
    nobody = judge(score, [Claim("c", "A claim", "romad", ("x",), ("y",))])[0]
    assert nobody.sentence == "Not judged: x and y were not run."


def test_a_handful_of_bars_decides_nothing() -> None:
    short = market({"a": ("learned", 3.0, 0.1), "b": ("classic", -3.0, 0.1)}, rows=15)
    found = one(short, "sharpe_ratio", ("a",), ("b",))
    assert found.ahead is not None
    assert found.ahead.low > 0
    assert found.decision == "undecided"
    assert "14 returns are too few" in found.sentence


def test_every_window_is_judged_by_its_own_bars() -> None:
    agents = {"a": ("learned", 0.3, 0.1), "b": ("classic", 0.0, 0.1)}
    two = fake_score(agents=agents, windows=(("calm", 60), ("rough", 60)), seeds=1, assets=1)
    claim = Claim("c", "A claim", "sharpe_ratio", ("a",), ("b",))
    found = judge(two, [claim, replace(claim, name="d")], resamples=FEW)
    assert [(v.window, v.claim) for v in found] == [
        *(("calm", "c"), ("calm", "d")),
        *(("rough", "c"), ("rough", "d")),
    ]
    assert found[0].ahead == found[1].ahead != found[2].ahead
    assert judge(replace(two, rows=[]), [claim]) == []
    assert judge(two, []) == []


def test_a_claim_returns_from_json_as_it_was() -> None:
    for claim in CLAIMS:
        assert Claim.of(json.loads(json.dumps(claim.facts()))) == claim


def test_a_claim_that_compares_nothing_is_refused(score: Score) -> None:
    with pytest.raises(ConfigError, match="compares nobody"):
        Claim("c", "A claim", "sharpe_ratio", (), ("ppo",))
    with pytest.raises(ConfigError, match="names `ppo` twice"):
        Claim("c", "A claim", "sharpe_ratio", ("ppo",), ("sac", "ppo"))
    with pytest.raises(UnknownNameError, match="sharp"):
        one(score, "sharp", ("good",), ("poor",))
