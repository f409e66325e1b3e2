"""What counts as somebody's own: where a class or a function really comes from, not its name."""

import functools
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from house_code import of_the_house
from steelyard.agents.answers import as_action, is_stranger, require_policy, strangers_in
from steelyard.agents.classic import HoldCash
from steelyard.agents.ensemble import Ensemble, EnsemblePolicy
from steelyard.agents.population import Population
from steelyard.agents.ppo import PPO
from steelyard.errors import ContractError
from steelyard.registry import members
from steelyard.types import Feature, Space


class Own:
    """Somebody's own agent."""

    learns = False

    def decide(self, past):
        return 0


class OwnPPO(PPO):
    """A subclass of one of the house that changes nothing."""


class Quiet(HoldCash):
    pass


def forged(kind, module, name):
    """A copy of a class that claims to be of another module, under a name that is there."""
    made = type(name, (kind,), {"__module__": module, "extra": lambda self: None})
    made.__qualname__ = name
    return made


def executed(module):
    """A class made of text, as a notebook or a plugin makes it."""
    made = {"__name__": module}
    exec("class Text:\n    learns = False\n    def decide(self, past): return 0", made)
    return made["Text"]


STRANGERS = {
    "a class of a file": Own,
    "an object of it": Own(),
    "a subclass of PPO": OwnPPO(),
    "a function of a file": lambda panel: panel["close"],
    "a method": Own().decide,
    "a class made of text": executed("notebook"),
    "the same that claims to be ours": executed("steelyard.agents.classic"),
    "the same in a module that is not there": executed("steelyard.mine"),
    "a name of ours": forged(Own, "steelyard.agents.classic", "HoldCash"),
    "a new name in a module of ours": forged(Own, "steelyard.agents.classic", "Better"),
    "a name of NumPy": forged(Own, "numpy", "ndarray"),
    "a new name in NumPy": forged(Own, "numpy", "Better"),
    "a class inside of a function": (lambda: type("Inner", (Own,), {}))(),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_what_comes_from_elsewhere_is_a_stranger_whatever_it_calls_itself(what):
    assert is_stranger(STRANGERS[what])


def test_a_module_with_a_name_of_ours_and_another_file_is_no_house(monkeypatch, tmp_path):
    module = types.ModuleType("steelyard.agents.better")
    module.__file__ = str(tmp_path / "better.py")
    module.Better = type("Better", (Own,), {"__module__": module.__name__})
    monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    assert is_stranger(module.Better())
    module.__file__ = __import__("steelyard.agents").agents.__path__[0] + "/better.py"
    assert not is_stranger(module.Better())  # and where the file is ours, it is


HOLDING = {
    "a partial": functools.partial(STRANGERS["a function of a file"], 3),
    "a partial of a method": functools.partial(Own().decide),
    "a population": Ensemble(Population(groups=((PPO(), 2), (OwnPPO(), 1))), temperature=0.5),
    "a member deep inside": Ensemble(
        Population(groups=((PPO(hidden=(OwnPPO,)), 2),)), temperature=0.5
    ),
    "a list in a dict": {"one": [HoldCash(), Own()]},
    "a feature": Feature("mine", lambda panel: panel["close"], "price", 0),
    "a jitted function": jax.jit(lambda vector: vector),
    "a wrapped function": functools.lru_cache(lambda vector: vector),
}


@pytest.mark.parametrize("what", HOLDING)
def test_a_stranger_inside_of_something_is_found(what):
    assert strangers_in(HOLDING[what])


@pytest.mark.parametrize(
    ("room", "name"),
    [(room, name) for room in ("agents", "features", "envs") for name in members(room)],
)
def test_nothing_of_the_house_is_a_stranger(room, name):
    value = members(room)[name].value
    assert strangers_in(value if room == "features" else value()) == []


def test_settings_and_libraries_make_no_stranger():
    for one in (
        PPO(steps=64, hidden=(8,), learning_rate=np.float32(1e-3)),
        Ensemble(Population(groups=((PPO(steps=64), 2),)), temperature=0.5),
        {"weights": jnp.ones(3), "key": jax.random.key(0), "names": ("a", "b"), "none": None},
        functools.partial(jnp.clip, min=0),
        np.random.default_rng(0),
        jax.jit(jnp.tanh),
    ):
        assert strangers_in(one) == []


def test_what_is_planted_in_the_house_counts_as_its_own():
    @of_the_house
    class Planted:
        def bind(self, env, params):
            return None

    assert not is_stranger(Planted())


# what a policy may hold


class Policy:
    """Decides on a vector, and holds something."""

    def __init__(self, held):
        self.held = held

    def initial_carry(self):
        return None

    def __call__(self, vector, carry):
        return vector, carry


def logger():
    """An object of an installed library whose `bind` means something else."""
    from hypothesis import strategies

    kind = type("Logger", (), {"bind": lambda self, **facts: self})
    kind.__module__ = kind.bind.__module__ = strategies.__name__
    return kind()


@pytest.mark.parametrize(
    "held",
    [
        jax.jit(lambda vector: vector),
        functools.partial(jnp.tanh),
        __import__("inspect").signature(logger),
        __import__("socket").socket,
        threading.Lock(),
        logger(),
        {"net": [np.ones(3), jnp.ones(3), jax.jit(jnp.tanh)]},
    ],
    ids=["jitted", "partial", "signature", "class", "lock", "installed", "nested"],
)
def test_what_a_policy_holds_of_others_is_no_wish_for_the_market(held):
    require_policy(Policy(held))


class Binds(Policy):
    def bind(self, env, params):
        return None


def test_a_bind_of_somebodys_own_is_refused_wherever_it_is():
    bound = Policy(0)
    bound.bind_to_act = lambda env, params: None
    for policy in (
        Binds(0),
        bound,
        Policy([Binds(0)]),
        EnsemblePolicy(({"one": Policy(Binds(0))},), jnp.ones(1)),
    ):
        with pytest.raises(ContractError, match=r"has bind.* steelyard\.past\.Past"):
            require_policy(policy)


# answers


@pytest.mark.parametrize("answer", [1, np.int64(1), 1.0, np.float32(1), [1], jnp.asarray(1), True])
def test_every_way_to_name_a_choice_is_the_same_action(answer):
    action = as_action(answer, Space(choices=3, idle=1))
    assert (action.shape, action.dtype, int(action)) == ((), np.int32, 1)


@pytest.mark.parametrize("answer", [[0.1, 1], np.array([0.1, 1.0]), jnp.array([0.1, 1.0])])
def test_every_way_to_write_numbers_is_the_same_action(answer):
    action = as_action(answer, Space((2,)))
    assert action.dtype == np.float32
    np.testing.assert_array_equal(action, np.float32([0.1, 1]))
