"""The fast paths of the house decide as the narrow ones do: every agent of the room, row by row.

The narrow path is what an agent of anybody's own has: a rule on the view of the past, or a policy
that is told the vector of an observation. The fast one reads arrays of a window whole. What has
none but that decides the same in a market of which everything behind the row is another.
"""

from dataclasses import replace
from functools import cache
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_learners import TRIED
from stock_windows import ENV, KEY, eventful, eventful_panel

from book_markets import LOT, TICK, random_books
from steelyard.agents.allocation import active, equal_money
from steelyard.agents.basket_rules import every_rows, follow, whole_prices
from steelyard.agents.classic import EqualWeight, HoldCash, MeanVariance, MinVariance
from steelyard.agents.distributions import Deterministic
from steelyard.agents.rolling import RollingPolicy
from steelyard.agents.switch import FAMILIES
from steelyard.book import build_book
from steelyard.envs.orderbook import OrderBookEnv, book_window
from steelyard.errors import ConfigError, ContractError
from steelyard.lookahead import WORLDS, another_future
from steelyard.past import History, Holdings, rows_of
from steelyard.registry import members
from steelyard.rollout import bind, rollout
from steelyard.types import Space

MEMBERS = members("agents")
QUICK = {"ppo", "dqn", "ensemble_1", "ppo_cppo_regime"}
"""One of each kind of what is costly; all others of that kind are slow."""
AT_HOME_IN_BOOKS = {"hold_cash", "buy_and_hold", "random", "fixed_time_exit", "ppo", "dqn"}
"""Some that must not be refused there."""
EVERY_ROW = 24
"""Decisions of the short window in which the future is replaced behind each of them."""
RULES = {"cost": 1e-3, "max_shares": 100.0, "lot": 1.0, "fill": "next_open"}


def named(market):
    """The five columns of the table are what experts that take turns see of the price."""
    return replace(market, columns=tuple(f"{name}/A0" for name in FAMILIES))


@cache
def place(kind, precision="exact"):
    """An environment, a window of it and the panel behind: stocks with gaps, or a small book."""
    if kind == "stocks":
        params = eventful(precision)
        return ENV, replace(params, market=named(params.market)), eventful_panel()
    panel = random_books(5, rows=90, segments=2)
    table = np.random.default_rng(6).normal(size=(90, 4)).astype(np.float32)
    market = build_book(panel, table, tick=TICK, lot=LOT, precision=precision)
    with jax.enable_x64(precision == "exact"):
        return OrderBookEnv(), book_window(market, 5, 80, taker_fee=1e-4, cash=1e4), panel


def costly(name):
    return hasattr(MEMBERS[name].value(), "advance") and name not in QUICK


ALL = [pytest.param(n, marks=pytest.mark.slow if costly(n) else ()) for n in MEMBERS]


# small versions of all agents, their networks as they begin


def small(agent):
    """The agent with networks and a memory that cost nothing, and at most two members a kind."""
    given = {"take": (), "fast": 5, "slow": 20, "confirm": 2} | settings_of(agent)
    if hasattr(agent, "population"):
        population = agent.population
        most = None if population.hidden else 2
        groups = tuple((small(one), min(count, most or count)) for one, count in population.groups)
        given["population"] = replace(population, groups=groups)
    known = getattr(agent, "__dataclass_fields__", {})
    return replace(agent, **{name: value for name, value in given.items() if name in known})


def settings_of(agent):
    """Those of the table for learners of its class; none for what is no learner of the table."""
    return next((TRIED[n] for n in TRIED if MEMBERS[n].value is type(agent)), {})


BEGUN = {}


def begun(learner, kind):
    """What fresh learners act with; agents with the same members share them."""
    env, params, _ = place(kind, "float32")
    key = (repr(learner), kind)
    if key not in BEGUN:
        BEGUN[key] = eqx.filter_jit(lambda: learner.init(KEY, env, params).policy)()
    return BEGUN[key]


def paths(agent, kind):
    """The policy of the fast path, and that of the narrow one."""
    env, params, _ = place(kind)
    if getattr(agent, "learns", True):
        policies = begun(getattr(agent, "population", agent), kind)
        policy = agent.combine(policies) if hasattr(agent, "combine") else policies
        return policy, policy
    rows = np.arange(int(params.first))
    earlier = params.market.of_rows(rows, np.zeros_like(rows))
    return (
        agent.prepare(KEY, env, params)[0],
        agent.train(KEY, env, replace(params, first=0, last=len(rows) - 1, market=earlier))[0],
    )


