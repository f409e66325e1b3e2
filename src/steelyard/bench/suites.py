"""What `steelyard bench` measures: declarations only, one tuple of cases.

The bars are ratios to reach, so that they mean the same on every machine; ceilings of seconds are
the exception (start).
"""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.bench.door_cases import DOORS
from steelyard.bench.gauges import Alphas, FirstUpdate, Help, Memory
from steelyard.bench.growth_cases import GROWTH
from steelyard.bench.hunting import Hunt
from steelyard.bench.orderbook_cases import ORDERBOOK
from steelyard.bench.protocol import Duel, Side
from steelyard.bench.ratio_cases import RATIOS
from steelyard.bench.result import Case
from steelyard.bench.returns_cases import RETURNS
from steelyard.bench.rollout_cases import ROLLOUT
from steelyard.bench.training_cases import ACCOUNT, SAME_MARKET, TRAIN, WINDOWS

SUITES: Mapping[str, str] = {
    "rollout": "environment steps: market only, and with a 64-32 policy in the loop",
    "growth": "how cost grows with environments, assets, features and time",
    "train": "complete training, agent by agent, against the same one of stable-baselines3",
    "windows": "windows, seeds and members in one program against one program each",
    "doors": "environments as users of Gymnasium, torch and stable-baselines3 step them",
    "orderbook": "order book steps against the rules of the 2024 kit; DQN against that of SB3",
    "features": "eight indicators and turbulence, 30 stocks x 3,300 days; 101 alphas of a book",
    "metrics": "metrics of 10,000 equity curves",
    "ledger": "the exact ledger against float32 money",
    "memory": "peak memory of a rollout against the size of its observations",
    "start": "seconds to the first trained update, and to --help",
    "leaks": "what the search for leaks adds to a run; ten minutes, only when named",
    "ratios": "what CI watches: quick ratios against fixed programs and accepted ones",
    "returns": "returns on CartPole and Pendulum over ten seeds; about an hour, only when named",
}
"""Name -> what it measures."""

ONLY_NAMED = frozenset({"leaks", "ratios", "returns"})
"""Suites that run only where they are named."""

LIBRARIES = ("sb3",)
"""What `--against` takes beside the peers' environments: stable-baselines3, in that of FinRL."""

METRICS = (
    "cumulative_return",
    "annual_return",
    "annual_volatility",
    "sharpe_ratio",
    "max_drawdown",
    "sortino_ratio",
    "calmar_ratio",
    "omega_ratio",
)
"""Metrics that both empyrical and we have."""

_MARKET, _HOST = "steelyard.bench.ours_market", "steelyard.bench.ours_host"

CASES: tuple[Case, ...] = (
    *ROLLOUT,
    *GROWTH,
    *TRAIN,
    *WINDOWS,
    *ORDERBOOK,
    *DOORS,
    Duel(
        "features",
        "eight indicators",
        Side(_HOST, "indicators"),
        Side("finrl_features", "indicators", peer="finrl"),
        bar=100,
        versus="FinRL's FeatureEngineer with stockstats 0.6.10",
        agree=("data", "names"),
        note="seven compared by value; stockstats 0.6 smooths dx_30 in another way",
    ),
    Duel(
        "features",
        "turbulence",
        Side(_HOST, "turbulence"),
        Side("finrl_features", "turbulence", peer="finrl"),
        bar=20,
        versus="FinRL's FeatureEngineer",
    ),
    # a fiftieth of what the 2025 kit's published log says, 6,105 s for 1,030,728 rows
    Alphas("features", "101 alphas, 86,373 seconds of a book", bar=6_105 * 86_373 / 1_030_728 / 50),
    Duel(
        "metrics",
        "10,000 curves, eight metrics",
        Side(_HOST, "metrics", ({"curves": 10_000, "compared": 500, "metrics": METRICS},)),
        Side(
            "empyrical_metrics",
            "metrics",
            ({"curves": 500, "compared": 500, "metrics": METRICS},),
            peer="finrl",
        ),
        bar=10,
        versus="empyrical-reloaded 0.7.1 on NumPy arrays, curve by curve",
        agree=("data", "names"),
        tolerance=1e-9,
        note="the peer weighs 500 of the curves a round and is extrapolated linearly",
        unit="curves per CPU-second",
    ),
    Duel(
        "ledger",
        "exact money",
        Side(_MARKET, "steps", ({**ACCOUNT, "envs": 2_048, "horizon": 512, "precision": "exact"},)),
        Side(
            _MARKET, "steps", ({**ACCOUNT, "envs": 2_048, "horizon": 512, "precision": "float32"},)
        ),
        bar=1 / 1.5,
        versus="the float32 ledger: exact money may cost 1.5 times as much",
        agree=SAME_MARKET,
    ),
    Memory(
        "memory",
        "growth with features",
        bar=0.1,
        options={**ACCOUNT, "envs": 1_024, "horizon": 128},
    ),
    FirstUpdate("start", "first trained update, warm cache", bar=3.0, options=ACCOUNT),
    FirstUpdate(
        "start",
        "first trained update, warm, after imports",
        bar=1.5,
        options=ACCOUNT,
        imports=False,
    ),
    FirstUpdate(
        "start",
        "first trained update, cold, after imports",
        bar=5.0,
        options=ACCOUNT,
        cold=True,
        imports=False,
    ),
    Help("start", "steelyard --help", bar=0.5),
    Hunt("leaks", "stock-dow30, PPO at its default budget", bar=1.3),
    *RATIOS,
    *RETURNS,
)
"""All cases, in the order of the table."""
