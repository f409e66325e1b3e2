"""Several coins on bars of minutes or hours: the market and the selection of FinRL-Crypto.

Gort, Liu, Sun, Gao, Chen and Wang (2022), "Deep reinforcement learning for cryptocurrency trading:
practical approach to address backtest overfitting", arXiv 2209.05559: 25,000 candles of five
minutes are held out in turn, 50 trials of the tree-structured Parzen estimator are compared, and
settings are rejected whose probability of backtest overfitting is above 10 %.

What differs from the published code, and why, stands in docs/concepts/overfitting.md.
"""

from __future__ import annotations

from dataclasses import replace

from steelyard.benchmark import StockRules, Task, Window
from steelyard.evaluation.combinatorial import Combinatorial
from steelyard.registry import register

FEATURES = ("return_1", "macd", "rsi_30", "cci_30", "dx_30")

CRYPTO_MULTI_5MIN = register(
    "tasks",
    "crypto-multi-5min",
    Task(
        name="crypto-multi-5min",
        version=1,
        summary="BTC and ETH on 5-minute bars, settings chosen by combinatorial cross-validation",
        data="files:crypto_5min.parquet",
        assets=("BTCUSDT", "ETHUSDT"),
        features=FEATURES,
        train=Window("train", "2022-02-02", "2022-04-29"),
        windows=(Window("test", "2022-04-30", "2022-06-27"),),
        split=(0.6, 0.2, 0.2),
        cross_validation=Combinatorial(
            groups=5,
            held_out=2,
            purge=10,
            embargo=150,  # rows that the longest feature looks back, and more
            against="buy_and_hold",
        ),
        rules=StockRules(cost=3e-3, lot=0.01, max_shares=100),
        episode=288,
        learning={"*": {"discount": 0.99}},
        periods_per_year=0.0,
        agents=("ppo", "buy_and_hold", "random", "hold_cash"),
    ),
    summary="FinRL-Crypto: 5-minute bars of your own (--data), test 2022-04-30..2022-06-27",
)

CRYPTO_BTC_1H = register(
    "tasks",
    "crypto-btc-1h",
    replace(
        CRYPTO_MULTI_5MIN,
        name="crypto-btc-1h",
        summary="One coin on hourly bars under the rules of FinRL-Crypto; test 2022-2023",
        data="bundled:crypto_btcusdt_binance_1h_2017_2023",
        assets=("BTCUSDT",),
        train=Window("train", "2018-01-01", "2021-12-31"),
        windows=(Window("test", "2022-01-01", "2023-12-31"),),
        episode=168,
    ),
    summary="The rules of crypto-multi-5min on the bundled hourly prices of one coin",
)
