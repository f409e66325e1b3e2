"""One coin in its order book, second by second: the crypto tasks of the paper's section 6.3."""

from __future__ import annotations

from dataclasses import replace

from steelyard.benchmark import BookRules, Task, Window
from steelyard.evaluation.claims import Claim
from steelyard.registry import register
from steelyard.tasks.published import as_facts
from steelyard.tasks.published_crypto import PERIOD_7, PERIOD_8, TABLE_7, TABLE_8

BOOK = "bundled:lob_btc_trademaster_small_5lvl"
"""The bundled book; whoever has the Kaggle file of the paper runs `--data books:BTC_1sec.csv`."""

BOOK_FEATURES = (
    "imbalance",
    "spread_liquidity",
    "order_flow_imbalance",
    "intraday_volatility",
    "momentum",
    "noise_to_signal",
)
"""What any book with sizes tells."""

VOTES = ("vote_1", "vote_2", "vote_3")
VALUES = ("dqn", "double_dqn", "dueling_dqn")
BASELINES = ("fixed_time_exit", "buy_and_hold", "random", "hold_cash")

REPLAYED = {
    "warmup": 4_096,
    "gradient_steps": 1,
    "n_steps": 8,
    "huber": 10.0,
    "exploration_fraction": 0.5,
    "exploration_end": 0.02,
}
"""With one-step returns, or with chance gone after a tenth of the training as in the defaults,
values settle on one side of a planted book (tests/test_planted_book.py)."""

CLAIMS = (
    Claim(
        "votes_beat_agents",
        "majority votes beat single agents in Sharpe ratio",
        "sharpe_ratio",
        better=VOTES,
        than=VALUES,
    ),
    Claim(
        "votes_cut_drawdown",
        "majority votes cut the drawdown of single agents",
        "max_drawdown",
        better=VOTES,
        than=VALUES,
    ),
    Claim(
        "agents_beat_fixed_time_exit",
        "agents and votes beat the fixed-time exit in Sharpe ratio",
        "sharpe_ratio",
        better=(*VOTES, *VALUES),
        than=("fixed_time_exit",),
    ),
    Claim(
        "agents_beat_the_price",
        "agents and votes beat the price of BTC in Sharpe ratio",
        "sharpe_ratio",
        better=(*VOTES, *VALUES),
        than=("BTC",),
    ),
)
"""What the paper's section 6.3.1 says about its Table 7."""

CRYPTO_ENSEMBLE_2024 = register(
    "tasks",
    "crypto-ensemble-2024",
    Task(
        name="crypto-ensemble-2024",
        version=1,
        summary="One coin in its order book: DQN agents and their majority votes (Table 7)",
        data=BOOK,
        features=BOOK_FEATURES,
        train=Window("train", "2021-04-17T00:38:03", "2021-04-19T05:00:00"),
        validate=Window("validate", "2021-04-19T05:00:01", "2021-04-19T09:09:21"),
        windows=(Window("test", *PERIOD_7),),
        split=(0.6, 0.2, 0.2),
        cash=1_000.0,
        rules=BookRules(unit=0.01, step_gap=2, delay=1, max_holding=1_800, stop_loss=1e-3),
        episode=1_024,
        learning={
            "*": {
                "steps": 131_072,
                "envs": 64,
                "learning_rate": 3e-4,
                "minibatch": 256,
                "hidden": (128, 128, 128),
                "discount": 0.99,
            },
            **dict.fromkeys(VALUES, REPLAYED),
            "ppo": {"horizon": 128, "epochs": 4, "minibatch": 1_024},
        },
        periods_per_year=0.0,
        index={"BTC": ("", "")},
        agents=(*VOTES, *VALUES, "ppo", *BASELINES),
        published=as_facts(TABLE_7),
        claims=CLAIMS,
    ),
    summary="One coin in its order book, second by second: Table 7, or any book with `--data`",
)

CRYPTO_ALPHASEEK_2025 = register(
    "tasks",
    "crypto-alphaseek-2025",
    replace(
        CRYPTO_ENSEMBLE_2024,
        name="crypto-alphaseek-2025",
        summary="FinRL Contest 2025: mine factors of a book, then trade on them (Table 8)",
        needs_factors=True,
        train=Window("train", "2021-04-14T00:00:00", "2021-04-16T12:00:00"),
        validate=Window("validate", "2021-04-16T12:00:01", "2021-04-17T00:38:01"),
        windows=(Window("test", *PERIOD_8),),
        split=(0.4, 0.3, 0.1, 0.2),
        published=as_facts(TABLE_8),
        claims=tuple(claim for claim in CLAIMS if claim.name != "agents_beat_fixed_time_exit"),
    ),
    summary="Two stages: `steelyard factors mine`, then agents on the factors; Table 8",
)
