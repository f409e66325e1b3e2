"""A score as a run would make it, from seeded random walks: nothing here was ever traded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from steelyard.evaluation.claims import Claim, judge
from steelyard.evaluation.results import AgentScore, Backtest, Estimate, Score, WindowScore
from steelyard.metrics import metric_card, summary
from steelyard.tasks.published import rows_of
from steelyard.types import EquityCurve, Floats

CASH = 1_000_000.0

AGENTS: Mapping[str, tuple[str, float, float]] = {
    "ppo": ("learned", 0.13, 0.17),
    "ppo_differential_sharpe": ("learned", 0.09, 0.15),
    "buy_and_hold": ("classic", 0.09, 0.16),
    "equal_weight": ("classic", 0.085, 0.16),
    "minimum_variance": ("classic", 0.06, 0.11),
    "mean_variance": ("classic", 0.08, 0.14),
    "random": ("classic", 0.03, 0.16),
    "hold_cash": ("classic", 0.0, 0.0),
    "DJIA": ("index", 0.065, 0.16),
}
"""Name -> kind, drift and volatility per year."""

PUBLISHED = (
    {
        "table": 5,
        "agent": "PPO",
        "start": "2021-01-04",
        "end": "2023-11-30",
        "metrics": {"cumulative_return": 0.6337, "sharpe_ratio": 1.55, "max_drawdown": -0.0996},
        "sharpe": "annual",
        "flaw": "",
    },
    {
        "table": 4,
        "agent": "DJIA",
        "start": "2023-10-25",
        "end": "2023-11-14",
        "metrics": {"cumulative_return": 0.0542, "sharpe_ratio": 0.45, "max_drawdown": -0.0187},
        "sharpe": "daily",
        "flaw": "the table mixes scales: the index rows are per day",
    },
)


def fake_score(
    *,
    agents: Mapping[str, tuple[str, float, float]] = AGENTS,
    windows: Sequence[tuple[str, int]] = (("test", 735),),
    seeds: int = 5,
    assets: int = 30,
    seed: int = 7,
    **facts: object,
) -> Score:
    """Agents x windows x seeds: every curve follows one market, with luck of its own."""
    rng = np.random.default_rng(seed)
    names = tuple(f"A{number:02d}" for number in range(assets))
    market = [_centred(rng.normal(size=rows)) for _, rows in windows]
    rows = [
        _agent(rng, name, kind, drift, spread, windows, market, seeds, names)
        for name, (kind, drift, spread) in agents.items()
    ]
    fields: dict[str, object] = {
        "task": "stock-dow30",
        "fingerprint": "0123456789abcdef",
        "card": {
            "name": "stock-dow30",
            "version": 1,
            "summary": "Thirty stocks of the Dow Jones index, daily, long only.",
            "data": "us_djia30_daily_2009_2023",
            "train": {"name": "train", "start": "2009-01-02", "end": "2018-12-31"},
            "assets": list(names),
            "features": ["macd", "rsi_30"],
            "cash": CASH,
            "rules": {
                "kind": "stock",
                "cost": 0.001,
                "max_shares": 100.0,
                "fill": "next_open",
                "gates": {"turbulence": 140.0},
                "max_weight": None,
            },
            "periods_per_year": 252.0,
        },
        "conventions": {
            metric: metric_card(metric) for metric in sorted(rows[0].windows[0].metrics)
        },
        "assets": names,
        "rows": rows,
        "published": PUBLISHED,
        "versions": {"steelyard": "0.1.0", "jax": "0.10.2"},
        "seconds": 84.2,
    }
    return Score(**{**fields, **facts})  # type: ignore[arg-type]


TABLE_5: Mapping[str, tuple[str, float, float]] = {
    "ensemble_1": ("learned", 0.11, 0.13),
    "ensemble_2": ("learned", 0.10, 0.13),
    "ensemble_3": ("learned", 0.09, 0.13),
    "ppo": ("learned", 0.11, 0.16),
    "sac": ("learned", 0.07, 0.17),
    "ddpg": ("learned", 0.08, 0.19),
    "min_variance": ("classic", 0.04, 0.11),
    "buy_and_hold": ("classic", 0.07, 0.15),
    "DJIA": ("index", 0.065, 0.15),
}

ENSEMBLES, SINGLE = ("ensemble_1", "ensemble_2", "ensemble_3"), ("ppo", "sac", "ddpg")

CLAIMS = (
    Claim("drawdown", "Ensembles cut drawdown", "max_drawdown", ENSEMBLES, SINGLE),
    Claim("sharpe", "Ensembles beat single agents", "sharpe_ratio", ENSEMBLES, SINGLE),
    Claim("calm", "Ensembles calm down", "annual_volatility", ENSEMBLES, SINGLE),
    Claim("baseline", "Agents beat min-variance", "sharpe_ratio", SINGLE, ("min_variance",)),
    Claim("index", "Agents beat the DJIA", "cumulative_return", SINGLE, ("DJIA",)),
)


def fake_ensembles(*, resamples: int = 60, **facts: object) -> Score:
    """A score of Table 5: ensembles of 3, 15 and 30 members, rolling windows, claims judged."""
    made = fake_score(agents=TABLE_5, **{"seeds": 2, "assets": 4, **facts})  # type: ignore[arg-type]
    rng = np.random.default_rng(3)
    days = [str(day)[:10] for day in made.rows[0].windows[0].curves[0].timestamps[:-1:5]]
    rows = []
    for row in made.rows:
        if row.agent in ENSEMBLES:
            each = (1, 5, 10)[ENSEMBLES.index(row.agent)]
            row = replace(row, ensemble=fake_members(rng, each, days))
        if row.training:
            logs = [
                {name: np.stack([log, log + 0.1]) for name, log in one.items()}
                for one in row.training
            ]
            row = replace(row, training=logs)
        rows.append(row)
    rolling = {
        **{"train": 30, "validate": 5, "trade": 5, "purge": 2, "embargo": 0},
        **{"expanding": False, "retrain": True, "warm_start": False},
    }
    card = {**made.card, "rolling": rolling, "claims": [claim.facts() for claim in CLAIMS]}
    made = replace(made, task="stock-ensemble", rows=rows, card=card, published=rows_of(5))
    return replace(made, verdicts=judge(made, CLAIMS, resamples=resamples))


def fake_members(rng: np.random.Generator, each: int, days: Sequence[str]) -> dict[str, object]:
    """The facts of an ensemble of `each` members of three types."""
    members = [f"{kind} {n + 1}" if each > 1 else kind for kind in SINGLE for n in range(each)]
    count = len(members)
    logits = np.cumsum(0.4 * rng.normal(size=(len(days), count)), axis=0)
    weights = np.exp(logits) * (rng.random((len(days), count)) < 0.8) + 1e-12
    weights[weights < 1e-9] = 0.0
    weights[weights.sum(axis=1) == 0] = 1.0
    weights /= weights.sum(axis=1, keepdims=True)
    kind = np.arange(count) // each
    far = np.abs(kind[:, None] - kind) + 0.3 * rng.random((count, count))
    return {
        "members": members,
        "dates": list(days),
        "weights": weights.tolist(),
        "kl": (2.5 * far).tolist(),
        "agreement": (0.9 - 0.2 * far).tolist(),
        "correlation": [
            [None if a == b else 1 - 0.1 * x for b, x in enumerate(row)]
            for a, row in enumerate(far)
        ],
    }


def refused(name: str, reason: str, **facts: object) -> AgentScore:
    """The row of an agent that was not scored."""
    return AgentScore(name, "classic", (0,), (), note=reason, **facts)  # type: ignore[arg-type]


def made_up(
    name: str,
    kind: str,
    windows: Sequence[tuple[str, Floats, Floats, Mapping[str, Estimate]]],
) -> AgentScore:
    """A row from (window, account values (T,), traded values (T-1,), metrics), one asset."""
    scored = []
    for title, value, traded, metrics in windows:
        days = np.busday_offset("2021-01-04", np.arange(len(value)), roll="forward")
        still = np.zeros((len(value), 1))
        curve = EquityCurve(days, value, 252.0, np.zeros(0))
        one = Backtest(
            curve=curve,
            actions=np.zeros((len(value) - 1, 1), np.float32),
            units=still,
            cash=value,
            traded=traded,
            costs=0 * traded,
            weights=still,
            gated=traded < 0,
        )
        tests = () if kind == "index" else (one,)
        scored.append(
            WindowScore(title, str(days[0]), str(days[-1]), tests, (curve,), dict(metrics))
        )
    return AgentScore(name, kind, (0,), scored)


def _centred(noise: Floats) -> Floats:
    return np.asarray(noise - noise[1:].mean())


def _agent(
    rng: np.random.Generator,
    name: str,
    kind: str,
    drift: float,
    spread: float,
    windows: Sequence[tuple[str, int]],
    market: Sequence[Floats],
    seeds: int,
    assets: tuple[str, ...],
) -> AgentScore:
    count = seeds if kind == "learned" or name == "random" else 1
    scored = []
    start = np.datetime64("2021-01-04", "D")
    for (title, rows), common in zip(windows, market, strict=True):
        days = np.busday_offset(start, np.arange(rows), roll="forward")
        start = days[-1] + np.timedelta64(3, "D")
        tests = [_backtest(rng, days, common, drift, spread, len(assets)) for _ in range(count)]
        curves = [one.curve for one in tests]
        scored.append(
            WindowScore(
                name=title,
                start=str(days[0]),
                end=str(days[-1]),
                backtests=() if kind == "index" else tests,
                curves=curves,
                metrics=_estimates(curves, rng),
            )
        )
    learned = kind == "learned"
    return AgentScore(
        agent=name,
        kind=kind,
        seeds=tuple(range(count)),
        windows=scored,
        training=[_log(rng) for _ in range(count)] if learned else (),
        settings={"learning_rate": 3e-4, "hidden": [64, 32]} if learned else {},
        seconds=31.0 if learned else 0.4,
    )


def _backtest(
    rng: np.random.Generator,
    days: np.ndarray,
    common: Floats,
    drift: float,
    spread: float,
    assets: int,
) -> Backtest:
    rows = len(days)
    noise = 0.85 * common[1:] + 0.5 * rng.normal(size=rows - 1)
    value = CASH * np.cumprod(np.append(1.0, 1 + drift / 252 + spread / np.sqrt(252) * noise))
    weights = np.zeros((rows, assets))
    if spread:
        level = np.exp(
            rng.normal(size=assets) + np.cumsum(0.03 * rng.normal(size=(rows, assets)), 0)
        )
        invested = 0.6 + 0.35 * np.sin(np.linspace(0, 5, rows))
        weights[1:] = (level / level.sum(axis=1, keepdims=True) * invested[:, None])[1:]
    traded = rng.gamma(1.0, 8e3, rows - 1) * (rng.random(rows - 1) < 0.7) * (spread > 0)
    trades = rng.normal(80, 900, 40) if spread else np.zeros(0)
    return Backtest(
        curve=EquityCurve(days, value, 252.0, trades),
        actions=rng.uniform(-1, 1, (rows - 1, assets)).astype(np.float32),
        units=np.zeros((rows, assets)),
        cash=value * (1 - weights.sum(axis=1)),
        traded=traded,
        costs=traded * 1e-3,
        weights=weights,
        gated=rng.random(rows - 1) < 0.03,
    )


def _estimates(curves: Sequence[EquityCurve], rng: np.random.Generator) -> dict[str, Estimate]:
    points = [summary(curve) for curve in curves]
    found = {}
    for name in points[0]:
        values = np.array([point[name] for point in points])
        middle = float(np.median(values))
        width = (
            (0.05 if "daily" in name else 0.9 if "ratio" in name else 0.03)
            * rng.uniform(0.7, 1.1)
            * (np.abs(values).max() > 0)
        )
        found[name] = Estimate(middle, middle - width, middle + width)
    return found


def _log(rng: np.random.Generator) -> dict[str, Floats]:
    step = np.linspace(0, 1, 97)
    noise = rng.normal(size=(5, 97))
    return {
        "reward": 0.02 * step**0.5 + 0.004 * noise[0],
        "value_error": 0.5 * np.exp(-4 * step) + 0.02 * np.abs(noise[1]),
        "kl": 0.008 * (1 - step) + 0.001 * np.abs(noise[2]),
        "policy_loss": -0.004 * (1 - step) + 0.0006 * noise[3],
        "entropy": 20 - 6 * step + 0.1 * noise[4],
    }
