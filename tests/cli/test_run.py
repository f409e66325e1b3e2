"""One run from data to report, and what may go wrong on the way."""

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steelyard import registry
from steelyard.cli import main
from steelyard.evaluation import training
from steelyard.metrics import metric_card
from tasks_for_tests import QUICK, planted


@pytest.fixture(autouse=True)
def _small_task() -> Any:
    task = planted(
        assets=3, windows=(*planted().windows, planted().validate), agents=("buy_and_hold",)
    )
    registry.register("tasks", "planted", task, summary="planted")
    registry.register("agents", "quick", lambda: QUICK, summary="a small ppo")
    yield
    del registry._members["tasks"]["planted"], registry._members["agents"]["quick"]


def run(capsys: pytest.CaptureFixture[str], place: Path, *words: str) -> dict[str, Any]:
    assert main(["run", "planted", *words, "--out", str(place), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_a_run_writes_a_bundle_that_verifies_bit_for_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "bundle"
    found = run(capsys, place, "quick", "buy_and_hold", "--seeds", "2", "--steps", "1024")
    assert set(found) >= {"task", "fingerprint", "rows", "bundle", "report", "seconds"}
    assert [(r["agent"], r["seeds"]) for r in found["rows"]] == [
        ("quick", [0, 1]),
        ("buy_and_hold", [0]),
    ]
    window = found["rows"][0]["windows"][0]
    assert (window["name"], window["start"], window["end"]) == ("test", "2002-10-01", "2002-12-31")
    assert set(window["metrics"]) == set(registry.members("metrics"))
    assert all(metric_card(name) for name in window["metrics"])
    assert set(window["metrics"]["romad"]) == {"value", "low", "high"}
    assert Path(found["report"]).read_text().startswith("<!doctype html>")
    assert main(["verify", str(place), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["holds"] is True
    assert checked["curves"] == 6
    assert checked["metrics"] == 4 * len(window["metrics"])


def test_a_number_changed_in_the_bundle_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "bundle"
    run(capsys, place, "buy_and_hold")
    score = json.loads((place / "score.json").read_text())
    score["rows"][0]["windows"][0]["metrics"]["romad"]["value"] += 0.01
    text = json.dumps(score)
    (place / "score.json").write_text(text)
    assert main(["verify", str(place)]) == 2  # the manifest no longer fits
    assert "score.json" in capsys.readouterr().err
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"]["score.json"] = hashlib.sha256(text.encode()).hexdigest()
    (place / "manifest.json").write_text(json.dumps(manifest))
    assert main(["verify", str(place), "--json"]) == 1  # the forged number does not come out
    assert json.loads(capsys.readouterr().out)["wrong"] == ["buy_and_hold/test/romad"]


def test_a_bundle_whose_card_is_no_task_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "bundle"
    run(capsys, place, "buy_and_hold")
    config = json.loads((place / "config.json").read_text())
    del config["card"]["windows"]
    text = json.dumps(config)
    (place / "config.json").write_text(text)
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"]["config.json"] = hashlib.sha256(text.encode()).hexdigest()
    (place / "manifest.json").write_text(json.dumps(manifest))
    assert main(["verify", str(place)]) == 2
    assert "task card cannot be read" in capsys.readouterr().err


def test_a_full_disk_leaves_the_earlier_bundle_and_nothing_half_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "bundle"
    before = run(capsys, place, "buy_and_hold")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["run", "planted", "hold_cash", "--out", str(place)]) == 2
    told = capsys.readouterr().err
    assert "error: " in told
    assert "hint: " in told
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]
    assert json.loads((place / "score.json").read_text())["fingerprint"] == before["fingerprint"]


def test_ctrl_c_keeps_what_is_finished_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = training.advance
    calls: list[int] = []

    def stop(*words: Any) -> Any:
        calls.append(1)
        if len(calls) == 2 + 3:  # the search for leaks trains twice
            raise KeyboardInterrupt
        return advance(*words)

    monkeypatch.setattr(training, "advance", stop)
    words = ("buy_and_hold", "quick", "random", "ppo", "--seeds", "2", "--steps", "1024")
    found = run(capsys, tmp_path / "b", *words)
    assert [row["agent"] for row in found["rows"]] == ["buy_and_hold", "quick", "random"]
    assert found["notes"] == ["quick stopped after 2 of 4 updates; not run are ppo"]


def test_ctrl_c_in_the_search_for_leaks_keeps_who_does_not_learn_and_scores_nobody_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "advance", stop)
    words = ("quick", "buy_and_hold", "ppo", "hold_cash", "--seeds", "1", "--steps", "1024")
    found = run(capsys, tmp_path / "b", *words)
    assert [row["agent"] for row in found["rows"]] == ["buy_and_hold", "hold_cash"]
    assert found["notes"] == ["interrupted: not run are quick, ppo"]


def test_own_agents_run_beside_the_members(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from steelyard.agents.classic import HoldCash\nclass Idle(HoldCash):\n    pass\n"
    )
    found = run(capsys, tmp_path / "b", "buy_and_hold", f"{mine}:Idle")
    assert [row["agent"] for row in found["rows"]] == ["buy_and_hold", "Idle"]


def test_own_data_replaces_that_of_the_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = np.arange("2000-01-03", "2003-02-01", dtype="datetime64[D]")
    days = days[np.is_busday(days)]
    rng = np.random.default_rng(0)
    lines = ["date,tic,open,high,low,close,volume"]
    for name in ("AAA", "BBB"):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, len(days))))
        lines += [
            f"{day},{name},{c:.4f},{c * 1.01:.4f},{c * 0.99:.4f},{c:.4f},1000"
            for day, c in zip(days, close, strict=True)
        ]
    rows = sorted(lines[1:])
    (tmp_path / "own.csv").write_text("\n".join([lines[0], *rows]))
    found = run(capsys, tmp_path / "b", "buy_and_hold", "--data", f"files:{tmp_path / 'own.csv'}")
    assert found["rows"][0]["windows"][0]["metrics"]["cumulative_return"]["value"] != 0
    assert main(["verify", str(tmp_path / "b"), "--json"]) == 0


def test_the_table_for_people_has_every_agent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "b"
    assert main(["run", "planted", "buy_and_hold", "hold_cash", "--out", str(place)]) == 0
    told = capsys.readouterr()
    assert "buy_and_hold" in told.out
    assert "hold_cash" in told.out
    assert "report.html" in told.err
