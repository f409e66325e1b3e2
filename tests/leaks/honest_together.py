"""All honest rules of honest.py in one agent, so that two processes serve them all."""

import honest
import numpy as np

IN_BOOKS = ("InABook", "InABookByMid")
RULES = tuple(
    name
    for name, one in vars(honest).items()
    if isinstance(one, type) and hasattr(one, "decide") and name not in IN_BOOKS
)
"""Rules on stocks."""


class Together(honest.Rule):
    """Asks them all at every decision, and acts on all that they say."""

    def __init__(self):
        self.rules = [getattr(honest, name)() for name in RULES]

    def decide(self, past):
        answers = [np.asarray(rule.decide(past), float) for rule in self.rules]
        shares = 1 / np.sqrt(np.arange(2, len(answers) + 2))  # no two answers make up for another
        return shares / shares.sum() @ np.stack(answers)


class TogetherInABook(honest.Rule):
    """The same for choices."""

    def __init__(self):
        self.rules = [getattr(honest, name)() for name in IN_BOOKS]

    def decide(self, past):
        answers = [rule.decide(past) for rule in self.rules]
        return sum(answers) % past.actions.choices
