"""Honest agents and features of every kind stand: in a process of their own, or as the house's."""

import importlib

import honest
import pytest
import readers
from honest_together import IN_BOOKS, RULES, Together, TogetherInABook
from places import shared_run, venue

from steelyard.benchmark.checking import short
from steelyard.benchmark.configure import resolve_agent
from steelyard.benchmark.rows import HOUSE, Run, score_agent
from steelyard.benchmark.strangers import OWN
from steelyard.data import load
from steelyard.errors import MissingDataError
from steelyard.features.leaks import find_leak
from steelyard.registry import find, members

TIMES = 5
"""Runs of every agent in the slow tests, one after another: what depends on chance shows."""

WITH_JAX = ("Seeded", "OutsideOfJax", "Scaled", "Dropout", "Memory")
"""Agents of honest_jax.py."""

BOOK = "bundled:lob_btc_coinbase_1min_15lvl_martinsn_sample"
HOUSE_AGENTS = tuple(
    name
    for name, one in members("agents").items()
    if name in ("ensemble_2", "vote_2") or not hasattr(one.value(), "population")
)
"""Of ensembles a few, the others differ in their members; test_tasks.py has them all."""

FEATURES = tuple(name for name in members("features") if not name.startswith("alpha_"))
"""Alphas have a test of their own, tests/features/test_feature_leaks.py."""


def stands(row, isolation):
    assert row.stands, row.note
    assert row.isolation == isolation
    assert row.note == ""
    assert row.hunt["cuts"] == 8
    if isolation == OWN:
        assert row.hunt["opened"] == []
    return row.windows[0].backtests[0].actions.tobytes()


def place_of(name):
    return "books" if name in IN_BOOKS else "stocks"


def made(name):
    return getattr(importlib.import_module("honest_jax" if name in WITH_JAX else "honest"), name)()


@pytest.mark.parametrize(
    ("agent", "kind"), [(Together, "stocks"), (TogetherInABook, "books")], ids=["stocks", "books"]
)
def test_honest_rules_stand_in_a_process_of_their_own(agent, kind):
    """All at once, with two processes; one by one they are asked in the slow tests."""
    stands(score_agent(shared_run(kind), "together", agent()), OWN)


class Chance(Together):
    """The planted failure: one of many rules that draws without a seed."""

    def __init__(self):
        super().__init__()
        self.rules.insert(5, readers.ByChance())


@pytest.mark.slow
def test_one_rule_among_many_that_is_not_honest_is_found():
    row = score_agent(shared_run("stocks"), "together", Chance())
    assert row.hunt["finding"]["date"] == "2002-10-01"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RULES, *IN_BOOKS, *WITH_JAX])
def test_an_honest_agent_stands_every_time_with_the_same_actions(name):
    """As often as it is asked, each time in fresh processes."""
    held = venue(place_of(name))
    actions = {stands(score_agent(Run(held, (0,)), name, made(name)), OWN) for _ in range(TIMES)}
    assert len(actions) == 1


def test_every_honest_agent_is_tried():
    every = {name for name, one in vars(honest).items() if isinstance(one, type)} - {"Rule"}
    assert every == {*RULES, *IN_BOOKS}


@pytest.mark.slow
def test_every_honest_agent_with_jax_is_tried():
    module = importlib.import_module("honest_jax")
    here = [one for one in vars(module).values() if getattr(one, "__module__", "") == "honest_jax"]
    assert {one.__name__ for one in here if hasattr(one, "train") or hasattr(one, "advance")} == {
        *WITH_JAX
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", HOUSE_AGENTS)
def test_an_agent_of_the_house_stands_on_stocks_or_on_a_book(name):
    notes = []
    for kind in ("stocks", "families", "books"):
        run = shared_run(kind)
        row = score_agent(run, name, short(resolve_agent(name, run.venue.task.learning)[1]))
        assert "finding" not in row.hunt, row.note
        if row.stands:
            stands(row, HOUSE)
            return
        notes.append(row.note)
    raise AssertionError(notes)


@pytest.mark.slow
@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_of_the_house_stands_on_the_data_that_it_is_made_for(name):
    feature = find("features", name)
    for panel in (venue("stocks").panel, load(BOOK)):
        try:
            cut = feature.warmup + (len(panel) - feature.warmup) // 2
            assert find_leak(feature, panel, [cut, cut + 9]) is None
        except MissingDataError:  # the other kind of data has what it reads
            continue
        return
    raise AssertionError("neither has what it reads")


def test_at_least_forty_honest_agents_and_features_are_tried():
    random = [name for name in HOUSE_AGENTS if name == "random"]
    assert {"OwnSeed", "ModuleSeed", "Seeded", "Dropout", "Memory", "Noise", "Scaled"} < {
        *RULES,
        *WITH_JAX,
    }
    assert len({*RULES, *IN_BOOKS, *WITH_JAX, *HOUSE_AGENTS, *random}) >= 40
