from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steelyard.data import Store, load
from steelyard.data.store import write_atomically
from steelyard.errors import DataError, MissingDataError
from steelyard.home import home
from steelyard.types import Panel


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def panels() -> dict[str, Panel]:
    daily = load("synthetic", "none", rows=6, assets=3)
    hours = np.arange("2020-01-01T00", "2020-01-01T06", dtype="datetime64[h]")
    holes = daily["close"].copy()
    holes[0, 0] = np.nan
    holes[:, 2] = np.nan
    return {
        "daily": daily,
        "hours": replace(daily, timestamps=hours),
        "order": replace(daily, assets=("Z", "A", "M")),
        "holes": replace(daily, fields={**daily.fields, "close": holes}),
        "bare": Panel(daily.timestamps, daily.assets, {"close": daily["close"]}),
    }


@pytest.mark.parametrize("name", panels())
def test_what_is_put_in_comes_out_bit_for_bit(store: Store, name: str) -> None:
    panel = panels()[name]
    back = store.get(store.put(panel))
    assert back.timestamps.dtype == panel.timestamps.dtype
    np.testing.assert_array_equal(back.timestamps, panel.timestamps)
    assert (back.assets, back.name, back.sha256) == (panel.assets, panel.name, panel.sha256)
    assert list(back.fields) == list(panel.fields)
    assert list(back.context) == list(panel.context)
    for field in (*panel.fields, *panel.context):
        np.testing.assert_array_equal(back[field], panel[field])


def test_a_panel_is_named_by_its_content(store: Store) -> None:
    panel = panels()["daily"]
    sha = store.put(panel)
    assert sha == panel.digest() == store.put(panel)
    assert len(list(store.root.iterdir())) == 2
    assert store.put(panels()["order"]) != sha


def test_the_manifest_says_what_is_in_the_file(store: Store, djia: Panel) -> None:
    sha = store.put(djia, licence="Unlicense", origin="a repository")
    facts = json.loads((store.root / f"{sha}.json").read_text())
    assert facts["sha256"] == sha
    assert facts["source_sha256"] == djia.sha256
    assert (facts["licence"], facts["origin"]) == ("Unlicense", "a repository")
    assert (facts["rows"], facts["start"], facts["end"]) == (3774, "2009-01-02", "2023-12-29")
    assert facts["assets"] == list(djia.assets)
    assert facts["created_by"].startswith("steelyard ")
    table = pl.read_parquet(store.root / f"{sha}.parquet")
    assert len(table) == 3774 * 30  # any Parquet reader opens it


def test_the_store_lists_what_it_holds(store: Store) -> None:
    assert store.manifests() == []
    names = ("daily", "hours")
    shas = {store.put(replace(panels()[name], name=name)) for name in names}
    assert [manifest.name for manifest in store.manifests()] == ["daily", "hours"]
    assert {manifest.sha256 for manifest in store.manifests()} == shas


def test_any_changed_byte_of_a_file_is_found(store: Store) -> None:
    sha = store.put(panels()["daily"])
    path = store.root / f"{sha}.parquet"
    content = path.read_bytes()
    for place in (0, len(content) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged") as caught:
            store.get(sha)
        assert str(path) in caught.value.hint
    path.unlink()
    with pytest.raises(DataError, match="damaged"):
        store.get(sha)
    store.put(panels()["daily"])  # putting it again heals the store
    assert store.get(sha).digest() == sha


def test_another_file_with_a_matching_manifest_is_found(store: Store) -> None:
    sha, other = (store.put(panels()[name]) for name in ("daily", "order"))
    for suffix in (".parquet", ".json"):
        (store.root / f"{sha}{suffix}").write_bytes((store.root / f"{other}{suffix}").read_bytes())
    with pytest.raises(DataError, match="does not describe"):
        store.get(sha)


@pytest.mark.parametrize("text", ["{", "[]", '{"sha256": "1"}'])
def test_a_damaged_manifest_is_found(store: Store, text: str) -> None:
    sha = store.put(panels()["daily"])
    (store.root / f"{sha}.json").write_text(text)
    with pytest.raises(DataError, match="manifest") as caught:
        store.get(sha)
    assert "delete" in caught.value.hint


def test_a_panel_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(MissingDataError, match="no panel abc"):
        store.get("abc")


def test_a_full_disk_leaves_nothing_half_written_and_keeps_what_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = store.put(panels()["daily"])
    before = {path.name: path.read_bytes() for path in store.root.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for name in ("daily", "order"):
        with pytest.raises(DataError, match="No space left") as caught:
            store.put(panels()[name])
        assert "STEELYARD_HOME" in caught.value.hint
    assert {path.name: path.read_bytes() for path in store.root.iterdir()} == before
    monkeypatch.undo()
    assert store.get(sha).digest() == sha


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [child.name for child in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_stored_is_refused(store: Store) -> None:
    panel = panels()["bare"]
    with pytest.raises(DataError, match="empty"):
        store.put(panel.rows(0, 0))
    with pytest.raises(DataError, match="`date`"):
        store.put(replace(panel, fields={"date": panel["close"]}))


def test_the_store_lies_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEELYARD_HOME", str(tmp_path / "here"))
    assert Store().root.is_relative_to(tmp_path / "here")
    monkeypatch.delenv("STEELYARD_HOME")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert home() == tmp_path / "cache" / "steelyard"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert home() == Path.home() / ".cache" / "steelyard"
