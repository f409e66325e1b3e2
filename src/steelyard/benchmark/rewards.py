"""Rewards by the names that rules have for them: what learners see, not what is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from steelyard.envs.rewards import DifferentialSharpe, Reward, RiskPenalised, ValueChange
from steelyard.errors import ConfigError
from steelyard.registry import did_you_mean

REWARDS: Mapping[str, Callable[[], Reward]] = {
    "value_change": ValueChange,
    "risk_penalised": RiskPenalised,
    "differential_sharpe": DifferentialSharpe,
}


def require_reward(name: str) -> None:
    """Refuse a name that no reward has.

    Raises:
        ConfigError: it is so.
    """
    if name not in REWARDS:
        raise ConfigError(f"no reward named `{name}`", hint=did_you_mean(name, list(REWARDS)))
