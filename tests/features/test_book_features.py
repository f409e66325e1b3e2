"""The eight features of an order book, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from feature_panels import random_book, random_panel

from steelyard.errors import MissingDataError
from steelyard.features import compute
from steelyard.features.book import FLOW, WINDOW
from steelyard.types import Panel

EIGHT = (
    *("imbalance", "spread_liquidity", "order_flow_imbalance", "price_impact"),
    *("market_to_limit", "intraday_volatility", "momentum", "noise_to_signal"),
)


def book_of(**columns: list[float]) -> Panel:
    fields = {name: np.array(values, dtype=np.float64)[:, None] for name, values in columns.items()}
    rows = len(next(iter(fields.values())))
    return Panel(np.datetime64("2021-04-07", "s") + np.arange(rows), ("BTC",), fields)


def value(name: str, panel: Panel, row: int = -1) -> float:
    return float(compute([name], panel)[name][row, 0])


def test_imbalance_and_spread_worked_by_hand() -> None:
    panel = book_of(
        close=[100.0], bid_1=[99.0], ask_1=[101.0], bid_size_1=[3.0], ask_size_1=[1.0],
        bid_2=[98.0], ask_2=[102.0], bid_size_2=[2.0], ask_size_2=[4.0],
    )  # fmt: skip
    assert value("imbalance", panel) == 0.0
    assert value("spread_liquidity", panel) == 0.02
    top = replace(panel, fields={k: v for k, v in panel.fields.items() if not k.endswith("_2")})
    assert value("imbalance", top) == 0.5


def test_order_flow_worked_by_hand() -> None:
    """Ten changes, three say something: +4 (bid rises), -2 (bid shrinks), -5 (ask falls)."""
    bid = [10.0] * 4 + [11.0] * 7
    bid_size = [3.0] * 4 + [4.0] * 3 + [2.0] * 4
    ask = [15.0] * 9 + [14.0] * 2
    ask_size = [6.0] * 9 + [5.0] * 2
    panel = book_of(
        close=[12.0] * 11, bid_1=bid, bid_size_1=bid_size, ask_1=ask, ask_size_1=ask_size
    )
    depth = (np.array(bid_size[1:]) + np.array(ask_size[1:])).mean() / 2
    assert FLOW == 10
    assert value("order_flow_imbalance", panel) == pytest.approx((4 - 2 - 5) / depth)
    mirrored = book_of(
        close=[12.0] * 11, ask_1=[-x for x in bid], ask_size_1=bid_size,
        bid_1=[-x for x in ask], bid_size_1=ask_size,
    )  # fmt: skip
    assert value("order_flow_imbalance", mirrored) == pytest.approx(-(4 - 2 - 5) / depth)


def test_impact_is_the_slope_where_returns_follow_trades_exactly() -> None:
    random = np.random.default_rng(0)
    buys, sells = random.lognormal(size=(2, 200))
    mid = 100.0 * np.exp(np.cumsum(1e-4 * (buys - sells)))
    panel = book_of(close=list(mid), buys=list(buys), sells=list(sells))
    typical = (buys + sells)[-WINDOW:].mean()
    assert value("price_impact", panel) == pytest.approx(1e-4 * typical, rel=1e-9)
    quiet = book_of(close=list(mid), buys=[0.0] * 200, sells=[0.0] * 200)
    assert np.isnan(value("price_impact", quiet))


def test_path_features_worked_by_hand() -> None:
    # up 1 % and back, thirty times; then the same with one row more of rise
    zigzag = [100.0, 101.0] * 31
    panel = book_of(close=zigzag[:-1])
    move = np.log(1.01)
    assert value("momentum", panel) == 0.0
    assert value("noise_to_signal", panel) == 1.0
    assert value("intraday_volatility", panel) == pytest.approx(np.sqrt(60) * move)
    straight = book_of(close=[100.0 + row for row in range(61)])
    assert value("noise_to_signal", straight) == pytest.approx(0.0, abs=1e-12)
    assert value("momentum", straight) == pytest.approx(np.log(1.6))
    still = book_of(close=[(235.94 + 235.96) / 2, (235.93 + 235.97) / 2] * 31)
    assert np.isnan(value("noise_to_signal", still))


def test_market_to_limit_adds_all_levels_of_both_sides() -> None:
    panel = random_book(0, 90, levels=2)
    names = [f"{side}_{{}}_{level}" for side in ("bid", "ask") for level in (1, 2)]
    market, limit = (
        sum(panel[name.format(kind)][-WINDOW:].sum() for name in names)
        for kind in ("market", "limit")
    )
    assert value("market_to_limit", panel) == pytest.approx(market / limit, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("imbalance", "bid_size_1"),
        ("spread_liquidity", "bid_1"),
        ("order_flow_imbalance", "bid_1"),
        ("price_impact", "buys"),
        ("market_to_limit", "bid_market_1"),
    ],
)
def test_a_panel_without_the_flows_is_told_what_it_lacks(name: str, field: str) -> None:
    with pytest.raises(MissingDataError, match=f"no field `{field}`"):
        compute([name], random_panel(0, 70, 2))


def test_the_eight_are_there_and_have_values() -> None:
    made = compute(EIGHT, random_book(1, 100))
    for name in EIGHT:
        assert np.isfinite(made[name][made.warmup :]).all(), name
