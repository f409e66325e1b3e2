"""Every sentence of the verdict against the table it is about, read again slowly."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from fake_score import CASH, CLAIMS, fake_ensembles, fake_score, made_up, refused
from hypothesis import given
from hypothesis import strategies as st

from steelyard.evaluation.ranking import FEW, best, window_rows
from steelyard.evaluation.report import render, verdict
from steelyard.evaluation.report.claims import claims_sentence
from steelyard.evaluation.report.numbers import NARROW, counted, metric_value
from steelyard.evaluation.report.search import sentences
from steelyard.evaluation.results import AgentScore, Ceiling, Estimate, Score
from steelyard.evaluation.trials import Moments, Search, Trial
from steelyard.types import Floats

SHARPE, GAIN = "sharpe_ratio", "cumulative_return"
REFERENCE = "buy_and_hold"
NAMES = ("q0", "q1", "q2", "q3", REFERENCE)
ENDED = "it raised ValueError"


@dataclass(frozen=True)
class Row:
    """What is made up of a row: who, what became of its account, and (value, half width)."""

    name: str
    kind: str
    fate: str  # "moves", "stays", "returns" (traded, and ended where it began), "refused"
    sharpe: tuple[float, float]
    gain: float


def account(fate: str, bars: int, seed: int) -> tuple[Floats, Floats]:
    """Values (T,) and what was traded (T-1,)."""
    value, traded = np.full(bars + 1, CASH), np.zeros(bars)
    if fate == "moves":
        value[1:] *= np.cumprod(1 + 0.01 * np.random.default_rng(seed).normal(size=bars))
    if fate == "returns":
        traded[bars // 2] = 100.0
    return value, traded


def score_of(rows: Sequence[Row], windows: Mapping[str, int]) -> Score:
    made: list[AgentScore] = []
    for number, row in enumerate(rows):
        if row.fate == "refused":
            made.append(refused(row.name, ENDED))
            continue
        value, width = row.sharpe
        metrics = {
            SHARPE: Estimate(value, value - width, value + width),
            GAIN: Estimate(row.gain, row.gain - 0.01, row.gain + 0.01),
        }
        places = [
            (name, *account(row.fate, bars, number), metrics) for name, bars in windows.items()
        ]
        made.append(made_up(row.name, row.kind, places))
    return Score("task", "0123456789abcdef", {}, {}, ("A",), made)


numbers = st.sampled_from([-1.0, -0.2, 0.0, 0.3, 0.3, 0.9, float("nan")])
rows = st.lists(
    st.builds(
        Row,
        name=st.sampled_from(NAMES),
        kind=st.sampled_from(["learned", "classic", "classic", "index"]),
        fate=st.sampled_from(["moves", "moves", "moves", "stays", "returns", "refused"]),
        sharpe=st.tuples(numbers, st.sampled_from([0.0, 0.1, 0.5, 2.0, float("nan")])),
        gain=numbers,
    ),
    unique_by=lambda row: row.name,
    max_size=5,
)
windows = st.sampled_from(
    [{"test": 30}, {"test": 7}, {"one": 25, "two": 40}, {"one": 1, "two": 30}]
)


@dataclass(frozen=True)
class Seen:
    """A row of a window, read again: whether it is an agent, whether it traded, its numbers."""

    agent: bool
    traded: bool
    sharpe: Estimate
    gain: float


def read_again(score: Score, number: int) -> dict[str, Seen]:
    """The rows with numbers in a window, by loops over every value."""
    found = {}
    for row in score.rows:
        if not row.windows:
            continue
        place = row.windows[number]
        traded = any(
            float(value) != float(curve.value[0]) for curve in place.curves for value in curve.value
        ) or any(float(value) != 0 for one in place.backtests for value in one.traded)
        metrics = place.metrics
        found[row.agent] = Seen(row.kind != "index", traded, metrics[SHARPE], metrics[GAIN].value)
    return found


def check_leader(told: Sequence[str], table: Mapping[str, Seen]) -> None:
    """Who is called first, and what is said of the others, against the table."""
    agents = {name: one for name, one in table.items() if one.agent}
    movers = {name: one for name, one in agents.items() if one.traded}
    ranked = {name: one for name, one in movers.items() if math.isfinite(one.sharpe.value)}
    found = [
        re.search(r"(\S.*) (has|have) the highest Sharpe ratio, ([^ ;]+)", one) for one in told
    ]
    leaders = [one for one in found if one]
    assert len(leaders) == (len(ranked) > 1)
    nobody = [one for one in told if "nobody is ranked" in one or "nobody to rank it" in one]
    assert len(nobody) == (bool(movers) and len(ranked) < 2)
    assert any("No agent traded" in one for one in told) is (bool(agents) and not movers)
    assert any("the only agent that" in one for one in told) is (len(movers) == len(ranked) == 1)
    if not leaders:
        return
    who, verb, value = leaders[0].groups()
    sentence = leaders[0].string
    top = max(one.sharpe.value for one in ranked.values())
    first = {name for name, one in ranked.items() if one.sharpe.value == top}
    above = any(not one.agent and one.sharpe.value > top for one in table.values())
    assert who.startswith("Of the agents, ") is above
    assert set(who.removeprefix("Of the agents, ").replace(" and ", ", ").split(", ")) == first
    assert verb == ("has" if len(first) == 1 else "have")
    assert value == metric_value(SHARPE, top)
    assert ("holding cash did better" in sentence) is (top < 0)
    if len(first) > 1:
        assert "above the interval" not in sentence
    elif top >= 0:
        (name,) = first
        check_others(sentence, ranked[name].sharpe, [ranked[n].sharpe for n in ranked if n != name])
        assert ("that traded" in sentence) is (len(movers) < len(agents))


def check_others(sentence: str, lead: Estimate, others: Sequence[Estimate]) -> None:
    """How many intervals the leader's does not lie above."""
    near = sum(not lead.low > other.high for other in others)
    plural = "agents" if len(others) > 1 else "agent"
    if not near:
        each = "every other" if len(others) > 1 else "the other"
        assert f", above the interval of {each} agent" in sentence
        return
    found = re.search(r"but its interval (.*?) (that|those) of (.*?) (agents?)\b", sentence)
    assert found, sentence
    assert found[4] == plural
    assert (found[2] == "that") is (near == 1)
    share = f"all {near}" if near == len(others) else f"{near} of the {len(others)}"
    assert found[3] == ("the other" if len(others) == 1 else f"{share} other")
    common = [one.low <= lead.high and lead.low <= one.high for one in others]
    assert (found[1] == "overlaps") is (sum(common) >= near)