def needs_market(policy, env, params):
    """Whether a policy cannot decide on a vector."""
    if not callable(policy):
        return True
    try:
        jax.eval_shape(
            lambda: policy(
                env.observe(env.reset(KEY, params)[1].obs, params), policy.initial_carry()
            )
        )
    except ContractError as error:
        return "stored observation" in error.message
    return False


# both paths, decision by decision


@eqx.filter_jit
def lived(policy, env, params, steps):
    return rollout(KEY, env, params, policy, steps, sample=False)[1]


@eqx.filter_jit
def side_by_side(fast, narrow, env, params, steps):
    """Actions (T, A) of `bind` and of the call with a vector, on the account of the former."""
    act = bind(fast, env, params)

    def step(now, _):
        state, obs, carry, other = now
        one, carry = act(obs, carry)
        two, other = narrow(env.observe(obs, params), other)
        state, after = env.step(KEY, state, one.mode(), params)
        return (state, after.obs, carry, other), (one.mode(), two.mode())

    state, first = env.reset(KEY, params)
    begin = (state, first.obs, fast.initial_carry(), narrow.initial_carry())
    return jax.lax.scan(step, begin, None, length=steps)[1]


def told(rule, env, params, panel, seen):
    """What a rule answers, (T, A), told the closes and accounts of a pass one after another."""
    market, rows = params.market, np.asarray(seen.obs.row)
    mark, trading = known(market)
    table, sent = np.asarray(market.table), 0
    history = History(panel.assets, market.columns, Space(*env.action_space(params)), RULES)
    vectors = np.asarray(jax.vmap(lambda obs: env.observe(obs, params))(seen.obs))
    before = {name: np.asarray(seen.info[name]) for name in ("cash", "units", "value")}
    start = {"cash": float(params.cash), "value": float(params.cash), "units": 0 * mark[0]}
    answers = []
    for step, row in enumerate(rows):
        account = {n: before[n][step - 1] if step else start[n] for n in start}
        history.extend(rows_of(panel, table, sent, row + 1))
        sent = row + 1
        held = Holdings(mark=mark[row], trading=trading[row], **account)
        answers.append(rule.decide(history.past(step, vectors[step], held)))
    return np.stack(answers)


def known(market):
    """(T, N) prices in quote currency, and what trades as known at each row."""
    mark, money = np.asarray(market.mark), float(market.money)
    if mark.ndim == 1:
        return (mark * float(market.lots) / money)[:, None], np.ones((len(mark), 1), bool)
    return mark / money, active(mark, np.asarray(market.tradable))


def assert_equal_paths(agent, kind):
    """The narrow path decides what the fast one does."""
    with jax.enable_x64(True):
        env, params, panel = place(kind)
        steps = int(params.length)
        fast, narrow = paths(agent, kind)
        if hasattr(narrow, "decide"):
            seen = lived(fast, env, params, steps)
            answers = told(narrow, env, params, panel, seen)
            np.testing.assert_array_equal(answers, seen.action)
            assert answers.dtype == seen.action.dtype
        elif needs_market(narrow, env, params):
            assert_unmoved(agent, kind)
        else:
            one, two = (np.asarray(each) for each in side_by_side(fast, narrow, env, params, steps))
            space = env.action_space(params)
            if not space.choices:  # what lies beyond the box is never executed
                one, two = (np.clip(each, space.low, space.high) for each in (one, two))
            learns = getattr(agent, "learns", True)
            np.testing.assert_allclose(one, two, atol=1e-5 if learns else 0, rtol=0)


def assert_unmoved(agent, kind):
    """No decision moves, to the last bit, with anything that comes after its row."""
    with jax.enable_x64(True):
        env, params, _ = place(kind)
        policy = paths(agent, kind)[0]
        seen = lived(policy, env, params, EVERY_ROW)
        for step, row in enumerate(np.asarray(seen.obs.row).tolist()):
            market = another_future(params.market, row, WORLDS[step % 2])
            there = replace(params, market=market)
            if not getattr(agent, "learns", True):
                policy = agent.prepare(KEY, env, there)[0]
            others = lived(policy, env, there, EVERY_ROW).action
            np.testing.assert_array_equal(others[: step + 1], seen.action[: step + 1])


