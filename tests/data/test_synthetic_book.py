from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from steelyard.data import check, load
from steelyard.data.books import levels
from steelyard.data.planted_book import (
    LEAN,
    STATES,
    BookOptimum,
    BookPlan,
    book_optimum,
    states_of,
)
from steelyard.data.synthetic_book import plan_of
from steelyard.errors import ConfigError, DataError, UnknownNameError
from steelyard.types import Panel

LONG = 200_000


@pytest.fixture(scope="module")
def leaning() -> Panel:
    return load("book:imbalance", rows=LONG, seed=1)


def plan(**options: Any) -> BookPlan:
    return plan_of(load("book", "imbalance", rows=2, **options))


def mid(panel: Panel) -> np.ndarray:
    return panel["close"][:, 0]


def standard_error(values: np.ndarray, block: int = 400) -> float:
    """Of the mean, from means of blocks much longer than the memory."""
    means = values[: len(values) // block * block].reshape(-1, block).mean(axis=1)
    return float(means.std(ddof=1) / np.sqrt(len(means)))


@pytest.mark.parametrize("kind", ["imbalance", "none"])
@pytest.mark.parametrize("spread", [1, 2, 5])
def test_a_synthetic_book_is_a_book_on_its_grid(kind: str, spread: int) -> None:
    panel = load("book", kind, rows=500, seed=3, levels=4, spread=spread)
    assert levels(panel) == 4
    assert check(panel).findings == ()
    for side, k in itertools.product(("bid", "ask"), range(1, 5)):
        np.testing.assert_array_equal(panel[f"{side}_{k}"], np.round(panel[f"{side}_{k}"], 2))
        lots = panel[f"{side}_size_{k}"] * 1e4
        np.testing.assert_allclose(lots, np.rint(lots), rtol=1e-12)
    apart = np.rint(100 * (panel["ask_1"] - panel["bid_1"]))
    assert (apart == spread).all()
    assert (np.diff(panel.timestamps) == np.timedelta64(1, "s")).all()
    assert min(panel[f"{side}_size_1"].min() for side in ("bid", "ask")) >= 1.0  # a tenth


def test_the_same_request_gives_the_same_book_and_more_rows_continue_it() -> None:
    short, long = (load("book:imbalance?seed=7", rows=rows) for rows in (300, 500))
    for name in short.fields:
        np.testing.assert_array_equal(short[name], long[name][:300])
    assert short.digest() == load(short.name).digest() == short.sha256
    assert short.digest() != load("book:imbalance?seed=8", rows=300).digest()
    assert plan_of(long) == replace(plan_of(short), rows=500)


def test_the_state_is_seen_in_every_level_and_moves_as_planned(leaning: Panel) -> None:
    states, rule = states_of(leaning), plan_of(leaning)
    for k in range(1, 6):
        bid, ask = leaning[f"bid_size_{k}"][:, 0], leaning[f"ask_size_{k}"][:, 0]
        imbalance = (bid - ask) / (bid + ask)
        for state in STATES:
            seen = imbalance[states == state]
            assert abs(seen.mean() - LEAN * state) < 0.01
            assert (np.abs(seen - LEAN * state) < 0.25).all()
    for before, after in itertools.product(STATES, STATES):
        odds = (states[1:][states[:-1] == before] == after).mean()
        assert odds == pytest.approx(rule.transition[before + 1, after + 1], abs=0.005)
    assert np.bincount(states + 1) / LONG == pytest.approx(np.full(3, 1 / 3), abs=0.02)


def test_the_move_after_a_row_follows_its_state_with_the_stated_strength(leaning: Panel) -> None:
    states, rule = states_of(leaning)[:-1], plan_of(leaning)
    move = np.rint(np.diff(mid(leaning)) / rule.tick).astype(int)
    assert set(np.unique(move)) == {-2, 0, 2}
    assert (move != 0).mean() == pytest.approx(rule.activity, abs=0.005)
    for state in STATES:
        seen = move[(states == state) & (move != 0)]
        assert (seen > 0).mean() == pytest.approx((1 + 0.6 * state) / 2, abs=0.01)
        assert move[states == state].mean() * rule.tick == pytest.approx(
            state * rule.drift, abs=1e-4
        )


def test_the_signal_is_an_eigenvector_of_the_chain() -> None:
    rule = plan(memory=12.0)
    np.testing.assert_allclose(rule.transition.sum(axis=1), 1.0)
    np.testing.assert_allclose(rule.transition @ STATES, (1 - 1.5 / 12.0) * STATES, atol=1e-15)
    assert rule.drift == pytest.approx(0.5 * 0.6 * 2 * 0.01)


def profits(panel: Panel, best: BookOptimum, fee: float, positions: np.ndarray) -> np.ndarray:
    """Profit (D,) of each step, row by row on the prices of the book."""
    price, gap, delay = mid(panel), best.step_gap, best.delay
    found = []
    for step, (before, after) in enumerate(itertools.pairwise(positions)):
        decided, filled, done = step * gap, step * gap + delay, (step + 1) * gap
        earned = before * (price[filled] - price[decided]) + after * (price[done] - price[filled])
        bought = after - before
        paid = panel["ask_1" if bought > 0 else "bid_1"][filled, 0]
        earned -= bought * (paid - price[filled]) + abs(bought) * fee * paid
        found.append(earned)
    return np.array(found)


RULES = [
    {},
    {"fee": 1e-4},
    {"fee": 1e-4, "step_gap": 2, "delay": 1},
    {"fee": 2e-4, "step_gap": 3, "delay": 3, "max_position": 2},
]


@pytest.mark.parametrize("rules", RULES)
def test_the_optimal_policy_earns_what_was_solved_for(
    leaning: Panel, rules: dict[str, Any]
) -> None:
    best = book_optimum(plan_of(leaning), **rules)
    panel = leaning.rows(0, 60_001)
    states = states_of(panel)[: 60_000 // best.step_gap * best.step_gap : best.step_gap]
    positions = best.positions(states)
    assert np.abs(positions).max() == best.max_position
    assert np.abs(np.diff(positions)).max() == 1
    earned = profits(panel, best, rules.get("fee", 0.0), positions)
    assert best.gain > 0
    assert abs(earned.mean() - best.gain) < 4 * standard_error(earned)
    assert best.gain > 8 * standard_error(earned)  # so the comparison says something


def reaches(best: BookOptimum, policy: np.ndarray) -> float:
    """Gain of a policy over three positions, started flat: a slow and obvious twin."""
    odds, earned = np.zeros((9, 9)), np.zeros(9)
    for state, held in itertools.product(range(3), range(3)):
        order = int(policy[state, held])
        target = held + order
        earned[3 * state + held] = best.reward[state, held, order + 1]
        for following in range(3):
            odds[3 * state + held, 3 * following + target] += best.transition[state, following]
    share = np.tile([0.0, 1.0, 0.0], 3) / 3.0
    return float(share @ np.linalg.matrix_power(odds, 4096) @ earned)


@pytest.mark.parametrize("rules", [{}, {"fee": 1.2e-3}, {"fee": 3e-4, "step_gap": 2, "delay": 1}])
def test_no_policy_of_all_beats_the_optimum(rules: dict[str, Any]) -> None:
    best = book_optimum(plan(memory=15.0), **rules)
    allowed = [(0, 1), (-1, 0, 1), (-1, 0)] * 3
    gains = [reaches(best, np.reshape(orders, (3, 3))) for orders in itertools.product(*allowed)]
    assert len(gains) == 1728
    assert max(gains) == pytest.approx(best.gain, rel=1e-6, abs=1e-9)
    assert reaches(best, best.policy) == pytest.approx(best.gain, rel=1e-6, abs=1e-9)


def test_an_episode_is_worth_the_best_of_all_its_courses() -> None:
    best = book_optimum(plan(memory=5.0, strength=0.9), fee=1e-4)

    def value(state: int, position: int, steps: int) -> float:
        if steps == 0:
            return -best.cost * abs(position)
        worth = []
        for order in (-1, 0, 1):
            if abs(position + order) <= 1:
                onward = sum(
                    best.transition[state, following]
                    * value(following, position + order, steps - 1)
                    for following in range(3)
                )
                worth.append(best.reward[state, position + 1, order + 1] + onward)
        return max(worth)

    for steps in (1, 2, 3, 4):
        slow = np.mean([value(state, 0, steps) for state in range(3)])
        assert best.episode(steps) == pytest.approx(slow, abs=1e-15)
    assert best.episode(0) == 0.0
    long = best.episode(5_000) / 5_000
    assert long == pytest.approx(best.gain, rel=0.01)


def test_the_reward_of_a_step_is_that_worked_by_hand() -> None:
    # drift 0.006 a row in state +1; a row later 0.95 of it, two rows later 0.9025
    best = book_optimum(plan(), fee=1e-4, step_gap=3, delay=1)
    assert best.cost == pytest.approx(0.01 + 0.01)
    held = 0.006 * (1 + 0.95 + 0.9025)
    assert best.reward[2, 2, 1] == pytest.approx(held)
    assert best.reward[2, 1, 2] == pytest.approx(0.006 * (0.95 + 0.9025) - 0.02)
    assert best.reward[0, 1, 0] == pytest.approx(best.reward[2, 1, 2])
    assert best.reward[2, 0, 1] == pytest.approx(-held)
    assert best.reward[2, 2, 2] == -np.inf
    assert best.reward[1, 1, 1] == 0.0


def test_trading_pays_after_half_the_spread_and_a_fee_of_a_tick() -> None:
    best = book_optimum(plan(), fee=1e-4)
    assert best.policy.tolist() == [[0, -1, -1], [0, 0, 0], [1, 1, 0]]
    assert best.gain > 0.5 * plan().drift  # two thirds of it would be without costs
    dear = book_optimum(plan(), fee=0.01)
    assert dear.gain == pytest.approx(0.0, abs=1e-12)
    assert not dear.policy[:, 1].any()  # who holds nothing stays so


def test_where_nothing_is_planted_nothing_is_to_be_earned() -> None:
    panel = load("book:none", rows=LONG, seed=2)
    states, move = states_of(panel), np.diff(mid(panel))
    followed = states[:-1] * move
    assert abs(followed.mean()) < 3 * standard_error(followed)
    best = book_optimum(plan_of(panel))
    assert best.gain == 0.0
    assert not best.policy[:, 1].any()
    assert best.episode(100) == 0.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strength": 1.0}, "strength"),
        ({"memory": 1.0}, "memory"),
        ({"activity": 0.0}, "activity"),
        ({"jump": 0}, "jump"),
        ({"spread": 0}, "spread"),
        ({"levels": 0}, "levels"),
        ({"rows": 1}, "rows"),
        ({"rows": 2.5}, "whole number"),
        ({"seed": -1}, "seed"),
        ({"tick": 0.0}, "tick"),
        ({"size": 0.0}, "size"),
        ({"price": 0.5}, "price"),
        ({"price": "dear"}, "`dear`"),
        ({"price": 10.0, "jump": 20, "memory": 2.0, "rows": 90_000}, "falls towards 0"),
    ],
)
def test_settings_that_cannot_hold_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load("book", "imbalance", **options)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "rules", [{"fee": -0.1}, {"max_position": 0}, {"step_gap": 0}, {"delay": 2}, {"delay": -1}]
)
def test_rules_that_cannot_hold_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(rules))):
        book_optimum(plan(), **rules)


def test_an_unknown_kind_and_a_real_book_are_refused() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load("book:imbalanced")
    assert "`imbalance`" in caught.value.hint
    with pytest.raises(ConfigError, match="strength"):
        load("book:none?strength=0.2")
    with pytest.raises(DataError, match="not known"):
        plan_of(load("bundled", "lob_btc_trademaster_small_5lvl"))