def check_index(told: Sequence[str], table: Mapping[str, Seen]) -> None:
    """How many agents are said to have returned more than an index."""
    gains = [one.gain for one in table.values() if one.agent and math.isfinite(one.gain)]
    for name, one in table.items():
        said = [text for text in told if text.startswith(f"The index {name} ")]
        assert len(said) == (not one.agent and math.isfinite(one.gain))
        for text in said:
            more = sum(gain > one.gain for gain in gains)
            if len(gains) > 1:
                assert f"; {more} of {len(gains)} agents returned more." in text
            elif gains:
                assert f"; the agent returned {'more' if more else 'no more'}." in text
            else:
                assert text.endswith("without paying costs.")


def check_headline(
    headline: str, tables: Sequence[Mapping[str, Seen]], bars: Sequence[int]
) -> None:
    agents = {name for name, one in tables[0].items() if one.agent}
    long = [table for table, count in zip(tables, bars, strict=True) if count >= FEW]
    if "only ranked" in headline:
        assert REFERENCE not in agents
        assert any(
            sum(one.agent and one.traded and math.isfinite(one.sharpe.value) for one in t.values())
            > 1
            for t in long
        )
    if "lies above" in headline or "lie above" in headline or "Sharpe intervals above" in headline:
        said = set(re.findall(r"\bq\d\b", headline))
        limit = [table[REFERENCE].sharpe.high for table in long]
        assert said == {
            name
            for table, high in zip(long, limit, strict=True)
            for name in agents - {REFERENCE}
            if table[name].sharpe.low > high
        }
    if "stands alone" in headline:
        assert agents == {REFERENCE}
    if "too few" in headline:
        assert not long


