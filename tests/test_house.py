"""The house rules that no linter knows, each with planted failures that it must catch."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from steelyard import registry

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "steelyard"

LINE = (
    "errors | home < types | registry | compilation | capacity | devices | lanes < past | data"
    " | features | metrics | ledger < market | book < rollout | lookahead < lockstep"
    " < envs | agents < factors < evaluation < isolation < benchmark < tasks < bench < cli"
)
"""A room imports from rooms left of it; rooms between `|` do not know each other."""

RANK = {room: rank for rank, level in enumerate(LINE.split(" < ")) for room in level.split(" | ")}

HOST = {"data", "features", "metrics"}
NEVER = {
    "market": HOST | {"registry"},
    "book": HOST | {"registry"},
    "rollout": HOST,
    "lookahead": HOST,
    "envs": HOST,
    "agents": HOST,
}
"""Room -> rooms left of it that it does not import either."""

DEVICE = {"numpy", "jax", "equinox", "optax", "jaxtyping"}
LIBRARIES = {
    **{room: {"numpy"} for room in ("errors", "home", "types", "registry", "past")},
    **{room: {"numpy", "scipy"} for room in ("features", "metrics")},
    **dict.fromkeys(("lanes", "ledger", "market", "book", "rollout", "lookahead"), DEVICE),
    **dict.fromkeys(("lockstep", "envs", "agents"), DEVICE),
    "compilation": {"jax"},
    **{room: {"numpy", "jax"} for room in ("capacity", "devices")},
}
"""Room -> all that it imports from outside, so that it runs on a bare machine."""

DOORS = {
    "envs/gymnasium.py": {"gymnasium"},
    "envs/torch.py": {"torch"},
    "envs/stable_baselines.py": {"stable_baselines3"},
    "agents/allocation.py": {"skfolio"},
}
"""Files that may import one library more: those of `envs` at once, the others when called."""

DEVICE_ONLY = {"jax", "jaxlib", "equinox", "optax"}
HEAVY = {
    *("arch", "exchange_calendars", "pandas", "polars", "pyarrow", "scipy"),
    *("optuna", "skfolio", "stable_baselines3", "torch"),
}
"""Imported inside functions only: `import steelyard` and `steelyard --help` stay fast."""

LONGEST_FILE, LONGEST_FUNCTION = 350, 60
ANOTHER_PROCESS = "bench/peers/"  # runs in an environment of its own and answers on stdout


def sources() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")


def room_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def imported(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Dotted names that a file imports, and whether that happens as soon as it is imported."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.If)
        and (not isinstance(function, ast.If) or "TYPE_CHECKING" in ast.unparse(function.test))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        at_once = id(node) not in inside
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "." * node.level + (node.module or ""), at_once
        elif isinstance(node, ast.ImportFrom) and node.module == "steelyard":
            yield from ((f"steelyard.{alias.name}", at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module), at_once


def broken_imports(path: str, source: str) -> list[str]:
    """What a file of the package imports against the table above."""
    if path.startswith(ANOTHER_PROCESS):
        return []
    room, found = room_of(path), []
    for name, at_once in imported(ast.parse(source)):
        top, _, rest = name.partition(".")
        problem = ""
        if not top:
            problem = "is relative"
        elif top == "steelyard" and room in RANK:
            problem = wrong_direction(room, rest.split(".")[0])
        elif top not in sys.stdlib_module_names and top != "steelyard":
            problem = wrong_library(path, top, at_once)
        if problem:
            found.append(f"{path}: `{name}` {problem}")
    return found


def wrong_direction(room: str, other: str) -> str:
    if other == room:
        return ""
    if other not in RANK:
        return "is no room"
    if RANK[other] == RANK[room]:
        return f"stands beside {room}"
    if RANK[other] > RANK[room]:
        return f"stands behind {room}"
    return f"is not for {room}" if other in NEVER.get(room, set()) else ""


def wrong_library(path: str, library: str, at_once: bool) -> str:
    room = room_of(path)
    door = library in DOORS.get(path, set())
    if room in LIBRARIES and library not in LIBRARIES[room] and not door:
        return f"is a library that {room} does without"
    if room in HOST and library in DEVICE_ONLY:
        return "is JAX on the host side"
    if library in HEAVY and at_once and not (door and room == "envs"):
        return "is heavy: import it in the function that needs it"
    return ""


def broken_sizes(path: str, source: str) -> list[str]:
    found = []
    if (lines := source.count("\n")) > LONGEST_FILE:
        found.append(f"{path}: {lines} lines")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                found.append(f"{path}: {node.name} has {lines} lines")
    return found


def prints(path: str, source: str) -> list[str]:
    if path.startswith(ANOTHER_PROCESS):
        return []
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [f"{path}:{call.lineno} prints" for call in calls if ast.unparse(call.func) == "print"]


LOCAL_PATH = re.compile(r"(?<![\w.:/*-])/(work|root|home|Users|tmp)/")


def local_paths(path: str, text: str) -> list[str]:
    return [f"{path}: {found[0]}" for found in LOCAL_PATH.finditer(text)]


def silent(members: Iterable[registry.Member]) -> list[str]:
    return [member.name for member in members if not member.summary.strip()]


def test_imports_go_in_one_direction() -> None:
    assert [problem for file in sources() for problem in broken_imports(*file)] == []


@pytest.mark.parametrize(
    ("path", "source", "problem"),
    [
        ("ledger.py", "from steelyard.market import Market", "stands behind ledger"),
        ("types.py", "def f():\n    import steelyard.registry", "stands beside types"),
        ("agents/ppo.py", "from steelyard.envs.stock import StockEnv", "stands beside agents"),
        ("envs/stock.py", "from steelyard.agents import ppo", "stands beside envs"),
        ("envs/stock.py", "from steelyard.data import load", "is not for envs"),
        ("envs/stock.py", "from steelyard import features", "is not for envs"),
        ("agents/ppo.py", "from steelyard.features import compute", "is not for agents"),
        ("market.py", "from steelyard.registry import member", "is not for market"),
        ("data/table.py", "from steelyard.features import compute", "stands beside data"),
        ("bench/result.py", "from steelyard.cli import main", "stands behind bench"),
        ("benchmark.py", "from steelyard.tasks import stock", "stands behind benchmark"),
        ("data/table.py", "from steelyard.tools import x", "is no room"),
        ("data/table.py", "from .rows import x", "is relative"),
        ("data/table.py", "def f():\n    import jax.numpy", "JAX on the host side"),
        ("features/rolling.py", "import equinox", "features does without"),
        ("features/rolling.py", "def f():\n    import polars", "features does without"),
        ("envs/stock.py", "import gymnasium", "envs does without"),
        ("rollout.py", "def f():\n    import torch", "rollout does without"),
        ("agents/allocation.py", "import skfolio", "is heavy"),
        ("data/table.py", "import polars as pl", "is heavy"),
        ("cli/run.py", "if True:\n    import arch.bootstrap", "is heavy"),
    ],
)
def test_an_import_in_the_wrong_direction_is_caught(path: str, source: str, problem: str) -> None:
    assert [problem in text for text in broken_imports(path, source)] == [True]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("agents/allocation.py", "def f():\n    import skfolio"),
        ("envs/gymnasium.py", "import gymnasium"),
        ("envs/torch.py", "import torch"),
        ("data/table.py", "if TYPE_CHECKING:\n    import polars"),
        ("cli/run.py", "from steelyard.bench import result"),
        ("tasks/stock.py", "from steelyard.data import load\nimport json"),
    ],
)
def test_an_import_in_the_right_direction_passes(path: str, source: str) -> None:
    assert broken_imports(path, source) == []


def test_every_room_has_its_place_in_the_line() -> None:
    rooms = {room_of(path) for path, _ in sources()} - {"__init__", "__main__"}
    assert rooms <= set(RANK)
    assert LINE in (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_host_side_and_the_help_do_not_load_jax() -> None:
    heavy = sorted(HEAVY | DEVICE_ONLY)
    code = f"""