@pytest.mark.parametrize("name", ALL)
def test_an_agent_decides_the_same_on_both_paths(name):
    assert_equal_paths(small(MEMBERS[name].value()), "stocks")


OTHERS = [
    EqualWeight(every=1),
    MinVariance(every=5, lookback=30, shortest=20),
    MeanVariance(cap=0.0454),  # of the last estimate's 22 assets 23 would be needed
]


@pytest.mark.parametrize("agent", OTHERS, ids=repr)
def test_other_settings_are_the_same_on_both_paths(agent):
    assert_equal_paths(agent, "stocks")


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        (MeanVariance(cap=0.04), "23 assets are observed .* under a cap of 0.04"),
        (MinVariance(lookback=200, shortest=80), "70 rows before it; the first estimate needs 80"),
    ],
)
def test_what_cannot_be_estimated_is_refused_on_both_paths(agent, message):
    with jax.enable_x64(True):
        env, params, panel = place("stocks")
        with pytest.raises(ConfigError, match=message):
            agent.prepare(KEY, env, params)
        rule, _ = agent.train(KEY, env, params)
        with pytest.raises(ConfigError, match=message):
            told(
                rule,
                env,
                params,
                panel,
                lived(HoldCash().prepare(KEY, env, params)[0], env, params, 2),
            )


@pytest.mark.parametrize("name", ALL)
def test_an_agent_decides_the_same_on_both_paths_in_an_order_book_or_is_refused_there(name):
    agent, refused = small(MEMBERS[name].value()), None
    try:
        assert_equal_paths(agent, "books")
    except ConfigError as error:
        refused = error
    assert refused is None or refused.hint
    assert refused is None or name not in AT_HOME_IN_BOOKS


@pytest.mark.parametrize("name", ["min_variance", "ppo_cppo_regime"])
def test_no_row_of_a_fast_path_moves_with_what_comes_after_it(name):
    assert_unmoved(small(MEMBERS[name].value()), "stocks")


def test_a_policy_that_is_another_one_from_row_to_row_does_not_look_ahead():
    agent = small(MEMBERS["ppo"].value())
    one = begun(agent, "stocks")
    with jax.enable_x64(True):
        env, params, _ = place("stocks")
        two = jax.tree.map(lambda leaf: -2 * leaf, one)
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), one, two)
        policy = RollingPolicy(stacked, jnp.asarray([70, 78], jnp.int32))
        seen = lived(policy, env, params, 16)
        for step, row in enumerate(range(70, 86)):
            market = another_future(params.market, row)
            others = lived(policy, env, replace(params, market=market), 16).action
            np.testing.assert_array_equal(others[: step + 1], seen.action[: step + 1])


# planted failures


class NextRow(EqualWeight):
    """Weighs equally by the prices of the row that comes next."""

    def whole(self, env, params):
        mark, trading = whole_prices(env, params)
        decides = every_rows(self.every, len(mark), params)
        return follow(equal_money(np.roll(mark, -1, axis=0), trading), trading, decides)


class NextTable(eqx.Module):
    """Follows a column of the table: of its own row as a vector, of the next one when bound."""

    learns: ClassVar[bool] = False

    def prepare(self, key, env, params):
        return self, {}

    train = prepare

    def initial_carry(self):
        return None

    def __call__(self, vector, carry):
        return Deterministic(jnp.full(24, jnp.sign(vector[-1]))), carry

    def bind(self, env, params):
        return lambda obs, carry: self(params.market.table[obs.row + 1], carry)


class NextMark(NextTable):
    """Has no way to decide on a vector, and buys what rises."""

    def __call__(self, vector, carry):
        raise ContractError("decides on the stored observation")

    def bind(self, env, params):
        mark = params.market.mark
        return lambda obs, carry: (Deterministic(jnp.sign(mark[obs.row + 1] - mark[obs.row])), None)


@pytest.mark.parametrize("planted", [NextRow(), NextTable(), NextMark()])
def test_a_fast_path_that_reads_the_next_row_fails(planted):
    with pytest.raises(AssertionError, match=r"(?i)not equal"):
        assert_equal_paths(planted, "stocks")
    with pytest.raises(AssertionError):
        assert_unmoved(planted, "stocks")