@given(rows=rows, windows=windows)
def test_every_sentence_of_the_verdict_is_true_of_its_table(
    rows: list[Row], windows: dict[str, int]
) -> None:
    score = score_of(rows, windows)
    told = verdict(score)
    gone = {row.name for row in rows if row.fate == "refused"}
    assert [one for one in told if "was not scored" in one] == [
        f"{row.name} was not scored: {ENDED}." for row in rows if row.name in gone
    ]
    rest = [one for one in told if "was not scored" not in one]
    assert set(re.findall(r"\bq\d\b", " ".join(rest))) <= {row.name for row in rows} - gone
    assert not re.search(r"\b(1 (agents|returns|others)|all 1)\b", " ".join(told))
    tables = [read_again(score, number) for number in range(len(windows) if rows else 0)]
    if not any(one.agent for table in tables for one in table.values()):
        assert rest == ["No agent was scored."]
        return
    for table, (name, bars) in zip(tables, windows.items(), strict=True):
        mine = rest[1:]
        if len(windows) > 1:
            mine = [one.removeprefix(f"{name} · ") for one in mine if one.startswith(f"{name} · ")]
        if bars >= FEW:
            check_leader(mine, table)
        else:
            assert not any("highest" in one or "No agent traded" in one for one in mine)
        check_index(mine, table)
    check_headline(rest[0], tables, list(windows.values()))


@given(rows=rows, windows=windows)
def test_a_mark_stands_only_where_somebody_is_best_of_several(
    rows: list[Row], windows: dict[str, int]
) -> None:
    score = score_of(rows, windows)
    for number, bars in enumerate(windows.values()):
        table = read_again(score, number)
        for metric in (SHARPE, GAIN):
            held = {
                name: one.sharpe.value if metric == SHARPE else one.gain
                for name, one in table.items()
                if one.agent and one.traded
            }
            held = {name: value for name, value in held.items() if math.isfinite(value)}
            top = best(window_rows(score, number), metric)
            assert bool(top.agents) is (len(held) > 1 and bars >= FEW)
            assert (top.reason == "") is bool(top.agents)
            assert top.agents <= {name for name in held if held[name] == max(held.values())}
            assert not (top.apart and len(top.agents) != 1)


def only(told: Sequence[str], word: str) -> str:
    (found,) = [one for one in told if word in one]
    return found


