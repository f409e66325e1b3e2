"""A run that is gone on from: what its bundle holds is repeated, not trained again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from steelyard.benchmark.configure import identity
from steelyard.benchmark.task import Window
from steelyard.errors import ConfigError
from steelyard.evaluation.backtest import Recorded
from steelyard.types import Facts, Floats


class Earlier:
    """The passes of a result bundle, by agent and seed.

    Args:
        bundle: directory that `steelyard run` wrote.
        fingerprint: of the task, the data and the library now.

    Raises:
        BundleError: no bundle, or a damaged one.
        ConfigError: the bundle is of another task, other data or another version.
    """

    def __init__(self, bundle: Path, fingerprint: str) -> None:
        from steelyard.evaluation.bundle import actions, read, training

        content = read(bundle)
        there = content["score"]["fingerprint"]
        if there != fingerprint:
            raise ConfigError(
                f"{bundle} has the fingerprint {there}, this run {fingerprint}: the task, its data "
                "or the library changed",
                hint="run without --resume, or with another --out",
            )
        self._actions = actions(bundle)
        self._logs = training(bundle)
        self._rows: Mapping[str, Facts] = {row["agent"]: row for row in content["score"]["rows"]}
        self._identities: Mapping[str, str] = {
            one["agent"]: one.get("identity", "") for one in content["config"]["agents"]
        }

    def seeds(self, name: str, agent: Any) -> set[int]:
        """Seeds of an agent that need not be trained: same name, same code, same settings."""
        row = self._rows.get(name)
        if row is None or row.get("note") or self._identities.get(name) != identity(agent):
            return set()
        windows = [window["name"] for window in row["windows"]]
        return {
            seed
            for seed in row["seeds"]
            if all((name, window, seed) in self._actions for window in windows)
        }

    def missing(self, name: str, agent: Any, seeds: Sequence[int]) -> list[int]:
        """Those of `seeds` that must be trained."""
        known = self.seeds(name, agent)
        return [seed for seed in seeds if seed not in known]

    def policy(self, name: str, window: Window, seed: int) -> Recorded:
        """What the agent did in a window."""
        with jax.enable_x64(True):
            return Recorded(jnp.asarray(self._actions[name, window.name, seed], jnp.float32))

    def log(self, name: str, seed: int) -> Mapping[str, Floats]:
        """The training log of a seed; empty where none was kept."""
        return self._logs.get((name, seed), {})

    def searched(self, name: str) -> Facts:
        """How an agent ran, and what the search for leaks did, when its passes were recorded."""
        row = self._rows[name]
        return {"isolation": row.get("isolation", ""), "hunt": row.get("hunt", {})}

    def ensemble(self, name: str) -> Facts:
        """What the bundle says of an ensemble's members."""
        found: Facts = self._rows[name].get("ensemble", {})
        return found
