"""Every kind of reader of the future ends as the table of docs/concepts/no-look-ahead.md says."""

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import honest
import input_readers
import jax_readers
import numpy as np
import pytest
import readers
from input_readers import with_holdings
from places import shared_run

from other_rows import book, stocks
from steelyard import registry
from steelyard.benchmark import open_venue
from steelyard.benchmark.rewards import REWARDS
from steelyard.benchmark.rows import Run, score_agent
from steelyard.benchmark.search_ground import Tell, open_ground, try_all
from steelyard.benchmark.task import FactorFile
from steelyard.data import load
from steelyard.errors import ConfigError
from steelyard.factors.artefact import FORMAT, Artefact, row_marks, save
from steelyard.types import Feature
from tasks_for_tests import planted

NOTHING, FOUND, OPEN, REFUSED = "nothing to read", "found", "not isolated", "refused"


@dataclass(frozen=True)
class Kind:
    """A kind of reader: how it is made, what becomes of it, what its row names, where it acts.

    One of those that are found, or not, in the same way is fast; the others are slow.
    """

    what: str
    make: object
    outcome: str
    named: str = ""
    slow: bool = False
    place: str = "stocks"


def future():
    """Closing prices behind the first decision of the test."""
    panel = load(planted().data)
    return panel["close"][panel.span("2002-10-01", "2002-12-31")[0] :]


def by_day():
    """The closes of one asset, each under its day."""
    return dict(enumerate(future()[:, 4].tolist()))


def as_text():
    return "\n".join(map(str, future()[:, 5].tolist()))


def with_feature(function, **facts):
    """A small task whose learners see a feature of somebody's own."""
    registry.register("features", "mine", Feature("mine", function, **facts), summary="planted")
    return planted(assets=3, features=("return_1", "mine"))


def held_prices():
    """A feature that closes over prices; made when it is needed, lest this module hold it."""
    return with_holdings(load(planted(assets=3).data)["close"]), {}


FEATURES = {
    **{what: (lambda made=made: made) for what, made in input_readers.FEATURES.items()},
    "a feature that closes over prices": held_prices,
}

RULES = [
    Kind("behind the end of its arrays", readers.BehindTheView, NOTHING),
    Kind("frames of whoever asks", readers.UpTheStack, NOTHING, slow=True),
    Kind("all objects of the process", readers.ThroughTheHeap, NOTHING, slow=True),
    Kind("a global filled in an earlier pass", readers.FromAnEarlierPass, NOTHING, slow=True),
    Kind("a thread that outlives the pass", readers.ByAThread, NOTHING, slow=True),
    Kind("the market it is prepared on", readers.PreparedOnTheWindow, NOTHING, slow=True),
    Kind("bind", jax_readers.Bound, REFUSED, "steelyard.past.Past", slow=True),
    Kind("a call of prices", readers.AskingForPrices, REFUSED, "steelyard.past.Past", slow=True),
    Kind("a closure over prices", lambda: readers.holding(future()), FOUND, "S00"),
    Kind("an array as an attribute", lambda: readers.Carrying(future()), FOUND, "2002-10-02"),
    Kind(
        "the same in float32, of one asset, backwards",
        lambda: readers.Carrying(future()[20::-1, 3].astype(np.float32)),
        FOUND,
        "S03",
    ),
    Kind(
        "a list of returns",
        lambda: readers.Carrying((future()[1:, 2] / future()[:-1, 2] - 1).tolist()),
        FOUND,
        "S02",
    ),
    Kind("prices by their day", lambda: readers.Carrying(by_day()), FOUND, "S04"),
    Kind("a text of prices", lambda: readers.Carrying(as_text()), FOUND, "S05"),
    Kind("an environment variable", readers.ByTheEnvironment, FOUND, "2002-10-01"),
    Kind("the time of day", readers.ByTheClock, FOUND, "2002-10-01", slow=True),
    Kind("the home folder", readers.ByTheHome, FOUND, "2002-10-01", slow=True),
    Kind("the working folder", readers.ByTheFolder, FOUND, "2002-10-01", slow=True),
    Kind("chance without a seed", readers.ByChance, FOUND, "2002-10-01", slow=True),
    Kind("a file that an earlier pass wrote", readers.ByANote, FOUND, "2002-10", slow=True),
    Kind("a bundled file by its path", readers.ByTheBundledFile, OPEN, "us_vix_daily"),
    Kind("the library's own data", readers.ByLoading, OPEN, "us_vix_daily", slow=True),
    Kind("a library that opens files itself", readers.ByALibrary, OPEN, "us_vix_daily", slow=True),
    Kind("the bundle of an earlier run", readers.ByABundle, OPEN, "equity.parquet", slow=True),
    Kind("a socket", readers.ByASocket, OPEN, "127.0.0.1:9", slow=True),
    Kind("another program", readers.ByAProcess, OPEN, "process", slow=True),
    Kind("an object that cannot be sent", readers.Unsendable, OPEN, "in this process"),
    Kind("behind the end of a book", readers.BehindABook, NOTHING, place="books"),
]