LINES: list[tuple[list[Row], str, str]] = [
    (
        [Row("hold_cash", "classic", "stays", (0.0, 0.0), 0.0)],
        "No agent",
        "No agent traded: every account stayed where it was.",
    ),
    (
        [Row("q0", "classic", "moves", (0.5, 0.25), 0.1)],
        "only agent",
        f"q0 is the only agent that was scored, with a Sharpe ratio of 0.50 (90{NARROW}% interval "
        "0.25 to 0.75): there is nobody to rank it against.",
    ),
    (
        [
            Row("q0", "classic", "moves", (-0.5, 0.25), -0.1),
            Row("hold_cash", "classic", "stays", (0.0, 0.0), 0.0),
        ],
        "only agent",
        f"q0 is the only agent that traded, with a Sharpe ratio of \u22120.50 (90{NARROW}% "
        "interval \u22120.75 to \u22120.25): there is nobody to rank it against, and holding cash "
        "did better.",
    ),
    (
        [Row(name, "classic", "moves", (0.5, 0.25), 0.1) for name in ("q0", "q1")],
        "highest",
        "q0 and q1 have the highest Sharpe ratio, 0.50 each: the order is not settled.",
    ),
    (
        [Row(name, "classic", "moves", (float("nan"), 0.25), 0.1) for name in ("q0", "q1")],
        "ranked.",
        "No agent that traded has a Sharpe ratio that is a number: nobody is ranked.",
    ),
    (
        [
            Row("q0", "classic", "moves", (0.5, 0.25), 0.1),
            Row("q1", "classic", "moves", (float("nan"), 0.25), 0.1),
        ],
        "only q0",
        "Of the agents that traded, only q0 has a Sharpe ratio that is a number, 0.50 "
        f"(90{NARROW}% interval 0.25 to 0.75): nobody is ranked.",
    ),
    (
        [
            Row("q0", "classic", "moves", (0.5, 0.25), 0.1),
            Row("q1", "classic", "returns", (0.0, 0.25), 0.0),
        ],
        "highest",
        f"q0 has the highest Sharpe ratio, 0.50 (90{NARROW}% interval 0.25 to 0.75), but its "
        "interval overlaps that of the other agent: the order is not settled.",
    ),
    (
        [
            Row("q0", "classic", "moves", (-0.2, 0.1), 0.1),
            Row("q1", "classic", "moves", (-0.5, 0.1), 0.1),
        ],
        "highest",
        f"q0 has the highest Sharpe ratio, \u22120.20 (90{NARROW}% interval \u22120.30 to "
        "\u22120.10): below zero, holding cash did better.",
    ),
    (
        [
            Row("q0", "classic", "moves", (2.0, 0.25), 0.1),
            Row("q1", "classic", "moves", (0.5, 0.25), 0.1),
            Row("hold_cash", "classic", "stays", (0.0, 0.0), 0.0),
        ],
        "highest",
        f"q0 has the highest Sharpe ratio, 2.00 (90{NARROW}% interval 1.75 to 2.25), above the "
        "interval of the other agent that traded.",
    ),
]


@pytest.mark.parametrize(("rows", "word", "sentence"), LINES)
def test_every_reason_to_name_nobody_has_a_sentence_of_its_own(
    rows: list[Row], word: str, sentence: str
) -> None:
    assert only(verdict(score_of(rows, {"test": 30})), word) == sentence


def test_agents_are_only_called_ranked_where_somebody_is() -> None:
    one = score_of([Row("q0", "classic", "moves", (0.5, 0.1), 0.1)], {"test": 30})
    two = score_of(
        [Row(n, "classic", "moves", (0.5, 0.1), 0.1) for n in ("q0", "q1")], {"test": 30}
    )
    assert verdict(one)[0] == "There is no buy_and_hold to compare with."
    assert (
        verdict(two)[0] == "There is no buy_and_hold to compare with: the agents are only ranked."
    )


def test_an_index_with_the_higher_ratio_keeps_the_leader_from_being_called_highest_of_all() -> None:
    rows = [
        Row("q0", "classic", "moves", (0.5, 0.1), 0.1),
        Row("q1", "classic", "moves", (0.1, 0.1), 0.1),
        Row("q2", "index", "moves", (0.9, 0.1), 0.1),
    ]
    told = verdict(score_of(rows, {"test": 30}))
    assert only(told, "highest").startswith("Of the agents, q0 has the highest Sharpe ratio")


def test_in_a_window_of_few_returns_nobody_is_marked_and_the_legend_is_gone() -> None:
    text = render(fake_score(windows=(("test", 15),)))
    assert "14 returns are too few to tell agents apart: nobody is marked" in text
    assert "disc" not in text.split("</style>")[1]
    assert "disc" in render(fake_score(windows=(("test", 40),))).split("</style>")[1]


