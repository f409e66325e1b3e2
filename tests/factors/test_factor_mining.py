"""What eight distilled factors keep of all 101 alphas: on planted data, and on a real day."""

from __future__ import annotations

from pathlib import Path

import pytest

from steelyard.data import load
from steelyard.factors.baseline import Comparison
from steelyard.factors.labels import Horizons
from steelyard.factors.mine import Mined, mine

DAY = "lob_btcusd_bitstamp_20150501_1s_10lvl.parquet"
REACH = Horizons(windows=(3, 4, 5, 8, 10, 10, 10, 10))
"""Eight horizons of up to 60 rows; the planted signal lasts 30 rows on average."""


@pytest.fixture
def dev_folder() -> Path:
    """Data for tests only; skips where the checkout has none beside it."""
    folder = Path(__file__).resolve().parents[2] / "../shared/data/dev"
    if not folder.is_dir():
        pytest.skip("needs the development data beside the repository (../shared/data/dev)")
    return folder


def told(found: Mined) -> str:
    def written(one: Comparison) -> str:
        parts = (one.factors, one.ridge, one.difference)
        return "  ".join(f"{part.value:.3f} [{part.low:.3f}, {part.high:.3f}]" for part in parts)

    lines = [f"{one.horizon:4d} rows  {written(one)}" for one in found.comparison]
    best = found.history[found.best]
    return "\n".join(["ahead      factors, ridge, difference", *lines, str(best)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_eight_factors_keep_nine_tenths_of_ridge_regression_on_101_alphas(seed: int) -> None:
    panel = load("book:imbalance", rows=40_000, seed=seed)
    found = mine(panel, train=(0, 24_000), validate=(24_000, 30_000), horizons=REACH, seed=seed)
    print(told(found))
    assert len(found.artefact.names) == 8
    assert len(found.artefact.facts["kept"]) == 101
    assert found.unseen
    factors, ridge = (
        sum(getattr(one, side).value for one in found.comparison) for side in ("factors", "ridge")
    )
    assert ridge > 8 * 0.3  # there is something to keep
    assert factors >= 0.9 * ridge
    for one in found.comparison:
        assert one.factors.value >= 0.85 * one.ridge.value


@pytest.mark.slow
def test_eight_factors_know_nothing_where_nothing_is_planted() -> None:
    panel = load("book:none", rows=20_000, seed=4)
    found = mine(panel, train=(0, 10_000), validate=(10_000, 13_000), horizons=REACH)
    print(told(found))
    assert found.comparison[3].factors.low < 0.05  # 20 rows ahead


@pytest.mark.slow
def test_the_bitstamp_day_is_compared_with_ridge_regression_whatever_it_shows(
    dev_folder: Path,
) -> None:
    panel = load("books", dev_folder / DAY)
    found = mine(panel, train=(0, 52_000), validate=(52_000, 69_000))
    print(told(found))
    assert found.judged == (69_000, len(panel))
    assert len(found.information) == len(found.comparison) == 8
    for one in found.comparison:
        assert one.factors.low < one.factors.value < one.factors.high
