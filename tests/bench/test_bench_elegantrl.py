"""ElegantRL as published and repaired: what is replaced, and that it then trades as it is meant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steelyard.bench.peer_env import find_peer, interpreter
from steelyard.bench.peers.elegantrl_load import CLASS, REPAIRS, module_of
from steelyard.bench.peers.stock_probe import probe
from steelyard.bench.synthetic import write_market
from steelyard.bench.training_cases import ACCOUNT
from steelyard.bench.worker import Worker, peer_program

BEFORE, AFTER = list(REPAIRS), list(REPAIRS.values())

TEXT = f"""
class Recorder:
    def __init__(self): self.asked = []
    def __getattr__(self, name): return lambda *given, **named: self.asked.append((name, given))
torch = Recorder()

class Sibling:
    def step(self, action):
        return {BEFORE[0]}

class {CLASS}:
    shares = 1
    def step(self, action, action_int=0, state=1, reward=2, done=3, amount=4, close=5, cost_pct=6):
        {BEFORE[0]}
        {BEFORE[2]}
        return {BEFORE[3]}

    def sellers(self, action_int):
        return {BEFORE[1]}
"""
"""A file with the same four expressions, and one more of them where nothing is to be repaired."""


def test_only_the_expressions_of_the_measured_class_are_replaced() -> None:
    class Action:
        def clone(self) -> str:
            return "cloned"

    published, repaired = module_of(TEXT, repaired=False), module_of(TEXT, repaired=True)
    assert published().step(Action()) == (1, 2, 3, ())
    assert len(repaired().step(Action())) == 5
    divided = repaired.step.__globals__["torch"].asked[0]
    assert divided == ("div", (4, 5 * (1 + 6)))
    sibling = repaired.step.__globals__["Sibling"]
    sibling().step(None)
    assert repaired.step.__globals__["torch"].asked[-1] == ("ones_like", (None,))


@pytest.mark.parametrize("expression", BEFORE)
@pytest.mark.parametrize("instead", ["None", "({0}, {0})"])
def test_another_release_is_refused(expression: str, instead: str) -> None:
    head, tail = TEXT.rsplit(expression, 1)
    with pytest.raises(RuntimeError, match="not the release that is repaired"):
        module_of(head + instead.format(expression) + tail, repaired=True)


def slowly(
    close: NDArray[np.float64], actions: NDArray[np.float32], options: Mapping[str, Any]
) -> float:
    """What one account is worth by the published rules without their faults, step by step."""
    cash, held = float(options["cash"]), np.zeros(close.shape[1])
    for day, action in enumerate(actions, start=1):
        wanted = np.trunc(np.where(np.abs(action) < 0.1, 0, action) * np.float32(options["hmax"]))
        for stock, price in enumerate(close[day]):
            dearer = price * (1 + options["cost"])
            if wanted[stock] > 0:
                bought = min(wanted[stock], cash // dearer)
                cash, held[stock] = cash - bought * dearer, held[stock] + bought
            else:
                sold = min(-wanted[stock], held[stock])
                cash += sold * price * (1 - options["cost"])
                held[stock] -= sold
    return float(cash + held @ close[len(actions)])


@pytest.mark.peer
def test_the_repaired_environment_trades_as_it_is_meant_and_the_published_one_does_not(
    tmp_path: Path,
) -> None:
    write_market(tmp_path, rows=120, assets=5, features=2)
    close = np.load(tmp_path / "market.npz")["close"]
    # a commission so high that it tells at once whether it is counted
    options = {**ACCOUNT, "cash": 20_000, "cost": 0.05, "envs": 3, "steps": 8}
    program = peer_program("elegantrl_market", interpreter(find_peer("elegantrl")))
    with Worker(program) as worker:
        asked = ("market", "repaired_market")
        told = {name: worker.open(name, name, tmp_path, options)["facts"] for name in asked}
    _, actions = next(probe(*close.shape))
    expected = [slowly(close, actions[:, env], options) for env in range(actions.shape[1])]
    # float32 money: a share more or less where the cash is all but enough for it
    assert told["repaired_market"]["traded"] == pytest.approx(expected, rel=5e-3)
    assert told["repaired_market"]["least"] > -0.01
    assert told["repaired_market"]["actions_matter"] is True
    assert told["market"]["actions_matter"] is False
    assert told["market"]["least"] < -0.01
    assert told["market"]["traded"] != pytest.approx(expected, rel=5e-3)