def test_one_of_a_kind_is_written_in_the_singular() -> None:
    assert [counted(n, "asset") for n in (0, 1, 2, 1000)] == [
        *("0 assets", "1 asset", "2 assets", "1,000 assets")
    ]
    rows = [Row(name, "classic", "moves", (0.5, 0.1), 0.1) for name in ("q0", REFERENCE)]
    told = verdict(score_of(rows, {"test": 1}))
    assert told[0] == "1 return is too few to tell agents apart."
    assert told[1].startswith("1 return is not ranked")
    alone = [
        Row("q0", "classic", "moves", (0.5, 0.1), 0.1),
        Row("q1", "index", "moves", (0, 0), 0.2),
    ]
    assert only(verdict(score_of(alone, {"test": 30})), "index").endswith(
        "; the agent returned no more."
    )
    against = [
        Row("q0", "classic", "stays", (0, 0), 0),
        Row(REFERENCE, "classic", "moves", (0, 0), 0),
    ]
    assert "q0 did not earn reliably more: the 90 % interval of its excess return" in " ".join(
        verdict(score_of(against, {"test": 30}))
    )


def test_what_could_be_earned_is_not_called_nothing_because_nobody_was_scored() -> None:
    gone = score_of([Row("q0", "index", "moves", (0.5, 0.1), 0.1)], {"test": 30})
    played = score_of([Row("q0", "classic", "moves", (0.5, 0.1), 0.1)], {"test": 30})
    found = [
        only(verdict(replace(played, ceilings=[one])), "Knowing")
        for one in (
            Ceiling("test", 50.0, 0.05, {"q0": 0.1}),
            Ceiling("test", 50.0, 0.05, {}),
            Ceiling("test", 0.0, 0.0, {}),
        )
    ]
    assert verdict(gone) == ["No agent was scored."]
    most = f"+5.00{NARROW}%"
    assert found == [
        f"Knowing the future, {most} could have been earned; of that earned q0 +10.0{NARROW}%.",
        f"Knowing the future, {most} could have been earned.",
        "Knowing the future, nothing could have been earned.",
    ]


def test_claims_that_nobody_could_judge_are_not_counted_as_put_to_the_test() -> None:
    score = fake_ensembles(windows=(("test", 60),), resamples=20)
    open_ = replace(score.verdicts[0], ahead=None, pairs=(), decision="undecided")
    (told,) = claims_sentence(replace(score, verdicts=[open_, *score.verdicts[1:]]))
    assert told.startswith(f"{len(CLAIMS) - 1} claims put to the test: ")
    assert told.endswith(" 1 claim not judged: a side has no numbers.")
    (one,) = claims_sentence(replace(score, verdicts=score.verdicts[:1]))
    assert one == f"1 claim put to the test: 1 {score.verdicts[0].decision}."
    (none,) = claims_sentence(replace(score, verdicts=[open_]))
    assert none == "1 claim not judged: a side has no numbers."


# Searches


def searched(ratios: Sequence[float], bars: int) -> Search:
    trials = [
        Trial({"clip": 0.1}, Estimate(ratio, ratio - 1, ratio + 1), Moments(ratio, 0.0, 3.0, bars))
        for ratio in ratios
    ]
    period = ("2001-01-02", "2001-12-31")
    space = {"clip": "0.1:0.4"}
    return Search("t", "0", "ppo", {}, SHARPE, "higher", period, 1, 1, space, trials)


def test_the_best_of_one_trial_is_called_the_only_one() -> None:
    assert sentences(searched([0.1], 252))[0].startswith(
        "The only trial has a Sharpe ratio of 0.10"
    )
    assert sentences(searched([0.1, 0.0], 252))[0].startswith("The best of 2 trials has a Sharpe")
    assert "more than luck is" in sentences(searched([0.1], 252))[1]
    assert "the luck of so many tries" in sentences(searched([0.1, 0.0], 252))[1]


def test_a_single_return_tells_nothing_of_luck() -> None:
    assert not any("probability" in one for one in sentences(searched([0.1, 0.0], 1)))
