"""Bundles: complete or not there, checked before they are believed, never run."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fake_score import AGENTS, CLAIMS, fake_ensembles, fake_score

from steelyard.errors import BundleError
from steelyard.evaluation import directory
from steelyard.evaluation.bundle import (
    FILES,
    MANIFEST,
    actions,
    curves,
    read,
    require_place,
    run_json,
    training,
    write,
)
from steelyard.evaluation.documents import plain_json
from steelyard.evaluation.recordings import action_log, read_action_log
from steelyard.evaluation.results import Estimate, Score


@pytest.fixture(scope="module")
def score() -> Score:
    chosen = ("ppo", "buy_and_hold", "equal_weight", "random", "hold_cash", "DJIA")
    agents = {name: AGENTS[name] for name in chosen}
    return fake_score(agents=agents, windows=(("first", 40), ("second", 12)), seeds=2, assets=4)


@pytest.fixture
def bundle(score: Score, tmp_path: Path) -> Path:
    return write(score, tmp_path / "run")


def _contents(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


# What is written is what is read


def test_a_bundle_holds_its_files_and_nothing_else(bundle: Path) -> None:
    assert set(_contents(bundle)) == {*FILES, MANIFEST}
    assert [path.name for path in bundle.parent.iterdir()] == ["run"]


def test_every_metric_of_every_row_returns_with_its_interval(score: Score, bundle: Path) -> None:
    found = read(bundle)
    assert found["score"]["fingerprint"] == score.fingerprint
    assert [row["agent"] for row in found["score"]["rows"]] == [row.agent for row in score.rows]
    for row, held in zip(score.rows, found["score"]["rows"], strict=True):
        for window, place in zip(row.windows, held["windows"], strict=True):
            assert (place["name"], place["start"]) == (window.name, window.start)
            assert {
                name: Estimate(one["value"], one["low"], one["high"])
                for name, one in place["metrics"].items()
            } == dict(window.metrics)


def test_the_card_returns_as_it_was(score: Score, bundle: Path) -> None:
    found = read(bundle)
    assert found["config"]["card"] == score.card
    assert found["config"]["assets"] == list(score.assets)
    assert found["manifest"]["versions"] == score.versions


def test_every_action_returns_bit_for_bit(score: Score, bundle: Path) -> None:
    found = actions(bundle)
    expected = {
        (row.agent, window.name, seed): one.actions
        for row in score.rows
        for window in row.windows
        for seed, one in zip(row.seeds, window.backtests, strict=bool(window.backtests))
    }
    assert found.keys() == expected.keys()
    for key, held in expected.items():
        assert found[key].dtype == np.float32
        assert found[key].tobytes() == held.tobytes()


def test_every_curve_returns_in_long_form(score: Score, bundle: Path) -> None:
    table = pl.read_parquet(bundle / "equity.parquet")
    assert table.columns == ["agent", "window", "seed", "timestamp", "value"]
    curve = score.rows[0].windows[1].curves[1]
    held = table.filter(agent=score.rows[0].agent, window="second", seed=1)
    assert np.array_equal(held["value"].to_numpy(), curve.value)
    assert np.array_equal(held["timestamp"].to_numpy(), curve.timestamps.astype("datetime64[us]"))
    assert table["agent"].n_unique() == len(score.rows)


def test_every_curve_returns_bit_for_bit(score: Score, bundle: Path) -> None:
    found = curves(bundle)
    assert len(found) == sum(len(place.curves) for row in score.rows for place in row.windows)
    for row in score.rows:
        for window in row.windows:
            for seed, curve in zip(row.seeds, window.curves, strict=True):
                timestamps, value = found[row.agent, window.name, seed]
                assert np.array_equal(timestamps, curve.timestamps.astype("datetime64[us]"))
                assert value.tobytes() == np.asarray(curve.value, np.float64).tobytes()


def test_a_table_of_curves_that_is_none_is_refused(bundle: Path) -> None:
    _rehash(bundle, "equity.parquet", b"PAR1 no table")
    with pytest.raises(BundleError, match="not readable"):
        curves(bundle)
    held = {"agent": ["ppo"], "window": ["first"], "seed": ["zero"], "value": [1.0]}
    for columns in (held, {**held, "timestamp": [0]}):
        other = io.BytesIO()
        pl.DataFrame(columns).write_parquet(other)
        _rehash(bundle, "equity.parquet", other.getvalue())
        with pytest.raises(BundleError, match="not readable"):
            curves(bundle)


def test_every_training_log_returns_bit_for_bit(score: Score, tmp_path: Path) -> None:
    rolling = fake_ensembles(windows=(("test", 30),), resamples=2)
    for number, one in enumerate((score, rolling)):
        found = training(write(one, tmp_path / f"run{number}"))
        learned = [row for row in one.rows if row.training]
        assert found.keys() == {(row.agent, seed) for row in learned for seed in row.seeds}
        for row in learned:
            for seed, log in zip(row.seeds, row.training, strict=True):
                assert found[row.agent, seed].keys() == log.keys()
                for name, values in log.items():
                    again = found[row.agent, seed][name]
                    assert again.shape == np.shape(values)
                    assert again.tobytes() == np.asarray(values, np.float64).tobytes()


def test_a_bundle_from_before_training_logs_is_still_read(bundle: Path) -> None:
    (bundle / "training.parquet").unlink()
    _edit(bundle, MANIFEST, lambda manifest: manifest["files"].pop("training.parquet"))
    assert training(bundle) == {}
    assert read(bundle)["score"]["task"] == "stock-dow30"


def test_training_logs_that_are_none_are_refused(bundle: Path) -> None:
    _rehash(bundle, "training.parquet", b"PAR1 no table")
    with pytest.raises(BundleError, match="not readable"):
        training(bundle)
    held = {"agent": ["ppo"] * 3, "seed": [0] * 3, "log": ["kl"] * 3, "value": [1.0] * 3}
    for columns, said in (
        (held, "not readable"),
        ({**held, "round": [0, 0, 1], "update": [0, 1, 0]}, "differ in length"),
        ({**held, "round": [None, None, 1], "update": [0, 1, 0]}, "differ in length"),
        ({**held, "seed": [None] * 3, "round": [None] * 3, "update": [0, 1, 2]}, "not readable"),
    ):
        table = io.BytesIO()
        pl.DataFrame(columns).write_parquet(table)
        _rehash(bundle, "training.parquet", table.getvalue())
        with pytest.raises(BundleError, match=said):
            training(bundle)


def test_verdicts_and_ensembles_return_with_the_numbers(tmp_path: Path) -> None:
    score = fake_ensembles(windows=(("test", 60),), resamples=20)
    found = read(write(score, tmp_path / "run"))["score"]
    assert [one["name"] for one in found["claims"]] == [claim.name for claim in CLAIMS]
    for one, held in zip(score.verdicts, found["claims"], strict=True):
        assert one.ahead is not None
        assert held["decision"] == one.decision
        assert held["ahead"] == {
            "value": one.ahead.value,
            "low": one.ahead.low,
            "high": one.ahead.high,
        }
        assert len(held["pairs"]) == len(one.pairs)
        assert held["sentence"] == one.sentence
    ensembles = {row["agent"]: row.get("ensemble") for row in found["rows"]}
    assert ensembles["ensemble_2"] == score.rows[1].ensemble
    assert ensembles["ppo"] is None


def test_the_same_score_makes_the_same_bytes(score: Score, tmp_path: Path) -> None:
    one, two = (_contents(write(score, tmp_path / place / "run")) for place in ("a", "b"))
    assert one == two


def test_names_of_agents_may_hold_anything(score: Score) -> None:
    names = ["a/b", '["x"]', "ppo\n", "Ünï", ""]
    rows = [replace(row, agent=name) for row, name in zip(score.rows, names, strict=False)]
    found = read_action_log(action_log(replace(score, rows=rows)))
    assert {agent for agent, _, _ in found} == set(names)


def test_what_is_no_number_is_null(score: Score, tmp_path: Path) -> None:
    odd = Estimate(float("nan"), float("-inf"), np.float64(np.inf))
    first = replace(score.rows[0].windows[0], metrics={"sharpe_ratio": odd})
    rows = [replace(row, windows=[first, row.windows[1]]) for row in score.rows[:1]]
    changed = replace(score, rows=rows, card={"x": float("nan"), "n": np.int64(3), "t": (1, 2)})
    found = read(write(changed, tmp_path / "run"))
    held = found["score"]["rows"][0]["windows"][0]["metrics"]["sharpe_ratio"]
    assert held == {"value": None, "low": None, "high": None}
    assert found["config"]["card"] == {"x": None, "n": 3, "t": [1, 2]}


def test_run_json_has_the_schema_of_the_command_line(score: Score) -> None:
    odd = {"sharpe_ratio": Estimate(1.0, float("nan"), np.float64(2.0))}
    first = replace(score.rows[0].windows[0], metrics=odd)
    changed = replace(score, rows=[replace(score.rows[0], windows=[first])])
    document = run_json(changed, Path("runs/x"), Path("runs/x/report.html"), np.float64(3.5))
    strict = json.loads(json.dumps(document, allow_nan=False))
    assert strict == document
    names = {"task", "fingerprint", "rows", "bundle", "report", "seconds"}
    assert names <= set(document)
    row = document["rows"][0]
    assert row["seeds"] == [0, 1]
    assert {key: row["windows"][0][key] for key in ("name", "start", "end")} == {
        "name": first.name,
        "start": first.start,
        "end": first.end,
    }
    assert row["windows"][0]["metrics"] == {
        "sharpe_ratio": {"value": 1.0, "low": None, "high": 2.0}
    }
    assert document["bundle"] == "runs/x"


def test_everything_becomes_json() -> None:
    held = {1: {"a": np.array([1.0, np.nan])}, "when": np.datetime64("2021-01-04"), "s": {True}}
    assert plain_json(held) == {"1": {"a": [1.0, None]}, "when": "2021-01-04", "s": [True]}


# What was changed is not believed


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_found_in_every_file(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=f"{name} was changed") as caught:
        read(bundle)
    assert caught.value.hint


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=name):
        read(bundle)


def test_a_place_without_a_bundle_is_called_one(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BundleError, match="no result bundle") as caught:
            read(place)
        assert "--out" in caught.value.hint


def _edit(bundle: Path, name: str, change: Callable[[Any], None]) -> None:
    """Change a JSON document; any other file keeps what the manifest says about it."""
    document = json.loads((bundle / name).read_text())
    change(document)
    (bundle / name).write_text(json.dumps(document))


def _rehash(bundle: Path, name: str, content: bytes) -> None:
    """Replace a file and make the manifest agree, as somebody would who wants to deceive."""
    (bundle / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    _edit(bundle, MANIFEST, lambda manifest: manifest["files"].update({name: digest}))


@pytest.mark.parametrize("schema", [0, 2, 99, "1", None])
def test_another_schema_is_refused(bundle: Path, schema: object) -> None:
    _edit(bundle, MANIFEST, lambda manifest: manifest.update(schema=schema))
    with pytest.raises(BundleError, match="schema version"):
        read(bundle)


@pytest.mark.parametrize(
    "name", ["../secret.txt", "/etc/passwd", "..", "", "a\\b", "C:x", "sub/file", "x\0y"]
)
def test_a_manifest_cannot_lead_outside(bundle: Path, name: str) -> None:
    (bundle.parent / "secret.txt").write_text("secret")
    digest = hashlib.sha256(b"secret").hexdigest()
    _edit(bundle, MANIFEST, lambda manifest: manifest["files"].update({name: digest}))
    with pytest.raises(BundleError, match="not a file of the bundle"):
        read(bundle)


@pytest.mark.parametrize("name", ["score.json", MANIFEST])
def test_a_link_cannot_lead_outside(bundle: Path, name: str) -> None:
    outside = bundle.parent / name
    (bundle / name).rename(outside)
    (bundle / name).symlink_to(outside)
    with pytest.raises(BundleError, match="leads outside"):
        read(bundle)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000])
@pytest.mark.parametrize("name", ["score.json", MANIFEST])
def test_what_is_no_json_object_is_refused(bundle: Path, name: str, content: bytes) -> None:
    if name == MANIFEST:
        (bundle / name).write_bytes(content)
    else:
        _rehash(bundle, name, content)
    with pytest.raises(BundleError, match=f"{name} is not"):
        read(bundle)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("files"),
        lambda manifest: manifest["files"].pop("report.html"),
        lambda manifest: manifest["files"].update({"score.json": 7}),
        lambda manifest: manifest.update(fingerprint="another"),
    ],
)
def test_a_manifest_that_is_not_one_is_refused(bundle: Path, change: Callable[[Any], None]) -> None:
    _edit(bundle, MANIFEST, change)
    with pytest.raises(BundleError, match="manifest"):
        read(bundle)


class _Trap:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, int]]:
        return os.open, ("trap-was-sprung", os.O_CREAT)


def test_reading_actions_never_runs_what_is_in_the_file(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle.parent)
    _rehash(bundle, "actions.safetensors", pickle.dumps(_Trap()))
    with pytest.raises(BundleError, match="not readable"):
        actions(bundle)
    assert not Path("trap-was-sprung").exists()


@pytest.mark.parametrize(
    ("key", "tensor", "said"),
    [
        ("ppo", np.zeros((2, 2), np.float32), "not readable"),
        ('["ppo", "test"]', np.zeros((2, 2), np.float32), "not readable"),
        ('["ppo", "test", "0"]', np.zeros((2, 2), np.float32), "not readable"),
        ('["ppo", "test", 0]', np.zeros((2, 2), np.float64), "float64"),
        ('["ppo", "test", 0]', np.zeros(2, np.float32), "not float32"),
    ],
)
def test_an_action_log_of_another_shape_is_refused(
    bundle: Path, key: str, tensor: np.ndarray, said: str
) -> None:
    from safetensors.numpy import save

    _rehash(bundle, "actions.safetensors", save({key: tensor}))
    with pytest.raises(BundleError, match=said):
        actions(bundle)


# What cannot be written leaves everything as it was


def _full(after: int) -> Callable[[Path, bytes], None]:
    """A disk that is full after some files, in the middle of the next one."""
    left = iter(range(after))
    write_file = directory.write_file

    def write_some(path: Path, content: bytes) -> None:
        if next(left, None) is None:
            path.write_bytes(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_file(path, content)

    return write_some


@pytest.mark.parametrize("after", range(7))
def test_a_full_disk_leaves_the_previous_bundle_and_nothing_else(
    score: Score, bundle: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    before = _contents(bundle)
    monkeypatch.setattr(directory, "write_file", _full(after))
    with pytest.raises(BundleError, match="no space left") as caught:
        write(replace(score, task="another"), bundle)
    assert "--out" in caught.value.hint
    assert _contents(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["run"]
    assert read(bundle)["score"]["task"] == score.task


def test_a_full_disk_leaves_no_first_bundle_behind(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "write_file", _full(2))
    with pytest.raises(BundleError, match="nothing was left behind"):
        write(score, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_move_that_fails_brings_the_previous_bundle_back(
    score: Score, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rename = _contents(bundle), Path.rename

    def fail_once(self: Path, target: Path) -> Path:
        if ".part-" in self.name:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(BundleError, match="Input/output error; what was there before"):
        write(score, bundle)
    assert _contents(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["run"]


def test_an_interruption_leaves_the_previous_bundle(
    score: Score, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _contents(bundle)

    def interrupt(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(directory, "write_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(score, bundle)
    assert _contents(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["run"]


def test_a_new_bundle_replaces_the_old_one(score: Score, bundle: Path) -> None:
    (bundle / ".DS_Store").write_bytes(b"left by a file manager")
    (bundle / "equity.parquet").unlink()
    write(replace(score, task="another"), bundle)
    assert read(bundle)["score"]["task"] == "another"
    assert [path.name for path in bundle.parent.iterdir()] == ["run"]


def test_files_of_others_are_never_deleted(score: Score, bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine")
    before = _contents(bundle)
    with pytest.raises(BundleError, match=r"notes\.txt"):
        write(score, bundle)
    with pytest.raises(BundleError, match=r"notes\.txt"):
        require_place(bundle)
    with pytest.raises(BundleError, match="is a file"):
        write(score, bundle / "notes.txt")
    assert _contents(bundle) == before


def test_a_place_for_a_bundle_is_approved_beforehand(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place in (bundle, tmp_path / "empty", tmp_path / "not" / "there"):
        require_place(place)


def test_a_bundle_behind_a_link_is_replaced_where_it_is(score: Score, bundle: Path) -> None:
    link = bundle.parent / "latest"
    link.symlink_to(bundle)
    assert write(replace(score, task="another"), link) == bundle
    assert link.is_symlink()
    assert read(link)["score"]["task"] == "another"


def test_a_place_that_cannot_be_made_is_an_error_with_a_hint(score: Score, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BundleError, match="cannot write") as caught:
        write(score, tmp_path / "file" / "below" / "run")
    assert "--out" in caught.value.hint


def test_agents_need_names_of_their_own(score: Score, tmp_path: Path) -> None:
    twice = replace(score, rows=[score.rows[0], score.rows[0]])
    with pytest.raises(BundleError, match="2 agents are named `ppo`"):
        write(twice, tmp_path / "run")
    same = [replace(row, windows=[row.windows[0]] * 2) for row in score.rows]
    with pytest.raises(BundleError, match="2 windows are named `first`"):
        write(replace(score, rows=same), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
