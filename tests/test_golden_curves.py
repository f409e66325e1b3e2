"""Agents without learning score to the last bit what they scored when their curves were kept.

The file holds digits of our own, so this says nothing about what is right, only that it did not
change: what moves one of these curves moves a published score, and bumps the version of its task.
"""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from steelyard.benchmark import evaluate
from steelyard.registry import find
from steelyard.types import EquityCurve

KEPT = dict(np.load(Path(__file__).parent / "golden" / "curves_without_learning.npz"))
"""`task|agent|window|seed|value` -> (T,) float64, or `...|sha256` -> (32,) digest of its bytes, and
`task|window|time` -> (T,) microseconds."""

OPTIMISERS = ("min_variance", "mean_variance")
"""Agents that solve a programme every month."""


def cases():
    """Every (task, agent) that is kept; slow is what takes more than a few seconds in all."""
    for task, agent in dict.fromkeys(tuple(key.split("|")[:2]) for key in KEPT if digits(key)):
        fast = task == "stock-dow30" and agent not in OPTIMISERS
        yield pytest.param(task, agent, marks=() if fast else pytest.mark.slow)


def digits(key):
    return key.endswith(("|value", "|sha256"))


def fault(key, curve):
    """What sets a curve apart from the kept one, "" where nothing does."""
    value, kept = np.asarray(curve.value, np.float64), KEPT[key]
    if key.endswith("|sha256"):
        digest = np.frombuffer(sha256(value.tobytes()).digest(), np.uint8)
        return "" if np.array_equal(digest, kept) else "another digest"
    task, _, window, *_ = key.split("|")
    clock = curve.timestamps.astype("datetime64[us]").astype(np.int64)
    if not len(kept) - 1 <= len(value) <= len(kept):  # a window may come to end a session earlier
        return f"{len(value)} rows, not {len(kept)}"
    if not np.array_equal(clock, KEPT[f"{task}|{window}|time"][: len(clock)]):
        return "other rows"
    moved = np.flatnonzero(value != kept[: len(value)])
    return f"another value at row {moved[0]}" if len(moved) else ""


@pytest.mark.parametrize(("task", "agent"), list(cases()))
def test_an_agent_without_learning_scores_what_it_scored_before(task, agent):
    score = evaluate(find("tasks", task), [agent], seeds=(0, 1))
    row = score.rows[0]
    found = {
        f"{task}|{agent}|{window.name}|{seed}": curve
        for window in row.windows
        for seed, curve in zip(row.seeds, window.curves, strict=True)
    }
    kept = [key for key in KEPT if digits(key) and key.split("|")[:2] == [task, agent]]
    assert set(found) == {key.rpartition("|")[0] for key in kept}
    faults = {key: fault(key, found[key.rpartition("|")[0]]) for key in kept}
    assert {key: text for key, text in faults.items() if text} == {}


def test_a_curve_that_moved_by_one_bit_or_in_time_or_lost_two_rows_is_caught():
    key = "stock-2023|random|before the deadline|0|value"
    clock = KEPT["stock-2023|before the deadline|time"].astype("datetime64[us]")
    curve = EquityCurve(clock, KEPT[key], 252.0)
    assert fault(key, curve) == ""
    assert fault(key, EquityCurve(clock[:-1], curve.value[:-1], 252.0)) == ""
    assert fault(key, EquityCurve(clock[:-2], curve.value[:-2], 252.0)) == "13 rows, not 15"
    assert fault(key, EquityCurve(clock + 1, curve.value, 252.0)) == "other rows"
    moved = np.where(np.arange(15) == 7, np.nextafter(curve.value, np.inf), curve.value)
    assert fault(key, EquityCurve(clock, moved, 252.0)) == "another value at row 7"
    assert fault("crypto-btc-1h|random|test|0|sha256", curve) == "another digest"
