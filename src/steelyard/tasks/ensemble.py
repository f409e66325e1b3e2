"""Ensembles on rolling windows: the stock trading of the paper's section 6.2.2, and longer."""

from __future__ import annotations

from dataclasses import replace

from steelyard.benchmark import Task, Window
from steelyard.evaluation.claims import Claim
from steelyard.evaluation.splits import Rolling
from steelyard.registry import register
from steelyard.tasks.published import rows_of
from steelyard.tasks.stock import DJIA, DOW_30, PRICES, TABLE_2

ENSEMBLES = ("ensemble_1", "ensemble_2", "ensemble_3")
SINGLE = ("ppo", "sac", "ddpg")

CLAIMS = (
    Claim(
        "ensembles_cut_drawdown",
        "ensembles cut the drawdown of single agents",
        "max_drawdown",
        better=ENSEMBLES,
        than=SINGLE,
    ),
    Claim(
        "ensembles_beat_agents",
        "ensembles beat single agents in Sharpe ratio",
        "sharpe_ratio",
        better=ENSEMBLES,
        than=SINGLE,
    ),
    Claim(
        "agents_beat_minimum_variance",
        "agents and ensembles beat minimum variance in Sharpe ratio",
        "sharpe_ratio",
        better=(*ENSEMBLES, *SINGLE),
        than=("min_variance",),
    ),
    Claim(
        "agents_beat_index",
        "agents and ensembles beat the index in Sharpe ratio",
        "sharpe_ratio",
        better=(*ENSEMBLES, *SINGLE),
        than=("DJIA",),
    ),
)
"""What the paper's section 6.2.2 says about its Table 5."""

STOCK_ENSEMBLE = register(
    "tasks",
    "stock-ensemble",
    Task(
        name="stock-ensemble",
        version=2,
        summary="Three ensembles and their agents, trained anew every 5 sessions (Table 5)",
        data=PRICES,
        assets=DOW_30,
        features=TABLE_2,
        train=Window("train", "2009-01-02", "2020-06-30"),
        validate=Window("validate", "2020-07-01", "2020-12-31"),
        windows=(Window("test", "2021-01-04", "2023-11-30"),),
        rolling=Rolling(train=30, validate=5, trade=5),
        episode=15,
        learning={
            "*": {
                "steps": 2_304,
                "envs": 16,
                "learning_rate": 3e-4,
                "minibatch": 64,
                "hidden": (64, 32),
            },
            "ppo": {"horizon": 128, "epochs": 10},
            "sac": {"warmup": 256, "gradient_steps": 2},
            "ddpg": {"warmup": 256, "gradient_steps": 2},
        },
        index=DJIA,
        agents=(*ENSEMBLES, *SINGLE, "min_variance", "buy_and_hold"),
        published=rows_of(5),
        claims=CLAIMS,
    ),
    summary="Table 5: ensembles of PPO, SAC and DDPG on rolling windows of 30/5/5 sessions",
)

STOCK_ENSEMBLE_LONG = register(
    "tasks",
    "stock-ensemble-long",
    replace(
        STOCK_ENSEMBLE,
        name="stock-ensemble-long",
        summary="The agents of Table 5 on windows of a year, trained anew every quarter",
        rolling=Rolling(train=252, validate=63, trade=63),
        episode=126,
        learning={
            **STOCK_ENSEMBLE.learning,
            "*": {**STOCK_ENSEMBLE.learning["*"], "steps": 16_384},
        },
    ),
    summary="Table 5 on rolling windows of 252/63/63 sessions",
)
