"""How much memory there is, and the largest number of environments that fits into it.

What a program needs is known before it runs: `peak_bytes` reads it from the traced program, without
compiling it. `require_memory` refuses before anything is allocated, with the largest number that
fits, instead of a failure in the middle.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var

from steelyard.errors import MemoryLimitError

ROOT = Path("/")
"""Where the kernel's own files lie."""

UNKNOWN = sys.maxsize
"""Free bytes where nothing is known: nothing is refused then."""


WRITES = frozenset(
    {
        *("dot_general", "conv_general_dilated", "sort", "cumsum", "random_bits", "threefry2x32"),
        *("dynamic_update_slice", "scatter", "scatter-add", "scan", "while", "cond"),
    }
)
"""Operations that read and write memory; the others are fused into what uses their results."""

INLINE = frozenset({"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "cond"})
"""Calls whose results are those of the program within, so that they are not there twice."""


def available_memory(device: Any = None, *, root: Path = ROOT) -> int:
    """Bytes that a program on `device` may still take.

    Of an accelerator that is what its allocator may still hand out. Of a CPU it is what the kernel
    calls available, or what the control groups of this process leave if that is less.

    Args:
        device: a `jax.Device`; the default one where None.
        root: where `proc` and `sys` lie.

    Returns:
        Bytes, at least 0; `UNKNOWN` where neither the device nor the system says.
    """
    device = jax.local_devices()[0] if device is None else device
    if device.platform == "cpu":
        return max(0, min(_available_in_all(root), *_left_in_groups(root), UNKNOWN))
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
        return UNKNOWN
    return max(0, int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0)))


