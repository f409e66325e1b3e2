"""The contract of rewards, checked on any reward: `check_reward`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from steelyard.errors import ContractError, SteelyardError

CUTS = 4  # steps after which the values are replaced
FEW = 12  # steps that are run by Python, each by itself
BATCH = 3  # accounts that are rewarded together
SAME = 1e-9  # of the largest reward: other programs may round in another order
START = 1e6  # quote currency
NUMBER = (bool, int, float, np.generic, np.ndarray, jax.Array)


def check_reward(reward: Any, *, steps: int = 64, lost: bool = False) -> None:
    """Check that a reward keeps the contract of `steelyard.envs.rewards.Reward`.

    * It has `initial(value)` and is called with a memory and the values before and after a step;
      all that it holds are numbers, so that it is a part of the params of an environment.
    * It can be compiled, in 32 and in 64 bits: it answers with a memory of the structure, shapes
      and types that it was given, and with one float of the type of the values.
    * It is a finite number for an account that moves, that stands still, and that loses nearly all.
    * It is a function of its arguments: in this pass and in the next one, after other calls,
      compiled, compiled anew and step by step it is the same.
    * It is causal: rewards up to step t stay when the values after t are replaced, at several t.
    * Rewards of many accounts at once are those of each.

    Args:
        reward: an instance.
        steps: of the accounts that are rewarded, at least 2.
        lost: it must be finite too for a last step to 0, and to below 0: with short sales and in a
            book an account may end so. The logarithm of a return is not.

    Raises:
        ContractError: the first part of the contract that is broken, with a hint.
    """
    name = type(reward).__name__
    _check_parts(reward)
    with _named(name):
        for double in (False, True):
            with jax.enable_x64(double):
                _check_shapes(reward, name)
                _check_finite(reward, name, _fates(steps, lost))
        with jax.enable_x64(True):
            values, play = jnp.asarray(_accounts(steps, BATCH)), _compiled()
            _check_pure(reward, name, values, play)
            _check_causal(reward, name, values[0], play)
            _check_programs(reward, name, values, play)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the reward by whatever is raised in it."""
    try:
        yield
    except SteelyardError:
        raise
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise ContractError(
            f"reward `{name}` cannot be compiled: {type(error).__name__}: {first}",
            hint="write jnp.where instead of `if`, jax.numpy instead of float and NumPy, and keep "
            "nothing outside of the memory",
        ) from error


def _check_parts(reward: Any) -> None:
    """An instance with both methods, and with nothing inside but numbers."""
    if isinstance(reward, type):
        raise ContractError(
            f"`{reward.__name__}` is a class, not a reward", hint=f"give {reward.__name__}()"
        )
    name = type(reward).__name__
    if not callable(getattr(reward, "initial", None)) or not callable(reward):
        raise ContractError(
            f"reward `{name}` has no method initial, or cannot be called",
            hint="def initial(self, value): ...; def __call__(self, memory, before, after): ...",
        )
    for leaf in jax.tree.leaves(reward):
        if not isinstance(leaf, NUMBER):
            raise ContractError(
                f"reward `{name}` holds {type(leaf).__name__}, which is not a number",
                hint=f"class {name}(eqx.Module), with numbers as fields",
            )


def _check_shapes(reward: Any, name: str) -> None:
    """Everything that can be seen without running anything."""
    value = jax.eval_shape(lambda: jnp.zeros(()))
    memory = jax.eval_shape(lambda made, value: made.initial(value), reward, value)
    answer = jax.eval_shape(lambda made, *rest: made(*rest), reward, memory, value, value)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise ContractError(
            f"reward `{name}` answers with {type(answer).__name__}, not a memory and a reward",
            hint="return memory, reward",
        )
    after, earned = answer
    if _shapes(memory) != _shapes(after):
        raise ContractError(
            f"reward `{name}`: its memory is {memory} at the start and {after} after a step",
            hint="keep structure, shapes and types: jnp.zeros(2, value.dtype)",
        )
    shape, dtype = getattr(earned, "shape", None), getattr(earned, "dtype", type(earned))
    if shape != () or dtype != value.dtype:
        raise ContractError(
            f"reward `{name}` is {dtype} of shape {shape}, not one {value.dtype} as the values are",
            hint="compute one number from before and after, for one account",
        )


def _shapes(tree: Any) -> tuple[Any, list[Any]]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _accounts(steps: int, count: int) -> NDArray[np.float64]:
    """Seeded values (count, T+1) of accounts that move by one per cent a step."""
    moves = np.random.default_rng(0).normal(0.0, 0.01, (count, steps + 1))
    return START * np.exp(np.cumsum(moves, axis=1))


