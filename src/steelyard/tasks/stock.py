"""Tasks on the thirty stocks of the Dow Jones Industrial Average."""

from __future__ import annotations

from steelyard.benchmark import Task, Window
from steelyard.registry import register
from steelyard.tasks.published import rows_of

# fmt: off
DOW_30 = (
    "AAPL", "AMGN", "AXP", "BA", "CAT", "CRM", "CSCO", "CVX", "DIS", "DOW",
    "GS", "HD", "HON", "IBM", "INTC", "JNJ", "JPM", "KO", "MCD", "MMM",
    "MRK", "MSFT", "NKE", "PG", "TRV", "UNH", "V", "VZ", "WBA", "WMT",
)
"""Members from 2020-08-31 to 2024-02-25."""

TABLE_2 = (
    "macd", "boll_ub", "boll_lb", "rsi_30", "cci_30", "dx_30",
    "close_30_sma", "close_60_sma", "vix", "turbulence",
)
"""The ten market indicators of the paper's Table 2."""

CLASSIC = (
    "buy_and_hold", "equal_weight", "index", "min_variance", "mean_variance", "random", "hold_cash",
)
# fmt: on

PRICES = "bundled:us_djia30_daily_2009_2023"
DJIA = {"DJIA": ("bundled:us_index_daily_2009_2023", "^DJI")}

STOCK_DOW30 = register(
    "tasks",
    "stock-dow30",
    Task(
        name="stock-dow30",
        version=2,
        summary="Thirty Dow Jones stocks, whole shares, next-open fills; test 2021-2023 (Table 5)",
        data=PRICES,
        assets=DOW_30,
        features=("return_1", *TABLE_2),
        train=Window("train", "2009-01-02", "2018-12-31"),
        validate=Window("validate", "2019-01-02", "2020-12-31"),
        windows=(Window("test", "2021-01-04", "2023-11-30"),),
        index=DJIA,
        agents=("ppo", *CLASSIC),
        published=rows_of(5),
    ),
    summary="Thirty Dow Jones stocks, daily; test 2021-01-04..2023-11-30, the period of Table 5",
)

STOCK_2023 = register(
    "tasks",
    "stock-2023",
    Task(
        name="stock-2023",
        version=1,
        summary="FinRL Contest 2023 task 1: data-centric stock trading on 29 names (Table 4)",
        data=PRICES,
        assets=tuple(name for name in DOW_30 if name != "DOW"),
        features=TABLE_2,
        train=Window("train", "2010-07-01", "2023-10-24"),
        windows=(
            Window("before the deadline", "2023-10-25", "2023-11-14"),
            Window("after the deadline", "2023-11-15", "2023-11-22"),
        ),
        index=DJIA,
        agents=("ppo", *CLASSIC),
        published=rows_of(4),
    ),
    summary="FinRL Contest 2023 task 1, 29 names; tests of 15 and 6 sessions (Table 4)",
)
