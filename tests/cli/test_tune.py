"""From a search on the command line to a run with what it found."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import pytest

from steelyard import registry
from steelyard.agents.classic import HoldCash
from steelyard.benchmark import search as searching
from steelyard.cli import main
from steelyard.evaluation.results import Estimate
from steelyard.evaluation.trials import Moments, Trial
from tasks_for_tests import QUICK, planted


class Idle(HoldCash):
    """Has settings, and does nothing with them."""

    patience: float = 1.0
    hidden: tuple[int, ...] = eqx.field(static=True, default=(64, 32))


@pytest.fixture(autouse=True)
def _small_rooms() -> Iterator[None]:
    registry.register("tasks", "planted", planted(assets=3, agents=("idle",)), summary="planted")
    registry.register("tasks", "unvalidated", planted(assets=3, validate=None), summary="planted")
    registry.register("agents", "quick", lambda: QUICK, summary="a small ppo")
    registry.register("agents", "idle", Idle, summary="idle")
    yield
    for room, name in [("tasks", "planted"), ("tasks", "unvalidated"), ("agents", "quick")]:
        del registry._members[room][name]
    del registry._members["agents"]["idle"]


@pytest.fixture
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials without training: worth their clip."""

    def try_all(
        ground: Any, agent: Any, space: Any, proposed: Sequence[Mapping[str, Any]], tell: Any
    ) -> list[Trial]:
        tell.progress("train", 1, 1)
        return [
            Trial(one, Estimate(one["clip"], 0.0, 1.0), Moments(one["clip"] / 16, 0.0, 3.0, 60))
            for one in proposed
        ]

    monkeypatch.setattr(searching, "try_all", try_all)


def document(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("_fake")
def test_a_search_prints_its_trials_and_writes_the_best_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tune", "planted", "quick", "--search", "clip", "--set", "discount=0.5"]
    words += ["--steps", "512", "--seeds", "2", "--out", str(tmp_path / "a")]
    found = document(capsys, *words, "--trials", "3")
    assert [row["trial"] for row in found["trials"]] == [1, 2, 3]
    assert found["space"] == {"clip": "0.1:0.4"}
    best = json.loads((tmp_path / "a" / "best.json").read_text())
    assert found["best"] == best | {"trial": found["best"]["trial"]}
    assert best["value"] == best["settings"]["clip"] == max(r["value"] for r in found["trials"])
    assert (best["settings"]["discount"], best["settings"]["steps"]) == (0.5, 512)
    assert best["as_given"]["value"] == QUICK.clip
    assert Path(found["report"]).read_text().startswith("<!doctype html>")
    assert main([*words, "--trials", "5"]) == 0  # goes on, for people this time
    told = capsys.readouterr()
    assert "The best of 5 trials has a Sharpe ratio of" in told.out
    assert "steelyard run planted quick --settings" in told.err


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["unvalidated", "quick"], "no validation period", "steelyard tasks"),
        (["planted", "pppo"], "no agent named `pppo`", "ppo"),
        (["planted", "idle"], "`idle` does not learn", "steelyard tune planted ppo"),
        (["planted", "quick", "--metric", "sharp_ratio"], "no metric", "sharpe_ratio"),
        (["planted", "quick", "--trials", "0"], "at least one trial", "--trials 50"),
        (["planted", "quick", "--seeds", "0"], "at least one trial", "--seeds 3"),
        (["planted", "quick", "--steps", "0"], "--steps", "--steps"),
        (["planted", "quick", "--search", "clip=1:0"], "no range", "--search"),
        (["planted", "quick", "--search", "clp"], "no setting named `clp`", "clip"),
        (["planted", "quick", "--set", "clip"], "not NAME=VALUE", "--set"),
        (["planted", "quick", "--set", "clip=1", "--search", "clip"], "set and searched", "--set"),
        (["planted", "quick", "--search", "minibatch=3,5"], "must divide envs * horizon", "narrow"),
        (["planted", "quick", "--out", "taken"], "no part of a search", "--out"),
        (["planted"], "agent", "steelyard tune --help"),
    ],
)
def test_a_wrong_search_gets_one_line_a_hint_and_exit_code_2(
    words: list[str],
    error: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "score.json").write_text("{}")
    found = document(capsys, "tune", *words, code=2)
    assert error in found["error"]
    assert hint in found["hint"]


def test_a_run_takes_settings_from_a_file_and_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = tmp_path / "best.json"
    best.write_text(json.dumps({"agent": "idle", "settings": {"patience": 3.0, "hidden": [8]}}))
    place = tmp_path / "bundle"
    words = ["run", "planted", "idle", "--settings", str(best), "--set", "idle.patience=2"]
    document(capsys, *words, "--out", str(place))
    [row] = json.loads((place / "config.json").read_text())["agents"]
    assert (row["settings"]["patience"], row["settings"]["hidden"]) == (2.0, [8])


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["--set", "patience=2"], "does not say of which agent", "--set ppo.patience=2"),
        (["--set", "ppo.clip=2"], "settings for `ppo`, which does not run", "idle"),
        (["--set", "idle.patienc=2"], "no setting named `patienc`", "patience"),
        (["--set", "idle.patience=long"], "takes a number, not `long`", "patience=1.0"),
        (["--settings", "none.json"], "none.json", "best.json"),
        (["--settings", "text.json"], "is not JSON", "learning_rate"),
        (["--settings", "list.json"], "names no agent", "learning_rate"),
    ],
)
def test_wrong_settings_of_a_run_are_refused(
    words: list[str],
    error: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.json").write_text("learning_rate: 1")
    (tmp_path / "list.json").write_text("[1]")
    found = document(capsys, "run", "planted", "idle", *words, code=2)
    assert error in found["error"]
    assert hint in found["hint"]


@pytest.mark.slow
def test_what_a_search_found_can_be_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "search"
    words = ["--trials", "3", "--seeds", "1", "--steps", "512", "--out", str(place)]
    found = document(capsys, "tune", "planted", "quick", *words)
    assert list(found["space"]) == list(found["best"]["searched"])
    words = ["--settings", str(place / "best.json"), "--seeds", "1", "--validate"]
    run = document(capsys, "run", "planted", "quick", *words, "--out", str(tmp_path / "run"))
    [row] = json.loads((tmp_path / "run" / "config.json").read_text())["agents"]
    assert {name: row["settings"][name] for name in found["best"]["searched"]} == pytest.approx(
        found["best"]["searched"]
    )
    again = run["rows"][0]["windows"][0]["metrics"]["sharpe_ratio"]["value"]
    assert again == pytest.approx(found["best"]["value"], abs=1e-3)
