"""Every kind of reader of the future ends as the table of docs/concepts/no-look-ahead.md says."""

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import honest
import jax_readers
import numpy as np
import pytest
import readers

from steelyard import registry
from steelyard.benchmark import open_venue
from steelyard.benchmark.rewards import REWARDS
from steelyard.benchmark.rows import Run, score_agent
from steelyard.data import load
from steelyard.envs.rewards import ValueChange
from steelyard.types import Feature
from tasks_for_tests import planted

NOTHING, FOUND, OPEN, REFUSED = "nothing to read", "found", "not isolated", "refused"


@dataclass(frozen=True)
class Kind:
    """A kind of reader: how it is made, what becomes of it, what its row names."""

    what: str
    make: object
    outcome: str
    named: str = ""
    slow: bool = False


def future():
    """Closing prices behind the first decision of the test."""
    panel = load(planted().data)
    return panel["close"][panel.span("2002-10-01", "2002-12-31")[0] :]


def with_feature(function, **facts):
    """A task whose learners see a feature of somebody's own."""
    registry.register("features", "mine", Feature("mine", function, **facts), summary="planted")
    return planted(features=("return_1", "mine"))


def next_row(values):
    return np.vstack([values[1:], values[-1:]])


def centred(panel):
    close, made = panel["close"], np.full(panel["close"].shape, np.nan)
    made[2:-2] = (close[:-4] + close[2:-2] + close[4:]) / 3
    return made


def filled_backwards(panel):
    close = panel["close"].copy()
    close[::7] = np.nan
    for row in range(len(close) - 2, -1, -1):
        close[row] = np.where(np.isnan(close[row]), close[row + 1], close[row])
    return close


def with_holdings(values):
    def closed(panel):
        made = np.zeros(panel["close"].shape)
        rows = min(len(made), len(values))
        made[:rows] = values[:rows]
        return made

    return closed


FEATURES = {
    "a feature shifted by -1": (lambda p: next_row(p["close"]), {}),
    "a centred window": (centred, {"warmup": 2}),
    "a scale of the whole sample": (lambda p: p["close"] / np.nanstd(p["close"], axis=0), {}),
    "a gap filled from behind": (filled_backwards, {}),
    "the mean of the next row, for the market": (
        lambda p: next_row(p["close"]).mean(axis=1),
        {"scope": "market"},
    ),
    "a rank of the next row": (
        lambda p: next_row(p["close"]).argsort(axis=1).argsort(axis=1).astype(float),
        {"scope": "cross_section"},
    ),
    "the number of rows to come": (
        lambda p: np.tile((len(p) - np.arange(len(p)))[:, None] * 1.0, (1, len(p.assets))),
        {},
    ),
    "the last close of the data": (lambda p: p["close"] / p["close"][-1], {}),
    "a feature that closes over prices": (with_holdings(load(planted().data)["close"]), {}),
}

RULES = [
    Kind("behind the end of its arrays", readers.BehindTheView, NOTHING),
    Kind("frames of whoever asks", readers.UpTheStack, NOTHING),
    Kind("all objects of the process", readers.ThroughTheHeap, NOTHING),
    Kind("a global filled in an earlier pass", readers.FromAnEarlierPass, NOTHING),
    Kind("a thread that outlives the pass", readers.ByAThread, NOTHING),
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
    Kind("an environment variable", readers.ByTheEnvironment, FOUND, "2002-10-01"),
    Kind("the time of day", readers.ByTheClock, FOUND, "2002-10-01"),
    Kind("the home folder", readers.ByTheHome, FOUND, "2002-10-01"),
    Kind("the working folder", readers.ByTheFolder, FOUND, "2002-10-01"),
    Kind("chance without a seed", readers.ByChance, FOUND, "2002-10-01"),
    Kind("a file that an earlier pass wrote", readers.ByANote, FOUND, "2002-10"),
    Kind("a bundled file by its path", readers.ByTheBundledFile, OPEN, "us_vix_daily"),
    Kind("the library's own data", readers.ByLoading, OPEN, "us_vix_daily"),
    Kind("a library that opens files itself", readers.ByALibrary, OPEN, "us_vix_daily"),
    Kind("the bundle of an earlier run", readers.ByABundle, OPEN, "equity.parquet"),
    Kind("a socket", readers.ByASocket, OPEN, "127.0.0.1:9"),
    Kind("another program", readers.ByAProcess, OPEN, "process"),
    Kind("an object that cannot be sent", readers.Unsendable, OPEN, "in this process"),
]