def largest_that_fits(
    bytes_of: Callable[[int], int], asked: int, free: int | None = None, *, step: int = 1
) -> int:
    """The largest number up to `asked` that fits into `free` bytes.

    Args:
        bytes_of: what a number of them needs, in bytes; it does not fall as the number grows.
        asked: the number that somebody wants, at least 1.
        free: bytes; `available_memory()` where None.
        step: only multiples of it are possible; `asked` is always.

    Returns:
        `asked` where that fits, else a multiple of `step`; 0 where not even `step` fits.
    """
    free = available_memory() if free is None else free
    if bytes_of(asked) <= free:
        return asked
    fits, too_many = 0, -(-asked // step)  # in steps
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if bytes_of(middle * step) <= free:
            fits = middle
        else:
            too_many = middle
    return fits * step


def require_memory(
    bytes_of: Callable[[int], int],
    asked: int,
    *,
    what: str = "environments",
    hint: Callable[[int], str] | None = None,
    free: int | None = None,
    step: int = 1,
) -> None:
    """Refuse a number that does not fit, before it is tried.

    Args:
        bytes_of, asked, free, step: as of `largest_that_fits`.
        what: is counted, in the plural.
        hint: what to type, given the largest number that fits.

    Raises:
        MemoryLimitError: it does not fit; `largest` says what does.
    """
    free = available_memory() if free is None else free
    needed = bytes_of(asked)
    if needed > free:
        largest = largest_that_fits(bytes_of, asked, free, step=step)
        raise too_much(what, asked, needed, free, largest, hint)


def too_much(
    what: str,
    asked: int,
    needed: int,
    free: int,
    largest: int,
    hint: Callable[[int], str] | None = None,
) -> MemoryLimitError:
    """The error that says what was asked for, what there is, and the `largest` that fits."""
    best = f"the largest number that fits is {largest:,}" if largest else "none fits"
    error = MemoryLimitError(
        f"{asked:,} {what} need about {in_words(needed)}, {in_words(free)} are free; {best}",
        hint=hint(largest) if hint is not None and largest else "",
    )
    error.largest, error.needed, error.free = largest, needed, free
    return error


def peak_bytes(program: ClosedJaxpr, *, donated: bool = False) -> int:
    """About how much memory a program needs at its fullest, arguments and results included.

    Every value is there from the operation that makes it to the last one that uses it. A value
    that only enters other sums is taken to be fused into them, and what dies makes room for what
    has its shape. The result lies within a factor of two of
    what XLA allocates on a CPU, and within a tenth where observations are wide; what a library of
    the device takes for itself is not in it.

    Args:
        program: as `jax.make_jaxpr` traces it.
        donated: whether results may lie where arguments lay.
    """
    inner = program.jaxpr
    given = sum(bytes_in(var.aval) for var in (*inner.invars, *inner.constvars))
    return given + _peak(inner, donated)


def bytes_in(array: Any) -> int:
    """Bytes of an array, or of its shape and type; 0 for what is no array."""
    shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
    if shape is None or dtype is None:
        return 0
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return 8 * int(math.prod(shape))
    return int(dtype.itemsize) * int(math.prod(shape))


def in_words(size: int) -> str:
    """Bytes as people say them, as 41 GB or 3.2 MB (powers of 1,000)."""
    amount, unit = float(size), "bytes"
    for bigger in ("kB", "MB", "GB", "TB"):
        if amount < 1_000:
            break
        amount, unit = amount / 1_000, bigger
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "bytes" else f"{amount:.1f} {unit}"


def _available_in_all(root: Path) -> int:
    """What the whole machine has left."""
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    known = getattr(os, "sysconf_names", {})
    if root != ROOT or "SC_PHYS_PAGES" not in known:
        return UNKNOWN
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_in_groups(root: Path) -> Iterator[int]:
    """What each control group around this process leaves, of version 1 and 2."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            top = root / "sys/fs/cgroup" / controllers
            own = top / path.lstrip("/")
            # a container may show its own group at the top, under a path that exists outside only
            for group in {own, *own.parents, top}:
                if group.is_relative_to(top):
                    yield _left_in(group, version=1 if controllers else 2)


def _left_in(group: Path, version: int) -> int:
    limit, used, files = (
        ("memory.max", "memory.current", "inactive_file ")
        if version == 2
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
    )
    most, now = _read(group / limit).strip(), _read(group / used).strip()
    if not (most.isdigit() and now.isdigit()):  # "max", or no such group
        return UNKNOWN
    lines = _read(group / "memory.stat").splitlines()
    # pages of files are counted as used, and given back when memory is short
    cached = sum(int(line.split()[1]) for line in lines if line.startswith(files))
    return int(most) - int(now) + cached


def _read(path: Path) -> str:
    """The text of a small file of the kernel; empty where there is none."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _peak(program: Jaxpr, reuses: bool) -> int:
    """Bytes beside the arguments of `program` at its fullest.

    Args:
        reuses: whether what is made may lie where an argument lay.
    """
    kept, ends = _lives(program)
    given = {*program.invars, *program.constvars}
    now = most = 0
    for number, equation in enumerate(program.eqns):
        over = [var for var in ends.get(number, ()) if var in kept]
        placed = _placed(
            [var for var in equation.outvars if var in kept],
            [var for var in over if reuses or var not in given],
        )
        size = sum(bytes_in(var.aval) for var in placed)
        inner = max((_peak(one, True) for one in _programs(equation)), default=0)
        if equation.primitive.name in INLINE:
            inner = max(0, inner - size)
        given.update(var for var, place in placed.items() if place in given)
        now += sum(bytes_in(var.aval) for var, place in placed.items() if place is None)
        most = max(most, now + inner)
        free = {*over} - given - {*placed.values()}
        now -= sum(bytes_in(var.aval) for var in free)
    return most


def _placed(made: list[Var], dying: list[Var]) -> dict[Var, Var | None]:
    """Where each value lies: in the room of one of its shape and type that is over, or None."""
    room: dict[Any, list[Var]] = {}
    for var in dying:
        room.setdefault(_kind(var), []).append(var)
    free = [room.get(_kind(var), []) for var in made]
    return {var: places.pop() if places else None for var, places in zip(made, free, strict=True)}


def _kind(var: Var) -> Any:
    array: Any = var.aval
    return array.shape, array.dtype


def _lives(program: Jaxpr) -> tuple[set[Var], dict[int, list[Var]]]:
    """The values that lie in memory, and those whose last use an operation is."""
    last: dict[Var, int] = {}
    kept: set[Var] = {*program.invars, *program.constvars}
    for number, equation in enumerate(program.eqns):
        used = [var for var in equation.invars if not isinstance(var, Literal)]
        last.update(dict.fromkeys(used, number))
        if equation.primitive.name in WRITES or any(True for _ in _programs(equation)):
            kept.update(used, equation.outvars)
    kept.update(var for var in program.outvars if not isinstance(var, Literal))
    last.update({var: len(program.eqns) for var in program.outvars if isinstance(var, Var)})
    ends: dict[int, list[Var]] = {}
    for var, number in last.items():
        ends.setdefault(number, []).append(var)
    return kept, ends


def _programs(equation: Any) -> Iterator[Jaxpr]:
    """The programs within an operation, as the body of a loop."""
    for value in equation.params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(one, ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, Jaxpr):
                yield one
