"""Agents that break in every way; `test_bad_agents.py` says what is said of each."""

import contextlib
import os
import struct
import sys
import time

import numpy as np


class Steady:
    """Does nothing wrong."""

    learns = False

    def decide(self, past):
        return np.full(past.actions.shape, 0.01)


class NeverAnswers(Steady):
    def decide(self, past):
        while past.step == 2:
            time.sleep(0.1)
        return super().decide(past)


class SpinsForever(Steady):
    def decide(self, past):
        while past.step == 2:
            pass
        return super().decide(past)


class RaisesLate(Steady):
    def decide(self, past):
        if past.step == 40:
            raise ValueError("no more\nideas")
        return super().decide(past)


class NotANumber(Steady):
    def decide(self, past):
        return np.where(np.arange(len(past.assets)) == 3, np.nan, 0.1)


class Infinite(Steady):
    def decide(self, past):
        return np.full(past.actions.shape, np.inf)


class OtherShape(Steady):
    def decide(self, past):
        return np.zeros((len(past.assets), 1))


class OneNumber(Steady):
    def decide(self, past):
        return 0.5


class Ragged(Steady):
    def decide(self, past):
        return [[1.0], [1.0, 2.0]]


class Text(Steady):
    def decide(self, past):
        return "buy"


class Words(Steady):
    def decide(self, past):
        return ["buy"] * len(past.assets)


class Nothing(Steady):
    def decide(self, past):
        return None


class Objects(Steady):
    def decide(self, past):
        return {"AAPL": 1.0}


class WritesIntoThePast(Steady):
    def decide(self, past):
        past["close"][-1] = 0
        return super().decide(past)


class WritesIntoTheVector(Steady):
    def decide(self, past):
        past.vector += 1
        return super().decide(past)


class SetsAField(Steady):
    def decide(self, past):
        past.step = 0
        return super().decide(past)


class CallsExit(Steady):
    def decide(self, past):
        sys.exit(0)


class EndsItself(Steady):
    def decide(self, past):
        os._exit(7)


class KillsItself(Steady):
    def decide(self, past):
        os.kill(os.getpid(), 9)


class Forks(Steady):
    def decide(self, past):
        if os.fork() == 0:
            os._exit(0)
        return super().decide(past)


class ForksQuietly(Steady):
    def decide(self, past):
        with contextlib.suppress(Exception):
            os.fork()
        return super().decide(past)


class PrintsAGigabyte(Steady):
    def decide(self, past):
        for _ in range(1_000):
            print("x" * 1_000_000)
        return super().decide(past)


class ClosesStdout(Steady):
    def decide(self, past):
        sys.stdout.close()
        return super().decide(past)


class ClosesTheFile(Steady):
    def decide(self, past):
        os.close(1)
        return super().decide(past)


class WritesOnTheWire(Steady):
    def decide(self, past):
        os.write(int(sys.argv[1]), b"\x00\x00\x00\x05hello")
        return super().decide(past)


class HangsUp(Steady):
    def decide(self, past):
        os.close(int(sys.argv[1]))
        return super().decide(past)


class RecursesForever(Steady):
    def decide(self, past):
        return self.decide(past)


class InterruptsItself(Steady):
    def decide(self, past):
        raise KeyboardInterrupt


class RaisesInTrain(Steady):
    def train(self, key, env, params):
        raise RuntimeError("not today")


class NoPolicy(Steady):
    def train(self, key, env, params):
        return 5


class EmptyPolicy(Steady):
    def train(self, key, env, params):
        return object(), {}


def say(facts, arrays=None):
    """Send a message that is well formed, as if the worker had."""
    from steelyard.isolation.wire import Message, pack

    content = pack(Message(facts, arrays or {}))
    os.write(int(sys.argv[1]), struct.pack("!i", len(content)) + content)


class SaysProgress(Steady):
    def decide(self, past):
        say({"progress": 5})
        return super().decide(past)


class SaysWhatItOpened(Steady):
    def decide(self, past):
        say({"opened": 5})
        return super().decide(past)


class SaysNothing(Steady):
    def decide(self, past):
        say({})
        return super().decide(past)


class SaysText(Steady):
    def decide(self, past):
        say({"fault": ["x" * 9_000, "\n\n"]})
        return super().decide(past)


class SaysAnotherShape(Steady):
    def decide(self, past):
        say({}, {"action": np.zeros((3, 4))})
        return super().decide(past)


class SaysNoNumber(Steady):
    def decide(self, past):
        say({}, {"action": np.full((1, *past.actions.shape), np.nan)})
        return super().decide(past)


class SaysItHasLearned(Steady):
    def train(self, key, env, params):
        say({"digest": 3, "updates": "x", "of": None}, {"7/loss": np.zeros(3)})
        return Steady(), {}


class Touchy(Steady):
    def __getattr__(self, name):
        raise KeyError(name)


class RaisesWhereItIsMade(Steady):
    def __setstate__(self, state):
        raise RuntimeError("not here")

    def __getstate__(self):
        return {"size": 1}
