"""Ways to carry something; no global of this file holds prices, which would be found with them."""

import functools


class Agent:
    """Carries something."""

    learns = False

    def __init__(self, held=None):
        self.held = held

    def decide(self, past):
        return 0


class Slotted:
    """Carries something in a slot, and another one in a slot that its name hides."""

    __slots__ = ("__hidden", "empty")

    def __init__(self, held):
        self.__hidden = held


class Touchy(Agent):
    """Raises whatever comes to its mind where something is asked for that it has not."""

    def __getattr__(self, name):
        raise KeyError(name)


def closing_over(values):
    def decide(past):
        return values[0]

    return decide


def noted(values):
    def decide(past):
        return 0

    decide.table = values
    return decide


def carriers(values):
    """Everything that may hold something, by name."""

    class Inner(Agent):
        table = values

    class Lazy(Agent):
        @property
        def prices(self, held=values):
            return held

    class Bound(Agent):
        @staticmethod
        def decide(past, held=values):
            return held

    return {
        "a closure": closing_over(values),
        "a closure in an agent": Agent(closing_over(values)),
        "a partial": functools.partial(closing_over(values), 1),
        "what a partial is called with": functools.partial(max, values),
        "a word that a partial is called with": functools.partial(max, key=values),
        "a wrapper": functools.wraps(closing_over(values))(lambda past: 0),
        "a cache": functools.lru_cache(closing_over(values)),
        "a default": lambda past, held=values: held[0],
        "a note on a function": noted(values),
        "a class": Inner(),
        "a class that is held": Agent(Inner),
        "a property": Lazy(),
        "a static method": Bound(),
        "a method of what has it": Agent(Inner(3).decide),
        "a slot": Slotted(values),
        "an agent that raises": Touchy(values),
    }


def executed(values):
    """An agent of a notebook whose code names a global, and one whose code names another."""
    module = {"__name__": "notebook", "prices": values, "other": 3}
    exec("class Mine:\n    def decide(self, past): return prices[len(past)]", module)
    exec("class Other:\n    def decide(self, past): return other", module)
    return module["Mine"](), module["Other"]()


def itself():
    """Something that holds itself, and something deep."""
    made = [1]
    made.append(made)
    deep = []
    for _ in range(5_000):
        deep = [deep]
    return Agent([made, deep])
