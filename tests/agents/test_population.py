"""Members of a population against agents that learn alone, and markets of their own."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stock_windows import ENV, panel, walk
from tiny_learner import Tiny

from probes import MATCH, Probe
from steelyard.agents.classic import HoldCash
from steelyard.agents.ensemble import Ensemble
from steelyard.agents.members import variants_of
from steelyard.agents.population import VIEW, Population, rounds_for
from steelyard.agents.views import View, draw_view
from steelyard.envs.stock import whole_window
from steelyard.errors import ConfigError
from steelyard.features.scaling import fit
from steelyard.market import build_market

BOX = Probe(discrete=False)
KEY = jax.random.key(5)
QUICK, SLOW = Tiny(), Tiny(rounds=7)


def stocks(assets=3, rows=40, **settings):
    """A small market whose table is scaled as those of tasks are."""
    data = panel(walk(rows, assets))
    table = fit(data, ["return_1"], (0, rows))(data)
    market = build_market(data, table.values, first=2, columns=table.columns)
    return data, whole_window(market, 2, rows - 1, cash=1e5, **settings)


def key_of(group, place):
    return jax.random.fold_in(jax.random.fold_in(KEY, group), place)


def take(tree, place):
    return jax.tree.map(lambda leaf: leaf[place], tree)


def assert_same(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, atol=2e-5)


@eqx.filter_jit
def train(agent, key, env, params):
    return agent.train(key, env, params)


def test_members_learn_what_their_agents_learn_alone_however_many_there_are():
    groups, log = train(Population(((QUICK, 3), (SLOW, 1))), KEY, BOX, MATCH)
    assert_same(take(groups[0], 1), train(QUICK, key_of(0, 1), BOX, MATCH)[0])
    assert_same(take(groups[1], 0), train(SLOW, key_of(1, 0), BOX, MATCH)[0])
    assert {name: values.shape for name, values in log.items()} == {
        "tiny/reward": (2,),
        "tiny_2/reward": (2,),
    }


def test_trainings_are_cut_into_rounds_that_keep_every_budget():
    assert rounds_for([16]) == 16
    assert rounds_for([100, 300]) == 100
    assert rounds_for([4, 7]) == 2
    assert rounds_for([97, 193]) == 48  # one update each is made before the first round
    assert rounds_for([4, 3, 3]) == 3
    assert rounds_for([1, 50]) == 1
    for rounds in (-1, 5):
        with pytest.raises(ConfigError, match=r"rounds must lie in 1\.\.4"):
            Population(((QUICK, 1), (SLOW, 1)), rounds=rounds)
    assert Population(((QUICK, 1), (SLOW, 1)), rounds=2).updates == 2


def test_members_with_variants_learn_as_agents_with_these_settings():
    variants = variants_of(QUICK, {"learning_rate": (0.1, 0.3), "log_std": (-1.0, 0.0)})
    assert variants[2] == (("learning_rate", 0.3), ("log_std", -1.0))
    groups, _ = train(Population(((QUICK, 4),), variants=variants), KEY, BOX, MATCH)
    alone = train(Tiny(learning_rate=0.3, log_std=-1.0), key_of(0, 2), BOX, MATCH)[0]
    assert_same(take(groups[0], 2), alone)


def test_a_view_is_the_market_of_other_assets_at_other_prices():
    data, params = stocks()
    order, scale = jnp.array([2, 0, 0]), jnp.array([1.1, 0.9, 1.0], jnp.float32)
    seen = View(scale, order)(params).market
    names = [data.assets[i] for i in order]
    wanted = {
        n: np.stack([data[n][:, data.assets.index(a)] for a in names], 1) for n in data.fields
    }
    other = replace(data, fields={n: v * np.asarray(scale) for n, v in wanted.items()})
    table = fit(other, ["return_1"], (0, len(data)))(other)
    twin = build_market(other, table.values, first=2, columns=table.columns)
    for name in ("bid", "ask", "mark", "table", "tradable"):
        ours, theirs = (np.asarray(getattr(one, name))[:-1] for one in (seen, twin))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)  # the last row never fills


def test_each_member_draws_its_own_market_from_its_key():
    _, params = stocks()
    market = params.market
    keys = jax.random.split(KEY, 20)
    views = jax.vmap(lambda key: draw_view(key, market, 0.2, "permuted"))(keys)
    assert 0.8 <= views.scale.min() < 0.9 < 1.1 < views.scale.max() <= 1.2
    orders = {tuple(order) for order in views.order.tolist()}
    assert len(orders) > 3
    assert {tuple(sorted(order)) for order in orders} == {(0, 1, 2)}
    assert draw_view(KEY, market, None, "own") == View()
    drawn = jax.vmap(lambda key: draw_view(key, market, None, "resampled"))(keys).order
    assert any(len(set(order)) < 3 for order in drawn.tolist())


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"price_scale": 0.3}, {"assets": "permuted"}],
    ids=["prices", "assets"],
)
def test_a_member_learns_what_its_agent_learns_on_the_members_market(options):
    _, params = stocks()
    groups, _ = train(Population(((QUICK, 2),), **options), KEY, ENV, params)
    scale, assets = options.get("price_scale"), options.get("assets", "own")
    view = draw_view(jax.random.fold_in(key_of(0, 1), VIEW), params.market, scale, assets)
    assert_same(take(groups[0], 1), train(QUICK, key_of(0, 1), ENV, view(params))[0])


def test_members_see_only_the_columns_that_are_not_hidden_from_them():
    data, params = stocks()
    hidden = (("log_close",), ("return_1",))
    groups, _ = train(Population(((QUICK, 2),), hidden=hidden), KEY, ENV, params)

    @jax.jit
    def actions(table):
        seen = eqx.tree_at(lambda p: p.market.table, params, table)
        obs = ENV.reset(KEY, seen)[1].obs
        bound = jax.vmap(lambda p: p.bind(ENV, seen)(obs, None)[0].mode())(groups[0])
        vector = ENV.observe(obs, seen)
        called = jax.vmap(lambda p: p(vector, None)[0].mode())(groups[0])
        return bound, called

    table, size = params.market.table, len(data.assets)
    before = actions(table)
    np.testing.assert_allclose(*before, atol=1e-6)
    for member, columns in enumerate((slice(0, size), slice(size, 2 * size))):
        after = actions(table.at[:, columns].add(1.0))[0]
        np.testing.assert_array_equal(after[member], before[0][member])
        assert (after[1 - member] != before[0][1 - member]).any()


def test_members_with_different_action_spaces_are_refused():
    with pytest.raises(ConfigError, match=r"one space: tiny box \(1,\), tiny_2 box \(3,\)"):
        Population(((QUICK, 1), (Tiny(actions=3), 2))).init(KEY, BOX, MATCH)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Population(()), "needs members"),
        (lambda: Population(((QUICK, 0),)), "needs members"),
        (lambda: Population(((HoldCash(), 1),)), "does not learn"),
        (lambda: Population(((Ensemble(Population(((QUICK, 1),))), 1),)), "or has members"),
        (lambda: Population(((QUICK, 2),), hidden=(("log_close",),)), "1 entries for 2"),
        (lambda: Population(((QUICK, 1),), price_scale=1.0), "price_scale"),
        (lambda: Population(((QUICK, 1),), diversity=-0.1), "diversity"),
        (lambda: Population(((QUICK, 1),), assets="some"), "no assets named"),
        (lambda: Population(((QUICK, 2),), 0.1, hidden=((), ("a",))), "no divergence"),
        (lambda: variants_of(QUICK, {}), "at least one setting"),
        (lambda: variants_of(QUICK, {"rate": (1.0,)}), "no float setting named rate"),
        (lambda: variants_of(QUICK, {"rounds": (1.0,)}), "no float setting named rounds"),
    ],
)
def test_settings_that_cannot_hold_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_options_that_the_market_cannot_serve_are_refused():
    _, params = stocks()
    unnamed = eqx.tree_at(lambda p: p.market, params, replace(params.market, columns=()))
    for options, where, message in [
        ({"price_scale": 0.1}, (BOX, MATCH), "needs a market"),
        ({"assets": "permuted"}, (ENV, unnamed), "have no names"),
        ({"hidden": (("macd",),)}, (ENV, params), "no columns of macd"),
    ]:
        with pytest.raises(ConfigError, match=message) as error:
            Population(((QUICK, 1),), **options).init(KEY, *where)
        assert error.value.hint


def test_a_table_with_another_number_of_names_than_columns_is_refused():
    data, _ = stocks()
    with pytest.raises(ConfigError, match="has 2 columns, and 1 names"):
        build_market(data, np.zeros((len(data), 2), np.float32), columns=("macd",))
