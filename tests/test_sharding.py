"""Where the arrays of a training lie: on all devices, and never on the host in between."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from markets import OPTIMISED, random_panel, whole
from steelyard.agents.ppo import PPO
from steelyard.agents.sac import SAC
from steelyard.capacity import peak_bytes
from steelyard.devices import fetch, missing_platform, spread, working_devices
from steelyard.envs.stock import StockEnv
from steelyard.errors import ConfigError, DeviceError
from steelyard.evaluation.jobs import Jobs, advance, dividing, places_of, start
from steelyard.evaluation.room import training_bytes
from steelyard.market import build_market

TESTS = Path(__file__).resolve().parent
HERE = (jax.devices()[0],)

ON_THE_HOST = re.compile(r"callback|infeed|outfeed|SendToHost|RecvFromHost|host_compute", re.I)
"""What a compiled program calls when it needs the host in the middle."""

SMALL = PPO(steps=64, envs=8, horizon=4, minibatch=16, epochs=1, hidden=(4,))


class Telling(StockEnv):
    """Planted: an environment that speaks to the host at every step."""

    def step(self, *words: Any) -> Any:
        state, after = super().step(*words)
        jax.debug.callback(lambda reward: None, after.reward)
        return state, after


def jobs_of(agent: Any, env: Any = None, features: int = 1) -> Jobs:
    table = np.zeros((30, features), np.float32)
    market = build_market(random_panel(0, rows=30, assets=3), table, precision="float32")
    return Jobs(agent, env or StockEnv(), whole(market), (0,), 1, (False, False))


def lowered(jobs: Jobs) -> Any:
    inputs = jobs.inputs([0], HERE)
    state = eqx.filter_eval_shape(start, inputs, jobs.axes)
    arrays, fixed = eqx.partition(inputs.given, eqx.is_array)

    def step(arrays: Any, state: Any) -> Any:
        return advance(eqx.combine(arrays, fixed), state, 1, jobs.axes)

    return jax.jit(step, donate_argnums=1).lower(arrays, state)


def test_the_training_step_never_calls_the_host() -> None:
    assert not ON_THE_HOST.search(lowered(jobs_of(SMALL)).as_text())


def test_an_environment_that_calls_the_host_is_noticed() -> None:
    assert ON_THE_HOST.search(lowered(jobs_of(SMALL, Telling())).as_text())


@pytest.mark.slow
@pytest.mark.parametrize("agent", [SMALL, SAC(steps=200, envs=4, horizon=4, warmup=100)])
def test_the_compiled_training_is_traced_once_and_lies_in_the_memory_of_its_state(
    agent: Any,
) -> None:
    traces = []

    class Counting(type(agent)):  # type: ignore[misc]
        def advance(self, *words: Any, **options: Any) -> Any:
            traces.append(1)
            return super().advance(*words, **options)

    jobs = jobs_of(Counting(**{name: getattr(agent, name) for name in agent.__dataclass_fields__}))
    training_bytes(jobs, 1, 1)  # the estimate uses the same trace
    inputs = jobs.inputs([0], HERE)
    state = start(inputs, jobs.axes)
    for _ in range(3):
        before, (state, log) = state, advance(inputs.given, state, 1, jobs.axes)
        assert all(np.isfinite(values).all() for values in log.values())
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
    assert len(traces) == 1
    arrays = filter(eqx.is_array, jax.tree.leaves(inputs))
    assert not any(leaf.is_deleted() for leaf in arrays if isinstance(leaf, jax.Array))
    text = advance.lower(inputs.given, state, 1, jobs.axes).compile().compiled.as_text()
    assert "HloModule" in text
    assert not ON_THE_HOST.search(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "agent",
    [
        PPO(envs=1024, horizon=16, minibatch=4096, hidden=(32,)),
        PPO(envs=64, horizon=16, minibatch=512, memory="lstm", hidden=(16,)),
        SAC(envs=16, horizon=4, capacity=50_000, steps=60_000),
    ],
    ids=["large batch", "with memory", "with replay"],
)
def test_the_estimate_lies_within_a_factor_of_two_of_what_the_compiler_allocates(
    agent: Any,
) -> None:
    jobs = jobs_of(agent, features=60)
    found = lowered(jobs).compile(OPTIMISED).memory_analysis()
    true = (
        found.temp_size_in_bytes
        + found.output_size_in_bytes
        + found.argument_size_in_bytes
        - found.alias_size_in_bytes
    )
    assert 1 / 2 < training_bytes(jobs, 1, 1) / true < 2


def test_the_estimate_grows_with_environments_and_with_jobs() -> None:
    few, many = (
        jobs_of(PPO(envs=envs, horizon=4, minibatch=4 * envs, hidden=(4,))) for envs in (64, 4096)
    )
    small, large = training_bytes(few, 1, 1), training_bytes(many, 1, 1)
    each = (large - small) / (4096 - 64)
    row = 4 * 4 * (1 + 3 + 3)  # horizon x bytes of float32 x (reward, actions, log probability...)
    assert each > row
    assert training_bytes(few, 8, 1) > 6 * (small - 30 * 3 * 4 * 8)


def test_peak_memory_of_a_program_worked_by_hand() -> None:
    kilo = jax.ShapeDtypeStruct((250,), jnp.float32)  # 1,000 bytes

    def chain(x: Any) -> Any:
        first = jnp.sort(x)  # x and first
        second = jnp.sort(first + 1)  # the sum is an argument of a sort: x, first, sum; then second
        return jnp.sum(second)

    alone = jax.make_jaxpr(chain)(kilo)
    assert 2_000 <= peak_bytes(alone) <= 4_004
    assert peak_bytes(alone, donated=True) < peak_bytes(alone)

    def stack(x: Any) -> Any:
        return jax.lax.scan(lambda x, _: (x, x), x, None, length=50)

    written = peak_bytes(jax.make_jaxpr(stack)(kilo))
    assert 51_000 <= written <= 54_000  # 50 copies, the carry and the argument


def test_a_cpu_is_one_device_and_devices_must_be_different() -> None:
    assert working_devices() == HERE
    with pytest.raises(ConfigError, match="different ones of one kind"):
        working_devices([*HERE, *HERE])
    with pytest.raises(ConfigError, match="different ones of one kind"):
        working_devices([])


def test_environments_are_dealt_to_as_many_devices_as_they_divide_among() -> None:
    assert dividing(16, tuple("abc")) == ("a", "b")
    assert dividing(7, tuple("abc")) == ("a",)
    jobs = jobs_of(SMALL)
    assert places_of(jobs, None, "envs") == places_of(jobs, None, "jobs") == [HERE]
    with pytest.raises(ConfigError, match="no environments of its own"):
        places_of(jobs_of(object()), None, "envs")


def test_arrays_are_spread_and_fetched_unchanged() -> None:
    tree = {"a": np.arange(6.0), "name": "as it is", "key": jax.random.key(1)}
    placed = spread(tree, HERE)
    assert placed["name"] == "as it is"
    np.testing.assert_array_equal(fetch(placed["a"]), tree["a"])
    assert jax.random.bits(placed["key"]) == jax.random.bits(tree["key"])


def test_a_platform_that_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_platform() is None

    def absent() -> Any:
        raise AssertionError

    monkeypatch.setattr(jax, "devices", absent)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    found = missing_platform()
    assert isinstance(found, DeviceError)
    assert found.message == "JAX finds no device of `cuda`"
    assert found.hint == "JAX_PLATFORMS=cpu"


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = f"{TESTS.parent / 'src'}{os.pathsep}{TESTS}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths, **environment}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_run_on_a_platform_that_is_not_there_says_so_and_what_to_type() -> None:
    words = ("-m", "steelyard", "run", "stock-dow30", "hold_cash", "--seeds", "1")
    for platform in ("cuda", "nonsense"):
        found = run(*words, JAX_PLATFORMS=platform)
        assert found.returncode == 2, found.stderr
        assert "Traceback" not in found.stderr
        assert f"error: JAX finds no device of `{platform}`" in found.stderr
        assert "hint: JAX_PLATFORMS=cpu" in found.stderr


@pytest.mark.slow
def test_four_devices_give_the_numbers_of_one() -> None:
    flags = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    found = run("-W", "error::UserWarning", str(TESTS / "on_four_devices.py"), XLA_FLAGS=flags)
    assert found.returncode == 0, found.stderr


@pytest.mark.slow
def test_two_hosts_give_the_numbers_of_one() -> None:
    paths = f"{TESTS.parent / 'src'}{os.pathsep}{TESTS}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
    script = str(TESTS / "on_two_hosts.py")
    hosts = [
        subprocess.Popen(
            [sys.executable, script, str(number)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for host in hosts:
        _, told = host.communicate(timeout=300)
        assert host.returncode == 0, told