LEARNERS = [
    Kind("training prices", jax_readers.TrainingPrices, NOTHING),
    Kind("the row behind the last one", jax_readers.LastRow, NOTHING),
    Kind("the fill behind the last one", jax_readers.NextOpen, NOTHING),
    Kind("the scale of all rows", jax_readers.Scale, NOTHING),
    Kind("the calendar of the test", jax_readers.Calendar, NOTHING),
    Kind("the test by its shape", jax_readers.ByShape, NOTHING),
    Kind("a market kept in a global", jax_readers.FromTraining, NOTHING),
    Kind("nothing that a run needs", jax_readers.WithoutInit, REFUSED, "def init"),
]


def named(kind):
    return kind.what


@pytest.fixture(scope="module")
def run():
    os.environ["ORACLE"] = "x" * 40
    place = Path(tempfile.gettempdir()) / "steelyard-reader-bundle"
    place.mkdir(exist_ok=True)
    (place / "equity.parquet").write_bytes(b"0123456789")
    note = Path(tempfile.gettempdir()) / "steelyard-reader-note"
    note.unlink(missing_ok=True)
    yield Run(open_venue(planted()), (0,))
    del os.environ["ORACLE"]
    note.unlink(missing_ok=True)


def ends_as(kind, row):
    """Demand what the table says of a row."""
    finding = row.hunt.get("finding", {})
    if kind.outcome == FOUND:
        assert not row.stands, row
        assert row.windows == []
        assert finding["asset"], finding
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


@pytest.mark.parametrize(
    "kind",
    [pytest.param(one, marks=pytest.mark.slow if one.slow else ()) for one in RULES],
    ids=named,
)
def test_a_rule_that_reads(kind, run):
    ends_as(kind, score_agent(run, "mine", kind.make()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", LEARNERS, ids=named)
def test_a_learner_that_reads(kind, run):
    ends_as(kind, score_agent(run, "mine", kind.make()))


@pytest.mark.parametrize("what", FEATURES)
def test_a_feature_that_reads(what):
    function, facts = FEATURES[what]
    try:
        task = with_feature(function, **{"unit": "level", "warmup": 0, **facts})
        row = score_agent(Run(open_venue(task), (0,)), "mine", honest.Features())
    finally:
        del registry._members["features"]["mine"]
    ends_as(Kind(what, None, FOUND if facts.get("scope") != "market" else "market"), row) if (
        facts.get("scope") != "market"
    ) else _of_the_market(row)


def _of_the_market(row):
    """A series of the market has no asset."""
    assert not row.stands
    assert row.hunt["finding"]["date"] in row.note
    assert "`mine`" in row.note


def test_agents_that_see_no_features_stand_beside_a_feature_that_reads():
    try:
        task = with_feature(lambda p: next_row(p["close"]), unit="level", warmup=0)
        row = score_agent(Run(open_venue(task), (0,)), "cash", _cash())
    finally:
        del registry._members["features"]["mine"]
    assert row.stands


def _cash():
    from steelyard.agents.classic import HoldCash

    return HoldCash()


class Peeking(ValueChange):
    """A reward that closes over prices of the test."""

    table: object = None

    def __call__(self, memory, before, after):
        return super().__call__(memory, before, after)


def test_a_reward_that_closes_over_prices_is_found(monkeypatch):
    prices = future()
    monkeypatch.setitem(REWARDS, "peeking", lambda: Peeking(1.0, prices))
    task = planted(rules=replace(planted().rules, reward="peeking"))
    row = score_agent(Run(open_venue(task), (0,)), "mine", honest.Features())
    assert not row.stands
    assert "peeking" in row.note
    assert row.hunt["finding"]["asset"] == "S00"


def test_at_least_twenty_kinds_are_tried_and_twelve_are_found():
    kinds = [*RULES, *LEARNERS]
    found = sum(one.outcome == FOUND for one in kinds) + len(FEATURES) + 1
    assert len(kinds) + len(FEATURES) + 1 >= 40
    assert found >= 12