LEARNERS = [
    Kind("training prices", jax_readers.TrainingPrices, NOTHING),
    Kind("the row behind the last one", jax_readers.LastRow, NOTHING),
    Kind("the fill behind the last one", jax_readers.NextOpen, NOTHING),
    Kind("the scale of all rows", jax_readers.Scale, NOTHING),
    Kind("the calendar of the test", jax_readers.Calendar, NOTHING),
    Kind("the test by its shape", jax_readers.ByShape, NOTHING),
    Kind("a market kept in a global", jax_readers.FromTraining, NOTHING),
    Kind("the last mid of a book", jax_readers.LastMid, NOTHING, place="books"),
    Kind("the last prices of a rolling window", jax_readers.TrainingPrices, NOTHING, place="rolls"),
    Kind("the row behind a rolling window", jax_readers.LastRow, NOTHING, place="rolls"),
    Kind("chance without a seed", jax_readers.ByChance, FOUND, "2002-06-28"),
    Kind("nothing that a run needs", jax_readers.WithoutInit, REFUSED, "def init"),
]


def named(kind):
    return kind.what


@pytest.fixture(scope="module", autouse=True)
def _things_to_read():
    """What readers look for outside of the run."""
    os.environ["ORACLE"] = "x" * 40
    place = Path(tempfile.gettempdir()) / "steelyard-reader-bundle"
    place.mkdir(exist_ok=True)
    (place / "equity.parquet").write_bytes(b"0123456789")
    note = Path(tempfile.gettempdir()) / "steelyard-reader-note"
    note.unlink(missing_ok=True)
    yield
    del os.environ["ORACLE"]
    note.unlink(missing_ok=True)


def ends_as(kind, row, *, of_one=True):
    """Demand what the table says of a row.

    Args:
        of_one: whether it is about one asset; a series of the market, and what is learned, is not.
    """
    finding = row.hunt.get("finding", {})
    if kind.outcome == FOUND:
        assert not row.stands, row
        assert row.windows == []
        assert bool(finding["asset"]) == (of_one and row.kind != "learned"), finding
        assert finding["date"] in row.note
        assert kind.named in row.note
    elif kind.outcome == REFUSED:
        assert not row.stands
        assert not finding
        assert kind.named in row.note
        assert "\n" not in row.note
    elif kind.outcome == OPEN:
        assert row.stands, row.note
        assert "not isolated" in row.isolation
        assert kind.named in row.isolation
    else:
        assert row.stands, row.note
        assert row.isolation == "own process"
        assert row.hunt["cuts"] == 8
        assert row.hunt["opened"] == []


@pytest.mark.parametrize(
    "kind",
    [pytest.param(one, marks=pytest.mark.slow if one.slow else ()) for one in RULES],
    ids=named,
)
def test_a_rule_that_reads(kind):
    ends_as(kind, score_agent(shared_run(kind.place), "mine", kind.make()))


@pytest.mark.parametrize(
    "kind",
    [pytest.param(one, marks=pytest.mark.slow if n else ()) for n, one in enumerate(LEARNERS)],
    ids=named,
)
def test_a_learner_that_reads(kind):
    ends_as(kind, score_agent(shared_run(kind.place), "mine", kind.make()))


