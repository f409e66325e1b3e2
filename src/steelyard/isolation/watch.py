"""What somebody's own code opens while it is asked: files, sockets, processes.

Python tells of every file and socket that it opens itself (PEP 578). Libraries that read with code
of their own do not; those that people have for data are wrapped as they are imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from steelyard.isolation.sources import PACKAGE, library_folders, source_of

MOST = 200
"""Different things that are remembered."""

HARMLESS = frozenset({
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/tty"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat"),
    *("/proc/self/status", "/proc/self/stat", "/proc/self/cgroup", "/proc/self/statm"),
})  # fmt: skip
COUNTS = ("/sys/", "/proc/sys/")
"""What libraries ask about the machine: cores, memory, limits."""

FORKS = ("os.fork", "os.forkpty")
PROCESSES = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn")
SOCKETS = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto")
READERS = ("polars", "pyarrow.parquet", "pyarrow.csv", "pyarrow.feather", "pyarrow.json",
           "pyarrow.dataset", "pyarrow.orc", "pyarrow", "safetensors", "safetensors.numpy", "h5py",
           "netCDF4", "duckdb", "tables")  # fmt: skip
OPENING = ("read_", "scan_", "load_", "safe_open", "File", "Dataset", "ParquetFile", "memory_map",
           "OSFile", "connect", "dataset", "open_")  # fmt: skip


class Forbidden(Exception):
    """Raised inside somebody's own code where it tries what cannot be allowed."""


class Watch:
    """Listens to this process from now on; there is no way to stop listening.

    Args:
        code: files of the agent's own source.
    """

    def __init__(self, code: Sequence[str]) -> None:
        self._seen: dict[str, None] = {}
        self._code = frozenset(os.path.realpath(path) for path in code)
        cache = os.environ.get("JAX_COMPILATION_CACHE_DIR")
        compiled = (os.path.realpath(cache) + os.sep,) if cache else ()
        self._library = (*library_folders(), *compiled)
        self._data = str(Path(PACKAGE) / "data" / "bundled") + os.sep
        sys.addaudithook(self._hear)
        sys.meta_path.insert(0, _Finder())

    def take(self) -> list[str]:
        """What was opened since this was asked last, each once."""
        seen, self._seen = list(self._seen), {}
        return seen

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event in FORKS:
            self._note("forked")
            raise Forbidden("an agent may not fork")
        if event == "open" or event == "steelyard.read":
            self._file(args[0])
        elif event in PROCESSES:
            self._note(f"process {_first_word(args)}")
        elif event in SOCKETS:
            self._note(f"socket {_address(event, args)}")
        elif event == "sqlite3.connect":
            self._file(args[0])

    def _file(self, path: object) -> None:
        if isinstance(path, int) or not isinstance(path, (str, bytes, os.PathLike)):
            return
        told = os.fsdecode(path)
        name = source_of(os.path.realpath(told))
        if told in HARMLESS or told.startswith(COUNTS) or Path(name).is_dir():
            return
        if name in self._code:
            return
        if name.startswith((PACKAGE, *self._library)) and not name.startswith(self._data):
            return
        self._note(f"file {_shown(name)}")

    def _note(self, what: str) -> None:
        if len(self._seen) < MOST:
            self._seen[what] = None


def _shown(name: str) -> str:
    """A file by its name and folder: enough to know it, and nothing of this machine."""
    return "/".join(Path(name).parts[-2:])


def _first_word(args: tuple[Any, ...]) -> str:
    words = [one for one in args if isinstance(one, (str, bytes, os.PathLike)) and one]
    return Path(os.fsdecode(words[0])).name if words else "(unnamed)"


def _address(event: str, args: tuple[Any, ...]) -> str:
    place = args[0] if event == "socket.getaddrinfo" else args[-1]
    if isinstance(place, tuple):
        return ":".join(str(part) for part in place[:2])
    return str(place)


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps the functions that open files of libraries which do not tell of it."""

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del target
        if fullname not in READERS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads as another loader does, and wraps what was loaded."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the other loader."""
        made: ModuleType | None = self._inner.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """As the other loader, then with functions that tell what they open."""
        self._inner.exec_module(module)
        for name, value in list(vars(module).items()):
            if not name.startswith(OPENING) or not callable(value):
                continue
            if isinstance(value, type):
                _tell_when_made(value)
            else:
                setattr(module, name, _telling(value))


def _telling(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def told(*args: Any, **named: Any) -> Any:
        sys.audit("steelyard.read", args[0] if args else next(iter(named.values()), None))
        return function(*args, **named)

    return told


def _tell_when_made(kind: type) -> None:
    """Let a class tell what its instances open; classes that are not written in Python cannot."""
    begin: Any = vars(kind).get("__init__", object.__init__)

    @wraps(begin)
    def told(self: Any, *args: Any, **named: Any) -> None:
        sys.audit("steelyard.read", args[0] if args else next(iter(named.values()), None))
        begin(self, *args, **named)

    with suppress(TypeError, AttributeError):
        setattr(kind, "__init__", told)  # noqa: B010 - the type checker knows no other way
