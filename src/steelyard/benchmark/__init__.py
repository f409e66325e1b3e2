"""The one ruler: a task's card, its venue, the score of agents on it, and its verification."""

from steelyard.benchmark.book_rules import BookRules
from steelyard.benchmark.configure import configure, resolve_agent, settings
from steelyard.benchmark.rewards import REWARDS
from steelyard.benchmark.scoring import evaluate
from steelyard.benchmark.stock_rules import StockRules
from steelyard.benchmark.task import Task, Window
from steelyard.benchmark.venue import Venue, fingerprint, open_venue
from steelyard.benchmark.verification import Verification, verify

__all__ = [
    "REWARDS",
    "BookRules",
    "StockRules",
    "Task",
    "Venue",
    "Verification",
    "Window",
    "configure",
    "evaluate",
    "fingerprint",
    "open_venue",
    "resolve_agent",
    "settings",
    "verify",
]