@pytest.mark.parametrize("what", FEATURES)
def test_a_feature_that_reads(what):
    function, facts = FEATURES[what]()
    try:
        task = with_feature(function, **{"unit": "level", "warmup": 0, **facts})
        row = score_agent(Run(open_venue(task), (0,)), "mine", honest.Features())
    finally:
        del registry._members["features"]["mine"]
    ends_as(Kind(what, None, FOUND, "`mine`"), row, of_one=facts.get("scope") != "market")


def test_agents_that_see_no_features_stand_beside_a_feature_that_reads():
    try:
        task = with_feature(input_readers.tomorrow, unit="level", warmup=0)
        row = score_agent(Run(open_venue(task), (0,)), "cash", _cash())
    finally:
        del registry._members["features"]["mine"]
    assert row.stands


def _cash():
    from steelyard.agents.classic import HoldCash

    return HoldCash()


def test_a_reward_that_closes_over_prices_is_found(monkeypatch):
    prices = future()
    monkeypatch.setitem(REWARDS, "peeking", lambda: input_readers.Peeking(1.0, prices))
    task = planted(rules=replace(planted().rules, reward="peeking"))
    row = score_agent(Run(open_venue(task), (0,)), "mine", honest.Features())
    assert not row.stands
    assert "peeking" in row.note
    assert row.hunt["finding"]["asset"] == "S00"


def test_a_trial_of_a_tuner_that_reads_the_last_row_sees_training_rows_only():
    """What the kinds of learners read in a run, they read in every trial of `steelyard tune`."""
    task, panel = stocks(windows=())
    exam = []
    ground = open_ground(task, panel, (0, 1), "sharpe_ratio", 2)
    heard = replace(ground, exam=SimpleNamespace(trial=lambda *what: exam.append(what)))
    try_all(heard, jax_readers.TrainingPrices(), {}, [{}], Tell())
    close = panel["close"].astype(np.float32)
    last = panel.span(task.train.start, task.train.end)[1]
    ((_, policies),) = exam
    for policy in policies:
        np.testing.assert_allclose(policy.lean, np.log(close[last] / close[0]), rtol=1e-5)
    behind = np.log(close[last + 1] / close[0])
    assert not np.isclose(policies[0].lean, behind, rtol=1e-5).any()  # those are other numbers


def test_factors_that_were_fitted_on_all_rows_are_refused_before_anybody_learns(tmp_path):
    task, panel = book()
    clock = panel.timestamps.astype("datetime64[ns]")
    facts = {
        "panel": {
            "fields": sorted(panel.fields),
            "assets": list(panel.assets),
            "name": panel.name,
            "digest": panel.digest(),
        },
        "train": [str(clock[0]), str(clock[-1])],
        "validate": [str(clock[-1]), str(clock[-1])],
        "seen_until": str(clock[-1]),
        "settings": {"warmup": 0},
        "format": FORMAT,
    }
    values = np.zeros((len(panel), 1), np.float32)
    made = save(Artefact(clock, values, row_marks(panel), (), facts), tmp_path / "all")
    with pytest.raises(ConfigError, match="cannot train an agent on 331 of 331 rows") as error:
        open_venue(replace(task, factors=FactorFile(str(tmp_path / "all"), made.sha256)), panel)
    assert "the factors of BTC were fitted on" in error.value.message
    assert error.value.hint


def test_every_kind_of_the_table_is_another_one_and_most_are_found_or_have_nothing_to_read():
    kinds = [*RULES, *LEARNERS]
    assert len({(kind.what, kind.make) for kind in kinds}) == len(kinds)
    outcomes = [kind.outcome for kind in kinds] + [FOUND] * (len(FEATURES) + 1)
    assert set(outcomes) == {NOTHING, FOUND, OPEN, REFUSED}
    assert len(outcomes) >= 50
    assert outcomes.count(FOUND) >= 20
    assert outcomes.count(NOTHING) >= 15
