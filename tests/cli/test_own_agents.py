"""`steelyard run` with agents of somebody's own that fail, leak and are honest."""

import json
from pathlib import Path
from typing import Any

import pytest

from steelyard import registry
from steelyard.benchmark.strangers import OWN, TRUSTED, Stranger
from steelyard.cli import main
from tasks_for_tests import QUICK, planted

MINE = """
import os
import time

import numpy as np


class Rule:
    learns = False


class Honest(Rule):
    def decide(self, past):
        return 0.05 * np.sign(past["close"][-1] - past["close"][0])


class Fails(Rule):
    def decide(self, past):
        if past.step == 2:
            raise ValueError("no more ideas")
        return np.zeros(past.actions.shape)


class Leaks(Rule):
    def decide(self, past):
        return np.full(past.actions.shape, len(os.environ.get("ORACLE", "")) / 100)


class Opens(Rule):
    def decide(self, past):
        with open(__file__.replace("mine.py", "prices.csv")) as file:
            return np.full(past.actions.shape, len(file.read()) / 100)


class Waits(Rule):
    def decide(self, past):
        time.sleep(3_600 if past.step == 1 else 0)
        return np.zeros(past.actions.shape)
"""


@pytest.fixture(autouse=True)
def _small_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    registry.register(
        "tasks", "planted", planted(assets=5, agents=("buy_and_hold",)), summary="planted"
    )
    registry.register("agents", "quick", lambda: QUICK, summary="a small ppo")
    monkeypatch.setenv("ORACLE", "x" * 30)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "prices.csv").write_text("1.0\n" * 5)
    yield
    del registry._members["tasks"]["planted"], registry._members["agents"]["quick"]


def mine(folder: Path, *names: str) -> list[str]:
    return [f"{folder / 'mine.py'}:{name}" for name in names]


def run(
    capsys: pytest.CaptureFixture[str], place: Path, *words: str, code: int
) -> tuple[dict[str, Any], str]:
    """The JSON document, and what was said beside it."""
    assert main(["run", "planted", *words, "--out", str(place), "--json"]) == code
    told = capsys.readouterr()
    return json.loads(told.out), told.err


