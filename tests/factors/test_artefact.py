"""An artefact is read by its name, joined by time, and says which rows it was fitted on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_factors import mined_from

from steelyard.cli import main
from steelyard.errors import ConfigError, DataError, MissingDataError
from steelyard.factors.artefact import ARRAYS, FACTS, Artefact, align, load, row_marks, save
from steelyard.factors.mine import Mined, apply
from steelyard.features import compute
from steelyard.features.check import check_feature
from steelyard.types import Panel


def test_what_was_saved_is_what_is_read(kept: Artefact, mined: Mined, tmp_path: Path) -> None:
    made = mined.artefact
    np.testing.assert_array_equal(kept.values, made.values)
    np.testing.assert_array_equal(kept.timestamps, made.timestamps)
    np.testing.assert_array_equal(kept.marks, made.marks)
    for one, other in zip(kept.weights, made.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert kept.facts == json.loads(json.dumps(made.facts))
    for place in (tmp_path, tmp_path / FACTS, tmp_path / ARRAYS):
        assert load(place, kept.sha256[:12]).sha256 == kept.sha256


def test_the_weights_that_are_stored_make_the_factors_that_are_stored(
    kept: Artefact, panel: Panel
) -> None:
    np.testing.assert_array_equal(apply(kept, panel), kept.values)


def test_the_same_seed_has_the_same_name(kept: Artefact, panel: Panel, tmp_path: Path) -> None:
    assert save(mined_from(panel).artefact, tmp_path / "again").sha256 == kept.sha256
    assert save(mined_from(panel, seed=1).artefact, tmp_path / "other").sha256 != kept.sha256


def test_the_facts_say_where_factors_come_from(kept: Artefact, panel: Panel) -> None:
    assert kept.facts["panel"]["digest"] == panel.digest()
    assert kept.facts["train"][1] == str(panel.timestamps[899].astype("datetime64[ns]"))
    assert kept.facts["seen_until"] == str(panel.timestamps[1_199].astype("datetime64[ns]"))
    assert kept.facts["features"] == ["imbalance", "momentum"]
    assert {"steelyard", "numpy", "jax", "python"} <= set(kept.facts["versions"])


def test_another_name_is_not_what_was_asked_for(kept: Artefact, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not 000000000000"):
        load(tmp_path, "0" * 64)
    with pytest.raises(ConfigError, match="too short"):
        load(tmp_path, kept.sha256[:5])
    with pytest.raises(MissingDataError, match="no factors"):
        load(tmp_path / "nowhere")


def test_a_changed_byte_is_found(kept: Artefact, tmp_path: Path) -> None:
    content = bytearray((tmp_path / ARRAYS).read_bytes())
    content[-3] ^= 1
    (tmp_path / ARRAYS).write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged"):
        load(tmp_path)
    (tmp_path / ARRAYS).unlink()
    with pytest.raises(DataError, match="missing"):
        load(tmp_path)


@pytest.mark.parametrize("change", ["seen_until", "seed", "format", "text"])
def test_changed_facts_are_found(kept: Artefact, tmp_path: Path, change: str) -> None:
    facts = json.loads((tmp_path / FACTS).read_text())
    facts[change] = "2000-01-01"
    text = "{" if change == "text" else json.dumps(facts)
    (tmp_path / FACTS).write_text(text)
    with pytest.raises(DataError, match="damaged"):
        load(tmp_path)


def test_rows_are_joined_by_time_whatever_is_missing(kept: Artefact, panel: Panel) -> None:
    """The row of a time is its own, also where rows in front, within or behind are left out."""
    chosen = np.flatnonzero(np.arange(1_500) % 7 != 3)[100:-50]
    part = replace(
        panel,
        timestamps=panel.timestamps[chosen].astype("datetime64[ms]"),
        fields={name: values[chosen] for name, values in panel.fields.items()},
        context={name: values[chosen] for name, values in panel.context.items()},
    )
    np.testing.assert_array_equal(align(kept, part), kept.values[chosen])


def test_times_that_the_factors_do_not_cover_are_refused(kept: Artefact, panel: Panel) -> None:
    between = replace(panel, timestamps=panel.timestamps + np.timedelta64(500, "ms"))
    with pytest.raises(MissingDataError, match="1500 rows without factors, the first at 2000"):
        align(kept, between)
    later = np.where(np.arange(1_500) >= 1_499, np.timedelta64(9, "s"), np.timedelta64(0, "s"))
    with pytest.raises(MissingDataError, match="1 rows without factors"):
        align(kept, replace(panel, timestamps=panel.timestamps + later))


def test_other_data_is_refused(kept: Artefact, panel: Panel) -> None:
    sizes = panel["bid_size_3"].copy()
    sizes[321] += 1e-9
    changed = replace(panel, fields=dict(panel.fields) | {"bid_size_3": sizes})
    with pytest.raises(DataError, match=r"1 rows differ, the first at 2000-01-01T00:05:21"):
        align(kept, changed)
    fewer = {name: values for name, values in panel.fields.items() if "_5" not in name}
    with pytest.raises(DataError, match="other fields"):
        align(kept, replace(panel, fields=fewer))
    with pytest.raises(DataError, match="other fields or assets"):
        align(kept, replace(panel, assets=("other",)))


def test_marks_tell_rows_apart_and_know_one_kind_of_nothing(panel: Panel) -> None:
    assert len(np.unique(row_marks(panel))) == len(panel)
    close = panel["close"].copy()
    close[:3, 0] = np.nan, -np.nan, 0.0
    fields = dict(panel.fields)
    one = row_marks(replace(panel, fields=fields | {"close": close}))
    close = close.copy()
    close[:3, 0] = -np.nan, np.nan, -0.0
    np.testing.assert_array_equal(one, row_marks(replace(panel, fields=fields | {"close": close})))


def test_factors_are_features_by_time(kept: Artefact, panel: Panel) -> None:
    features = kept.features()
    assert [entry.name for entry in features] == ["factor_1", "factor_2"]
    for column, entry in enumerate(features):
        np.testing.assert_array_equal(compute([entry], panel)[entry.name], kept.values[:, column])
        check_feature(entry, panel)
    moved = replace(panel, timestamps=panel.timestamps + np.timedelta64(500, "ms"))
    assert np.isnan(compute(features, moved)["factor_1"]).all()


def test_in_sample_rows_are_known_and_refused(kept: Artefact, panel: Panel) -> None:
    known = kept.in_sample(panel.timestamps)
    assert np.flatnonzero(~known)[0] == 1_200
    assert known[:1_200].all()
    kept.require_unseen(panel.timestamps[1_200:])
    with pytest.raises(ConfigError, match="cannot train an agent on 1 of 301 rows") as error:
        kept.require_unseen(panel.timestamps[1_199:])
    asset, first = panel.assets[0], panel.timestamps[1_199].astype("datetime64[s]")
    assert f"the first at {first}: the factors of {asset} were fitted" in str(error.value)
    assert f"begin behind {first}" in error.value.hint


@pytest.mark.parametrize("fitted", [(0, 1_499), (1_000, 1_199), (1_100, 1_499), (1_300, 1_400)])
def test_factors_fitted_at_or_behind_the_first_row_of_agents_are_refused(
    kept: Artefact, panel: Panel, fitted: tuple[int, int]
) -> None:
    """On all rows, up to the first one of agents, across it, and on rows that are tested only."""
    clock = panel.timestamps.astype("datetime64[ns]")
    start, end = (str(clock[row]) for row in fitted)
    facts = {**kept.facts, "train": [start, end], "validate": [end, end], "seen_until": end}
    other = replace(kept, facts=facts)
    first = str(clock[1_199].astype("datetime64[s]"))
    with pytest.raises(ConfigError, match=f"the first at {first}: the factors of coin"):
        other.require_unseen(panel.timestamps[1_199:1_300])
    understated = replace(other, facts={**facts, "seen_until": str(clock[0])})
    with pytest.raises(ConfigError, match="cannot train"):
        understated.require_unseen(panel.timestamps[1_199:1_300])


MINE = [
    *("factors", "mine", "book:imbalance?rows=1500&seed=3&strength=0.9", "--json"),
    *("--features", "imbalance", "--features", "momentum"),
    *("--validate", "2000-01-01T00:15:00..2000-01-01T00:19:59", "--updates", "24"),
    *("--set", "width=4", "--set", "batch=8", "--set", "sequence=48", "--set", "warmup=16"),
    *("--set", "check_every=8", "--set", "patience=2", "--set", "learning_rate=1e-2"),
    *("--set", "average=0.5"),
]
TRAIN = ["--train", "2000-01-01..2000-01-01T00:14:59"]
WINDOWS = ["--windows", "5,10"]


def test_the_command_writes_what_a_later_stage_can_ask_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    assert main([*MINE, *TRAIN, *WINDOWS, "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert load(out, told["sha256"]).facts == told["facts"]
    assert told["judged"]["unseen"] is True
    assert told["information"]["factor_1"][0]["value"] is not None
    assert [one["horizon"] for one in told["comparison"]] == [5, 15]
    assert main([*MINE, *TRAIN, *WINDOWS, "--out", str(out)]) == 2
    assert "holds factors already" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--train", "2000-01-01", *WINDOWS], "is not START..END"),
        ([*TRAIN, "--windows", "5,x"], "no list of whole numbers"),
        ([*TRAIN, *WINDOWS, "--set", "depth=3"], "no setting named"),
        ([*TRAIN, *WINDOWS, "--features", "nothing"], "no feature named"),
    ],
)
def test_a_command_that_cannot_be_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main([*MINE, *words, "--out", str(tmp_path / "made")]) == 2
    assert says in json.loads(capsys.readouterr().out)["error"]
