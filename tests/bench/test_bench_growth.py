"""Growth with made-up costs: slopes, knots and figures are worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steelyard.bench import growth
from steelyard.bench.growth import ENVIRONMENTS, Growth, fit
from steelyard.bench.growth_cases import GROWTH, KINDS, SIZES
from steelyard.bench.protocol import Side
from steelyard.bench.result import Bench
from steelyard.errors import BenchError, ConfigError, MemoryLimitError

SIZES_OF_TWO = (1, 2, 4, 8, 16, 32, 64, 128)
GRID = (1, 2, 4, 8, 16, 128, 1_024, 2_048)


class MadeUp:
    """A worker whose rates follow a law that is written down."""

    rate: Callable[[int], float] = staticmethod(lambda size: 1e6 / size)
    free = 10**12
    matter = True
    ran: list[str]

    def __init__(self, program: Any) -> None:
        MadeUp.ran = []

    def __enter__(self) -> MadeUp:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def open(self, key: str, maker: str, folder: Path, options: dict[str, Any]) -> Any:
        facts = {"actions_matter": self.matter, "free": self.free}
        return {"facts": facts, "first": {"wall_seconds": 1.0}}

    def run(self, key: str) -> Any:
        self.ran.append(key)
        return {"samples": 1e6, "cpu_seconds": 1e6 / MadeUp.rate(int(key))}


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> type[MadeUp]:
    monkeypatch.setattr(growth, "Worker", MadeUp)
    return MadeUp


def case(axis: str = "assets", bar: float | None = 1.0, **settings: Any) -> Growth:
    side = Side("module", "maker", **settings)
    return Growth("growth", "case", side, axis, "ours", SIZES_OF_TWO, lambda size: {}, bar)


def test_a_cost_that_is_flat_and_then_linear_has_slope_1_from_the_knot_on() -> None:
    line = fit(SIZES_OF_TWO, [max(8, size) for size in SIZES_OF_TWO])
    assert (line.knot, line.slope) == pytest.approx((8, 1))
    assert line.error == pytest.approx(0, abs=1e-9)


def test_slope_and_standard_error_are_those_of_least_squares() -> None:
    # logs to the base e of 0, 1, 2, 3 against 0, 2, 1, 3: slope 4 / 5, residuals -0.3, 0.9, -0.9,
    # 0.3, their squares 1.8, so the variance of the slope is 1.8 / 2 / 5
    line = fit([1, math.e, math.e**2, math.e**3], [1, math.e**2, math.e, math.e**3])
    assert line.slope == pytest.approx(0.8)
    assert line.error == pytest.approx(math.sqrt(0.18))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_a_power_law_has_its_power_as_slope_and_begins_at_once(power: float) -> None:
    line = fit(SIZES_OF_TWO, [3 * size**power for size in SIZES_OF_TWO])
    assert line.slope == pytest.approx(power, abs=1e-9)
    assert line.knot == 1


def test_three_sizes_give_no_slope() -> None:
    with pytest.raises(BenchError, match="at least 4 sizes, not 3"):
        fit([1, 2, 3], [1, 2, 3])


def test_linear_growth_meets_the_bar_and_a_planted_faster_one_does_not(
    made_up: type[MadeUp], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    linear = case().measure(Bench(tmp_path))
    assert (linear.ours, linear.met) == (pytest.approx(1), True)
    monkeypatch.setattr(made_up, "rate", staticmethod(lambda size: 1e6 / size**1.2))
    faster = case().measure(Bench(tmp_path))
    assert (faster.ours, faster.met) == (pytest.approx(1.2), False)


def test_the_rise_is_the_cost_of_the_most_environments_over_the_best(
    made_up: type[MadeUp], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rates = dict(zip(GRID, (10, 20, 40, 70, 60, 60, 55, 50), strict=True))
    monkeypatch.setattr(made_up, "rate", staticmethod(rates.__getitem__))
    wide = replace(case(ENVIRONMENTS, 1.4 + 1e-9), sizes=GRID)
    row = wide.measure(Bench(tmp_path, envs=2_048))
    assert (row.ours, row.low, row.high) == pytest.approx((70 / 50,) * 3)
    assert row.met is True
    assert "at 2,048 over 8" in row.note
    assert replace(wide, bar=1.39).measure(Bench(tmp_path, envs=2_048)).met is False


def test_all_sizes_take_turns_and_the_order_turns_round(
    made_up: type[MadeUp], tmp_path: Path
) -> None:
    row = case().measure(Bench(tmp_path, rounds=2))
    order = [str(size) for size in SIZES_OF_TWO]
    assert made_up.ran == [*order, *order[::-1]]
    assert row.met is None
    assert row.rounds[0] == row.rounds[1]


def test_actions_that_do_nothing_are_not_timed_unless_that_is_known(
    made_up: type[MadeUp], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match="actions change the outcome"):
        case(ignores_actions=True).measure(Bench(tmp_path))
    monkeypatch.setattr(made_up, "matter", False)
    assert case(bar=None, ignores_actions=True).measure(Bench(tmp_path)).ours is not None
    with pytest.raises(BenchError, match="actions do not change the outcome"):
        case().measure(Bench(tmp_path))


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(128, SIZES_OF_TWO), (16, SIZES_OF_TWO[:5]), (300, (*SIZES_OF_TWO, 256, 300))],
)
def test_environments_go_as_far_as_is_asked(most: int, sizes: tuple[int, ...]) -> None:
    assert case(ENVIRONMENTS).grid(most) == sizes
    assert case("assets").grid(most) == SIZES_OF_TWO
    assert case(ENVIRONMENTS, peer="finrl").grid(most) == SIZES_OF_TWO


def test_environments_that_do_not_fit_are_refused_with_the_largest_number_that_does(
    made_up: type[MadeUp], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kind = next(one for one in GROWTH if one.bytes_of is not None)
    assert kind.bytes_of is not None
    monkeypatch.setattr(made_up, "free", kind.bytes_of(1_000))
    with pytest.raises(MemoryLimitError, match="the largest number that fits is 1,000") as caught:
        kind.require(Bench(tmp_path, envs=70_000))
    assert caught.value.hint == "steelyard bench growth --envs 1000"
    assert made_up.ran == []


def test_too_few_environments_for_a_slope_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1024 environments, not 64"):
        Bench(tmp_path, envs=64)


def test_a_round_is_less_work_where_a_step_is_more() -> None:
    market = KINDS[0]
    small, large = (
        market.options({"rows": 1_000, "assets": assets, "features": 8, "envs": 256})
        for assets in (30, 300)
    )
    assert small["horizon"] * small["calls"] == 10 * large["horizon"] * large["calls"] + 2
    learning = KINDS[2].options({"rows": 1, "assets": 30, "features": 8, "envs": 65_536})
    assert learning["settings"]["minibatch"] == 65_536 * 16 // 8
    assert learning["updates"] == 1


def test_every_axis_has_sizes_for_a_slope_and_every_kind_a_row() -> None:
    ours = [one for one in GROWTH if not one.against]
    assert {one.axis for one in ours} == {ENVIRONMENTS, *SIZES}
    assert len(ours) == len(KINDS) * (1 + len(SIZES))
    assert all(len(one.sizes) >= growth.LEAST_POINTS for one in GROWTH)
    bars = {one.bar for one in ours if one.axis != ENVIRONMENTS}
    assert bars == {1.0}