import sys
import steelyard.data, steelyard.features, steelyard.metrics, steelyard.cli
print(*[name for name in {heavy} if name in sys.modules])
"""
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.split() == []


def test_files_and_functions_are_short() -> None:
    assert [problem for file in sources() for problem in broken_sizes(*file)] == []


def test_a_long_file_and_a_long_function_are_caught() -> None:
    assert broken_sizes("long.py", "x = 1\n" * (LONGEST_FILE + 1)) == ["long.py: 351 lines"]
    function = "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION
    assert broken_sizes("long.py", function) == ["long.py: f has 61 lines"]


def test_nothing_prints() -> None:
    assert [problem for file in sources() for problem in prints(*file)] == []


def test_a_print_is_caught() -> None:
    assert prints("loud.py", "def f():\n    print('x')") == ["loud.py:2 prints"]


def test_no_file_names_a_path_of_one_machine() -> None:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        run = subprocess.run(listing, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, run.stdout.split("\0")):
        path = REPOSITORY / name
        if path.is_file() and b"\0" not in path.read_bytes():
            found += local_paths(name, path.read_text(encoding="utf-8"))
    assert found == []


@pytest.mark.parametrize("folder", ["work", "root", "home", "tmp"])
def test_a_path_of_one_machine_is_caught(folder: str) -> None:
    path = f"/{folder}/"
    assert local_paths("a.md", f"see `{path}data`") == [f"a.md: {path}"]
    assert local_paths("a.md", f"see https://example.org{path}data") == []


@pytest.mark.parametrize("room", registry.ROOMS)
def test_every_member_of_a_room_says_what_it_is(room: str) -> None:
    assert silent(registry.members(room).values()) == []


def test_a_member_without_a_summary_is_caught() -> None:
    assert silent([registry.Member("tasks", "mute", object(), " ")]) == ["mute"]
