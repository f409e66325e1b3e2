"""`check_reward` passes the rewards of the house and catches everything that is planted here."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steelyard.benchmark.rewards import REWARDS
from steelyard.envs.check_reward import check_reward
from steelyard.errors import ContractError


@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_of_the_house_keeps_the_contract_also_where_an_account_is_lost(name):
    check_reward(REWARDS[name](), lost=True)


class Change(eqx.Module):
    """The change of value in a few lines; faults are planted in it."""

    scale: float = 1e-4

    def initial(self, value):
        return jnp.zeros(2, value.dtype)

    def __call__(self, memory, before, after):
        return memory + 1, self.scale * (after - before)


class Drawdown(eqx.Module):
    """Fall from the highest value so far, which is remembered in a structure of its own."""

    def initial(self, value):
        return {"highest": value, "step": jnp.zeros((), jnp.int32)}

    def __call__(self, memory, before, after):
        highest = jnp.maximum(memory["highest"], after)
        return {"highest": highest, "step": memory["step"] + 1}, after / highest - 1


class LogReturn(Change):
    def __call__(self, memory, before, after):
        return memory, jnp.log(after / before)


@pytest.mark.parametrize("reward", [Change(), Drawdown(), LogReturn()])
def test_an_honest_reward_of_somebody_elses_keeps_it(reward):
    check_reward(reward)


def test_a_logarithm_of_a_lost_account_is_caught_where_accounts_may_be_lost():
    with pytest.raises(ContractError, match="is -inf for an account that is lost, in a step from"):
        check_reward(LogReturn(), lost=True)


# planted faults: each class breaks one thing


class NoInitial(eqx.Module):
    def __call__(self, memory, before, after):
        return memory, after - before


class NotAPytree:
    def initial(self, value):
        return jnp.zeros(0, value.dtype)

    def __call__(self, memory, before, after):
        return memory, after - before


class HoldsAName(Change):
    name: str = "mine"


class OnlyTheReward(Change):
    def __call__(self, memory, before, after):
        return after - before


class MemoryGrows(Change):
    def __call__(self, memory, before, after):
        return jnp.append(memory, after), after - before


class MemoryChangesType(Change):
    def initial(self, value):
        return jnp.zeros((), jnp.int32)

    def __call__(self, memory, before, after):
        return memory + before, after - before


class MemoryIsHeldInSingle(Change):
    """Right in 32 bits, and of another type in 64."""

    def initial(self, value):
        return jnp.zeros((), jnp.float32)

    def __call__(self, memory, before, after):
        return memory + before, after - before


class MemoryLosesAPart(Drawdown):
    def __call__(self, memory, before, after):
        return {"highest": memory["highest"]}, after - before


class RewardPerAsset(Change):
    def __call__(self, memory, before, after):
        return memory, (after - before) * jnp.ones(3)


class RewardIsACount(Change):
    def __call__(self, memory, before, after):
        return memory, jnp.sign(after - before).astype(jnp.int32)


class RewardIsSingle(Change):
    def __call__(self, memory, before, after):
        return memory, (after - before).astype(jnp.float32)


class AsksIf(Change):
    def __call__(self, memory, before, after):
        return memory, (after - before) if after > before else 2 * (after - before)


class UsesFloat(Change):
    def __call__(self, memory, before, after):
        return memory, jnp.asarray(float(after) - float(before))


class DividesByTheChange(Change):
    def __call__(self, memory, before, after):
        return memory, 1.0 / (after - before)


class GrowsTooFast(Change):
    """e^100 is infinite in 32 bits alone."""

    def __call__(self, memory, before, after):
        return memory + 1, jnp.exp(jnp.where(memory[1] > 60, 100, 0).astype(after.dtype))


class Draws(Change):
    def __call__(self, memory, before, after):
        return memory, after - before + RANDOM.normal()


RANDOM = np.random.default_rng(0)
SEEN = [0]


class ReadsAGlobalThatChanges(Change):
    def __call__(self, memory, before, after):
        SEEN[0] += 1
        return memory, after - before + SEEN[0] // 40


class KeepsWhatItSaw(Change):
    """The value of another call, which may be one that was only traced."""

    def __call__(self, memory, before, after):
        KEPT.append(after)
        return memory, after - KEPT[-2]


KEPT = [0.0]


class DiffersWhenCompiled(Change):
    def __call__(self, memory, before, after):
        return memory, after - before + isinstance(after, jax.core.Tracer)


class PeeksAtItsCaller(Change):
    """Looks up the stack for the values of the account."""

    def __call__(self, memory, before, after):
        frame = inspect.currentframe()
        while frame is not None and "values" not in frame.f_locals:
            frame = frame.f_back
        return memory, frame.f_locals["values"][-1] - before if frame else after - before


@jax.custom_batching.custom_vmap
def alone(values):
    return values


@alone.def_vmap
def _(size, batched, values):
    return jnp.broadcast_to(values.mean(), values.shape), batched[0]


class LooksAtTheBatch(Change):
    """Right for one account, the mean over all for many."""

    def __call__(self, memory, before, after):
        return memory, alone(after - before)


FAULTS = {
    NoInitial: "has no method initial",
    NotAPytree: "holds NotAPytree, which is not a number",
    HoldsAName: "holds str, which is not a number",
    OnlyTheReward: "answers with ShapeDtypeStruct, not a memory and a reward",
    MemoryGrows: "its memory is",
    MemoryChangesType: "its memory is",
    MemoryIsHeldInSingle: "its memory is .*float32.* after a step",
    MemoryLosesAPart: "its memory is",
    RewardPerAsset: r"is float32 of shape \(3,\)",
    RewardIsACount: "is int32 of shape",
    RewardIsSingle: "is float32 of shape .* not one float64",
    AsksIf: "cannot be compiled: TracerBoolConversionError",
    UsesFloat: "cannot be compiled: ConcretizationTypeError",
    DividesByTheChange: "is inf for an account that stands still",
    GrowsTooFast: "is inf for an account that moves",
    Draws: "in a second pass",
    ReadsAGlobalThatChanges: "in a second pass",
    KeepsWhatItSaw: "UnexpectedTracerError",
    DiffersWhenCompiled: "another one when it is compiled:",
    PeeksAtItsCaller: "looks ahead: compiled",
    LooksAtTheBatch: "accounts at once differ",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(fault):
    with pytest.raises(ContractError, match=FAULTS[fault]) as error:
        check_reward(fault())
    assert f"`{fault.__name__}`" in error.value.message
    assert error.value.hint


def test_a_class_is_told_that_an_instance_is_meant():
    with pytest.raises(ContractError, match=r"is a class, not a reward\s+hint: give Change\(\)"):
        check_reward(Change)