def _play(reward: Any, values: Float[Array, " T"]) -> Float[Array, " S"]:
    """Rewards of the steps of an account with these values."""

    def step(memory: Any, pair: Any) -> Any:
        return reward(memory, *pair)

    rewards: Array = jax.lax.scan(step, reward.initial(values[0]), (values[:-1], values[1:]))[1]
    return rewards


def _compiled() -> Callable[..., Any]:
    """`_play`, traced anew."""
    return jax.jit(lambda reward, values: _play(reward, values))


def _stepped(reward: Any, values: Float[Array, " T"]) -> NDArray[Any]:
    """The first rewards of `_play`, every step run by Python."""
    with jax.disable_jit():
        return np.asarray(_play(reward, values[: FEW + 1]))


def _fates(steps: int, lost: bool) -> dict[str, NDArray[np.float64]]:
    """What may become of an account -> its values (T+1,)."""
    moving = _accounts(steps, 1)[0]
    fates = {
        "moves": moving,
        "stands still": np.full(steps + 1, START),
        "loses nearly all": START * np.geomspace(1.0, 1e-6, steps + 1),
    }
    if lost:
        fates["is lost"] = np.append(moving[:-1], 0.0)
        fates["is lost and owes"] = np.append(moving[:-1], -moving[-2])
    return fates


def _check_finite(reward: Any, name: str, fates: dict[str, NDArray[np.float64]]) -> None:
    play = _compiled()
    for what, values in fates.items():
        rewards = np.asarray(play(reward, jnp.asarray(values)))
        bad = ~np.isfinite(rewards)
        if bad.any():
            step = int(np.argmax(bad))
            raise ContractError(
                f"reward `{name}` is {rewards[step]} for an account that {what}, in a step from "
                f"{values[step]:.6g} to {values[step + 1]:.6g}",
                hint="keep what is divided by and what has a logarithm above 0: jnp.maximum",
            )


def _check_pure(
    reward: Any, name: str, values: Float[Array, "B T"], play: Callable[..., Any]
) -> None:
    """The same rewards in every pass, with another account between two passes."""
    stepped, compiled = _stepped(reward, values[0]), np.asarray(play(reward, values[0]))
    _stepped(reward, values[1])
    passes = {
        "in a second pass": (stepped, _stepped(reward, values[0])),
        "when it is compiled anew": (compiled, np.asarray(_compiled()(reward, values[0]))),
    }
    for when, (one, again) in passes.items():
        if not _equal(one, again, 0.0):
            raise _impure(name, when)


def _impure(name: str, when: str) -> ContractError:
    return ContractError(
        f"reward `{name}` is another one {when}: it is not a function of its arguments",
        hint="remember in the memory alone; read nothing that changes, draw nothing",
    )


def _check_causal(
    reward: Any, name: str, values: Float[Array, " T"], play: Callable[..., Any]
) -> None:
    """Rewards up to a step must not move with the values after it."""
    garbage = START * np.exp(np.random.default_rng(1).normal(0.0, 1.0, len(values)))
    for way, rewarded in {"compiled": play, "step by step": _stepped}.items():
        rewards = np.asarray(rewarded(reward, values))
        for cut in np.unique(np.linspace(1, len(rewards) - 1, CUTS).astype(int)).tolist():
            later = np.arange(len(values)) > cut
            changed = np.asarray(rewarded(reward, jnp.where(later, garbage, values)))
            if not _equal(changed[:cut], rewards[:cut], 0.0):
                raise ContractError(
                    f"reward `{name}` looks ahead: {way}, rewards up to step {cut} change with the "
                    "values after it",
                    hint="use memory, before and after, and nothing else",
                )


def _check_programs(
    reward: Any, name: str, values: Float[Array, "B T"], play: Callable[..., Any]
) -> None:
    """Step by step, compiled, and many at once it is the same up to rounding."""
    alone = np.stack([play(reward, account) for account in values])
    if not _equal(_stepped(reward, values[0]), alone[0, :FEW], SAME):
        raise _impure(name, "when it is compiled")
    together = jax.jit(jax.vmap(_play, in_axes=(None, 0)))(reward, values)
    if not _equal(np.asarray(together), alone, SAME):
        raise ContractError(
            f"reward `{name}`: the rewards of {BATCH} accounts at once differ from each alone",
            hint="write the reward for one account, without looking at a batch",
        )


def _equal(one: NDArray[Any], other: NDArray[Any], tolerance: float) -> bool:
    """Equal up to a share of the largest; to the last bit where it is 0."""
    return bool((np.abs(one - other) <= tolerance * np.abs(other).max()).all())