def verified(capsys: pytest.CaptureFixture[str], place: Path) -> dict[str, Any]:
    assert main(["verify", str(place), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_rows_of_others_stand_beside_agents_that_fail_and_leak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, words = tmp_path / "b", mine(tmp_path, "Fails", "Leaks", "Honest")
    found, said = run(capsys, place, *words, "hold_cash", code=1)
    rows = found["rows"]
    assert [row["agent"] for row in rows] == ["Fails", "Leaks", "Honest", "hold_cash"]
    fails, leaks, honest, cash = rows
    for row in (fails, leaks):
        assert {"agent", "kind", "seeds", "note", "isolation", "windows"} <= set(row)
        assert (row["kind"], row["seeds"], row["windows"]) == ("classic", [], [])
        assert row["isolation"] == OWN
        assert f"{row['agent']} is not scored: {row['note']}" in said
    assert fails["note"].startswith("raised ValueError: no more ideas (mine.py:")
    assert fails["note"].endswith("at decision 3 of 65 (2002-10-03)")
    assert leaks["note"].startswith("acts on S00 at 2002-10-01 by something it was not told")
    assert leaks["hunt"]["finding"] == {
        "asset": "S00",
        "date": "2002-10-01",
        "text": leaks["note"],
    }
    assert (honest["note"], honest["isolation"]) == ("", OWN)
    assert honest["hunt"]["cuts"] == 8
    assert cash["isolation"] == "house"
    kept = json.loads((place / "score.json").read_text())["rows"]
    assert [row["isolation"] for row in kept] == [OWN, OWN, OWN, "house"]
    assert "Fails was not scored" in (place / "report.html").read_text()
    checked = verified(capsys, place)
    assert checked["holds"] is True
    assert checked["curves"] == 2

    # what stands is not asked again, and says how it ran then
    asked, ask = [], Stranger.ask

    def counted(stranger: Stranger, *how: Any) -> Any:
        asked.append(stranger._name)
        return ask(stranger, *how)

    monkeypatch.setattr(Stranger, "ask", counted)
    again, _ = run(capsys, place, *words, "hold_cash", "--resume", code=1)
    assert asked == ["Fails", "Leaks"]
    assert again["rows"][2] == honest
    assert [row["note"] for row in again["rows"]] == [row["note"] for row in rows]


def test_what_is_trusted_says_so_everywhere_and_is_not_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, words = tmp_path / "b", mine(tmp_path, "Fails", "Leaks", "Opens")
    assert main(["run", "planted", *words, "hold_cash", "--trust", "--out", str(place)]) == 1
    table = " ".join(capsys.readouterr().out.split())
    fails, leaks, opens, cash = json.loads((place / "score.json").read_text())["rows"]
    assert fails["windows"] == []
    assert fails["note"].startswith("raised ValueError: no more ideas")
    assert [row["isolation"] for row in (fails, leaks, cash)] == [TRUSTED] * 3
    assert opens["isolation"] == (
        f"{TRUSTED}; own process, not isolated: opened file {tmp_path.name}/prices.csv"
    )
    assert len(leaks["windows"]) == 1  # nobody looked
    assert [row["hunt"] for row in (fails, leaks, opens, cash)] == [{}] * 4
    report = (place / "report.html").read_text()
    for agent in ("Leaks", "Opens", "hold_cash"):
        assert f"{agent}: {TRUSTED}" in table
    for text in (table, report):
        assert TRUSTED in text
        assert "Fails was not scored: raised ValueError: no more ideas" in text
    assert verified(capsys, place)["holds"] is True


def test_an_agent_that_never_answers_is_given_up_after_the_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*mine(tmp_path, "Waits"), "hold_cash", "--limit", "0.5", "--trust"]
    found, _ = run(capsys, tmp_path / "b", *words, code=1)
    waits, cash = found["rows"]
    assert "did not answer within 0.5 s, at decision 2 of 65 (2002-10-02)" in waits["note"]
    assert "--limit SECONDS" in waits["note"]
    assert waits["windows"] == []
    assert cash["windows"]


def test_what_an_agent_opens_is_named_on_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, _ = run(capsys, tmp_path / "b", *mine(tmp_path, "Opens"), code=0)
    (row,) = found["rows"]
    named = f"file {tmp_path.name}/prices.csv"
    assert row["isolation"] == f"own process, not isolated: opened {named}"
    assert row["hunt"]["opened"] == [named]


def test_an_agent_that_cannot_keep_its_settings_is_a_row_whose_hint_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five names cannot keep a cap of 5 %; what others have learned is kept for the next run."""
    place = tmp_path / "b"
    words = ["mean_variance", "quick", "--seeds", "1", "--steps", "512"]
    found, _ = run(capsys, place, *words, code=1)
    row, learned = found["rows"]
    assert row["windows"] == []
    assert "under a cap of 0.05 their weights cannot add up to 1" in row["note"]
    assert learned["windows"]
    assert len(list((tmp_path / ".b.trainings").iterdir())) == 1
    before, _, hint = row["note"].partition(" (")
    assert before
    again, said = run(capsys, place, *words, *hint.rstrip(")").split(), "--resume", code=0)
    assert all(one["windows"] for one in again["rows"])
    assert "train quick" not in said
    assert not (tmp_path / ".b.trainings").exists()


@pytest.mark.parametrize("words", [["--limit", "0"], ["--limit", "-1"], ["--seeds", "0"]])
def test_numbers_that_cannot_be_meant_are_refused_before_anything_is_loaded(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, _ = run(capsys, tmp_path / "b", "hold_cash", *words, code=2)
    assert words[0] in found["error"]
    assert words[0] in found["hint"]
    assert not (tmp_path / "b").exists()
