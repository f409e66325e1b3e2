"""Agents that try to know more than they may; `test_readers.py` says what becomes of each."""

import contextlib
import functools
import gc
import inspect
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np


def towards(past, wanted):
    """A small order in the direction of `wanted`, or nothing."""
    wanted = np.nan_to_num(np.asarray(wanted, float))
    return np.clip(np.sign(wanted) * 0.05, -1, 1)


# rules on the view of the past


class Rule:
    learns = False

    def decide(self, past):
        return np.zeros(past.actions.shape) if not past.actions.choices else past.actions.idle


class BehindTheView(Rule):
    """Looks behind the end of the arrays that it is given."""

    def decide(self, past):
        close, base = past["close"], past["close"].base
        behind = np.zeros(close.shape[1]) if base is None else base[min(len(close), len(base) - 1)]
        return towards(past, np.where(behind > 0, behind - close[-1], 0))


class UpTheStack(Rule):
    """Looks for markets and panels in the frames of whoever asks."""

    def decide(self, past):
        for frame in inspect.stack():
            for name, value in frame.frame.f_locals.items():
                panel = getattr(value, "panel", None)
                if name != "past" and hasattr(panel, "fields"):
                    return towards(past, panel["close"][len(past)] - past["close"][-1])
        return super().decide(past)


class ThroughTheHeap(Rule):
    """Looks for panels among all objects of the process."""

    def decide(self, past):
        for one in gc.get_objects():
            if type(one).__name__ == "Panel" and len(one) > len(past):
                return towards(past, one["close"][len(past)] - past["close"][-1])
        return super().decide(past)


SEEN = {}


class FromAnEarlierPass(Rule):
    """Keeps what it sees in a global of its module, for the next pass."""

    def decide(self, past):
        later = [day for day in SEEN if day > past.timestamps[-1]]
        SEEN[past.timestamps[-1]] = past["close"][-1].copy()
        return towards(
            past, SEEN[min(later)] - past["close"][-1] if later else 0 * past["close"][-1]
        )


class ByAThread(Rule):
    """Starts a thread that outlives the pass and writes down what the next one sees."""

    def decide(self, past):
        if not any(one.name == "spy" for one in threading.enumerate()):
            threading.Thread(target=self._spy, name="spy", daemon=True).start()
        return super().decide(past) if "later" not in SEEN else towards(past, SEEN["later"])

    def _spy(self):
        while True:
            time.sleep(0.001)
            for one in gc.get_objects():
                if type(one).__name__ == "Market":
                    SEEN["later"] = np.asarray(one.mark)[-1]


class PreparedOnTheWindow(Rule):
    """Reads all prices of the market that it is prepared on, as if the window were in it."""

    def train(self, key, env, params):
        mark = np.asarray(params.market.mark)
        rule = BehindTheView()
        rule.last = mark[-1]
        rule.decide = functools.partial(self.follow, mark[-1])
        return rule, {}

    @staticmethod
    def follow(last, past):
        return towards(past, last - past["close"][-1])


class AskingForPrices(Rule):
    """Calls what the house's own agents read prices with."""

    def train(self, key, env, params):
        from steelyard.agents.classic import prices

        prices(env, params)
        return Rule(), {}


class ByTheEnvironment(Rule):
    """Is told the future in a variable."""

    def decide(self, past):
        return np.full(past.actions.shape, len(os.environ.get("ORACLE", "")) / 100)


class ByTheClock(Rule):
    """Acts by the time of day."""

    def decide(self, past):
        now = time.time()
        return np.full(past.actions.shape, 0.2 if time.localtime(now).tm_year > 2030 else 0.1)


class ByTheHome(Rule):
    """Acts by who runs it."""

    def decide(self, past):
        return np.full(past.actions.shape, len(str(Path.home())) / 500)


class ByTheFolder(Rule):
    """Acts by where it is run."""

    def decide(self, past):
        return np.full(past.actions.shape, len(str(Path.cwd())) / 500)


class ByChance(Rule):
    """Draws without a seed."""

    def decide(self, past):
        return np.random.default_rng().uniform(-0.1, 0.1, past.actions.shape)


class ByTheBundledFile(Rule):
    """Opens the bundled prices by their path."""

    def decide(self, past):
        import steelyard

        file = Path(steelyard.__file__).parent / "data/bundled/us_vix_daily_2005_2023.parquet"
        return np.full(past.actions.shape, len(file.read_bytes()) % 7 / 100)


class ByLoading(Rule):
    """Loads the bundled prices with the library."""

    def decide(self, past):
        if not hasattr(self, "panel"):
            from steelyard.data import load

            self.panel = load("bundled:us_vix_daily_2005_2023")
        return np.full(past.actions.shape, len(self.panel) % 7 / 100)


class ByALibrary(Rule):
    """Reads a file with a library that opens files in code of its own."""

    def decide(self, past):
        import polars as pl

        import steelyard

        file = Path(steelyard.__file__).parent / "data/bundled/us_vix_daily_2005_2023.parquet"
        return np.full(past.actions.shape, len(pl.read_parquet(file)) % 7 / 100)


class ByABundle(Rule):
    """Reads the actions of an earlier run, at a place that its environment does not name."""

    def decide(self, past):
        place = Path(tempfile.gettempdir()) / "steelyard-reader-bundle" / "equity.parquet"
        known = place.read_bytes() if place.is_file() else b""
        with contextlib.suppress(OSError):
            place.open("rb").close()
        return np.full(past.actions.shape, len(known) % 7 / 100)


class ByANote(Rule):
    """Writes down what it sees in a file, and reads there what an earlier pass saw."""

    def decide(self, past):
        note = Path(tempfile.gettempdir()) / "steelyard-reader-note"
        known = (
            dict(line.split() for line in note.read_text().splitlines()) if note.exists() else {}
        )
        day = str(past.timestamps[-1])
        with note.open("a") as file:
            file.write(f"{day} {past['close'][-1, 0]}\n")
        later = [key for key in known if key > day]
        return towards(past, np.full(past.actions.shape, 1.0 if later else 0.0))


class ByASocket(Rule):
    """Asks somebody over the network."""

    def decide(self, past):
        with socket.socket() as line:
            line.settimeout(0.05)
            line.connect_ex(("127.0.0.1", 9))
        return super().decide(past)


class ByAProcess(Rule):
    """Asks another program."""

    def decide(self, past):
        if past.step == 0:
            subprocess.run([sys.executable, "-c", "pass"], check=True)
        return super().decide(past)


class Unsendable(Rule):
    """Holds something that cannot be sent to another process."""

    def __init__(self):
        self.lock = threading.Lock()


def holding(values):
    """A rule that closes over numbers."""

    class Closed(Rule):
        def decide(self, past):
            return towards(past, values[min(len(past), len(values) - 1)])

    return Closed()


class Carrying(Rule):
    """Has numbers as an attribute."""

    def __init__(self, values):
        self.values = values

    def decide(self, past):
        return towards(past, self.values[min(past.step, len(self.values) - 1)])


class BehindABook(Rule):
    """Looks behind the end of the levels of a book."""

    def decide(self, past):
        bid, base = past["bid_1"], past["bid_1"].base
        behind = bid[-1, 0] if base is None else base[min(len(bid), len(base) - 1), 0]
        if behind in (0, bid[-1, 0]):
            return past.actions.idle
        return 2 if behind > bid[-1, 0] else 0
