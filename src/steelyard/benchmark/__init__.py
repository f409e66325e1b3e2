"""The one ruler: a task's card, its venue, the score of agents on it, and its verification."""

from steelyard.benchmark.configure import configure, resolve_agent, settings
from steelyard.benchmark.scoring import evaluate
from steelyard.benchmark.task import Task, Window
from steelyard.benchmark.venue import REWARDS, Venue, fingerprint, open_venue
from steelyard.benchmark.verification import Verification, verify

__all__ = [
    "REWARDS",
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
