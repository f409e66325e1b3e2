"""Where agents of these tests are scored; each place is opened once a process."""

from functools import cache

from other_rows import book
from steelyard.benchmark import open_venue
from steelyard.benchmark.rows import Run
from tasks_for_tests import planted


@cache
def venue(kind):
    """The planted stocks or the random book, opened."""
    return open_venue(*((planted(),) if kind == "stocks" else book()))


@cache
def shared_run(kind, **settings):
    """A run whose search for leaks in lessons is made once, however many agents it scores."""
    return Run(venue(kind), (0,), **settings)
