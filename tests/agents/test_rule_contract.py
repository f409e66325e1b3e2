"""`check_agent` on rules that decide by the view of the past."""

import jax.numpy as jnp
import numpy as np
import pytest
from stock_windows import BOOK, ENV, books, eventful

from probes import MATCH, Probe
from steelyard.agents.check import check_agent
from steelyard.agents.classic import EqualWeight
from steelyard.envs.spans import SpanEnv, SpanParams
from steelyard.errors import ConfigError, ContractError


class Rule:
    """Its own policy: buys what rose over three closes."""

    learns = False

    def decide(self, past):
        close = past["close"]
        return np.sign(np.nan_to_num(close[-1] - close[-4]))


class Made:
    """An agent whose training makes a rule."""

    learns = False

    def train(self, key, env, params):
        return Rule(), {}


class Heir(EqualWeight):
    """An agent of somebody's own made of one of the house: its narrow path is what counts."""


class Chooses(Rule):
    def decide(self, past):
        return 2 if past["bid_1"][-1, 0] > past["close"][:, 0].mean() else past.actions.idle


@pytest.mark.parametrize(
    "agent",
    [Rule(), Heir(every=5), Made()],
    ids=["itself", "heir", "made"],
)
@pytest.mark.parametrize("precision", ["float32", "exact"])
def test_a_rule_on_the_view_of_the_past_passes(agent, precision):
    check_agent(agent, ENV, eventful(precision), steps=20)


def test_a_rule_passes_in_an_order_book_and_through_a_wrapper():
    check_agent(Chooses(), BOOK, books(), steps=20)
    check_agent(Chooses(), SpanEnv(BOOK), SpanParams(books(), jnp.asarray([[5, 60]])), steps=20)


def test_a_rule_sees_the_rows_up_to_its_close_and_its_account():
    lengths, names = [], set()

    class Looks(Rule):
        def decide(self, past):
            lengths.append(len(past))
            names.update(past.fields, past.context, past.rules)
            assert past["close"].shape == (len(past), 24) == past["volume"].shape
            assert past.vector.shape == (2 + 24 + 5,)
            assert past.account.cash + past.account.units @ past.account.mark == pytest.approx(
                past.account.value
            )
            return past.order(np.ones(24) * (past.step == 0))

    check_agent(Looks(), ENV, eventful("exact"), steps=6)
    assert lengths[:6] == [71, 72, 73, 74, 75, 76]
    assert names >= {"open", "high", "low", "close", "volume", "vix", "cost", "max_shares", "lot"}


def writes(past, answer):
    past["close"][0] = 1.0
    return answer


def fails(past, answer):
    if past.step == 3:
        raise KeyError("volatility")
    return answer


CALLS = iter(range(10_000))

RULES = {
    r"at step 0: raised ValueError: .*read-only \(test_rule_contract\.py:\d+\)": writes,
    r"at step 3: raised KeyError: 'volatility' \(test_rule_contract\.py:\d+\)": fails,
    r"actions of shape \(23,\), not \(24,\)": lambda past, answer: answer[1:],
    "not finite": lambda past, answer: answer * np.nan,
    "answers with str, not with numbers": lambda past, answer: "buy",
    "same key again": lambda past, answer: answer * 0 + next(CALLS) / 10_000,
    r"at step 0: called exit\(3\) \(test_rule_contract\.py:\d+\)": lambda past, answer: exit(3),
}


@pytest.mark.parametrize("message", RULES)
def test_a_planted_fault_of_a_rule_is_caught(message):
    class Faulty(Rule):
        def decide(self, past):
            return RULES[message](past, super().decide(past))

    with pytest.raises(ContractError, match=message):
        check_agent(Faulty(), ENV, eventful(), steps=6)


def test_a_choice_of_a_rule_that_does_not_exist_is_caught():
    for answer, message in ((3, r"chooses 3\.\.3 of 3"), (0.5, "not with the number of a choice")):
        rule = Chooses()
        rule.decide = lambda past, answer=answer: answer
        with pytest.raises(ContractError, match=message):
            check_agent(rule, BOOK, books(), steps=6)


def test_a_rule_without_a_market_is_refused():
    with pytest.raises(ConfigError, match="needs a market"):
        check_agent(Rule(), Probe(length=3), MATCH)
