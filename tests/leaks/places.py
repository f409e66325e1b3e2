"""Where agents of these tests are scored; each place is opened once a process."""

from functools import cache

from other_rows import book
from steelyard.benchmark import open_venue
from steelyard.benchmark.rows import Run
from steelyard.evaluation.splits import Rolling
from tasks_for_tests import planted

FAMILIES = ("price_max_6", "price_min_6", "price_mean_6", "price_ema_6")
"""What experts that take turns look at."""


@cache
def venue(kind):
    """The planted stocks, the same with features of four families or with rolling windows, or the
    random book, opened.
    """
    if kind == "books":
        return open_venue(*book())
    if kind == "rolls":
        rolling = Rolling(train=100, validate=20, trade=15)
        return open_venue(planted(assets=4, rolling=rolling, validate=None, episode=32))
    return open_venue(planted(features=FAMILIES) if kind == "families" else planted())


@cache
def shared_run(kind, **settings):
    """A run whose search for leaks in lessons is made once, however many agents it scores."""
    return Run(venue(kind), (0,), **settings)
