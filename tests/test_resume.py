"""A run that is gone on from trains nothing twice, and comes to the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steelyard.benchmark import StockRules, evaluate, learning, open_venue
from steelyard.benchmark.earlier import Earlier
from steelyard.errors import BundleError, ConfigError
from steelyard.evaluation.bundle import write
from steelyard.evaluation.checkpoints import Checkpoints
from steelyard.evaluation.training import fit
from tasks_for_tests import QUICK, planted

AGENT = ("quick", replace(QUICK, steps=512, epochs=1))
TASK = planted(assets=4)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The seeds of every training that is begun."""
    begun: list[tuple[int, ...]] = []

    def note(agent: Any, env: Any, params: Any, seeds: Sequence[int], **rest: Any) -> Any:
        begun.append(tuple(seeds))
        return fit(agent, env, params, seeds, **rest)

    monkeypatch.setattr(learning, "fit", note)
    return begun


def test_seeds_are_added_to_a_bundle_without_training_the_old_ones_again(
    trained: list[tuple[int, ...]], tmp_path: Path
) -> None:
    venue = open_venue(TASK)
    bundle = write(evaluate(TASK, [AGENT], seeds=(0,), venue=venue), tmp_path / "run")
    earlier = Earlier(bundle, venue.fingerprint)
    more = evaluate(TASK, [AGENT], seeds=(0, 1), venue=venue, earlier=earlier)
    assert trained == [(0,), (1,)]
    fresh = evaluate(TASK, [AGENT], seeds=(1,), venue=venue)
    one, other = (score.rows[0].windows[0].backtests[-1].actions for score in (more, fresh))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        more.rows[0].windows[0].curves[0].value, earlier_curve(bundle), strict=True
    )
    assert set(more.rows[0].training[0]) == set(more.rows[0].training[1])


def earlier_curve(bundle: Path) -> np.ndarray:
    from steelyard.evaluation.bundle import curves

    return curves(bundle)["quick", "test", 0][1]


@pytest.mark.slow
def test_an_agent_with_other_settings_is_trained_anew(
    trained: list[tuple[int, ...]], tmp_path: Path
) -> None:
    venue = open_venue(TASK)
    bundle = write(evaluate(TASK, [AGENT], seeds=(0,), venue=venue), tmp_path / "run")
    other = ("quick", replace(AGENT[1], discount=0.9))
    earlier = Earlier(bundle, venue.fingerprint)
    evaluate(TASK, [other], seeds=(0,), venue=venue, earlier=earlier)
    assert trained == [(0,), (0,)]


def test_a_bundle_of_another_task_is_not_gone_on_from(tmp_path: Path) -> None:
    bundle = write(evaluate(TASK, ["hold_cash"]), tmp_path / "run")
    with pytest.raises(ConfigError, match="the library changed"):
        Earlier(bundle, open_venue(replace(TASK, rules=StockRules(cost=0.002))).fingerprint)


def test_a_training_that_was_kept_is_not_done_again(
    trained: list[tuple[int, ...]], tmp_path: Path
) -> None:
    venue, kept = open_venue(TASK), Checkpoints(tmp_path / "trainings")
    first = evaluate(TASK, [AGENT], seeds=(0,), venue=venue, checkpoints=kept)
    second = evaluate(TASK, [AGENT], seeds=(0,), venue=venue, checkpoints=kept)
    assert trained == [(0,)]
    one, other = (score.rows[0].windows[0].backtests[0].actions for score in (first, second))
    np.testing.assert_array_equal(one, other)
    assert set(first.rows[0].training[0]) == set(second.rows[0].training[0])


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    venue, kept = open_venue(TASK), Checkpoints(tmp_path / "trainings")
    evaluate(TASK, [AGENT], seeds=(0,), venue=venue, checkpoints=kept)
    (file,) = (tmp_path / "trainings").iterdir()
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(BundleError, match="cannot be read"):
        evaluate(TASK, [AGENT], seeds=(0,), venue=venue, checkpoints=kept)
