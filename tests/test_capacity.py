"""What fits into memory is known before it is tried."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.capacity import (
    UNKNOWN,
    available_memory,
    in_words,
    largest_that_fits,
    require_memory,
)
from steelyard.errors import ConfigError, MemoryLimitError

GB = 10**9


@given(
    fixed=st.integers(0, 1_000),
    each=st.integers(1, 50),
    asked=st.integers(1, 500),
    free=st.integers(0, 20_000),
    step=st.integers(1, 7),
)
def test_the_largest_that_fits_is_found_as_by_trying_every_number(
    fixed: int, each: int, asked: int, free: int, step: int
) -> None:
    def bytes_of(count: int) -> int:
        return fixed + each * count

    possible = [*range(step, asked, step), asked]
    tried = [n for n in possible if bytes_of(n) <= free]
    assert largest_that_fits(bytes_of, asked, free, step=step) == max(tried, default=0)


def test_too_many_environments_are_refused_with_the_largest_number_that_fits() -> None:
    with pytest.raises(MemoryLimitError) as caught:
        require_memory(
            lambda count: count * 625_000,
            65_536,
            free=12 * GB,
            step=4_096,
            hint=lambda count: f"--set ppo.envs={count}",
        )
    error = caught.value
    assert error.message == (
        "65,536 environments need about 41 GB, 12 GB are free; "
        "the largest number that fits is 16,384"
    )
    assert error.hint == "--set ppo.envs=16384"
    assert isinstance(error, ConfigError)
    assert (error.largest, error.needed, error.free) == (16_384, 40_960_000_000, 12 * GB)


def test_what_fits_is_let_through_and_where_nothing_fits_no_number_is_suggested() -> None:
    require_memory(lambda count: count, 10, free=10)
    with pytest.raises(MemoryLimitError, match=r"none fits$") as caught:
        require_memory(lambda count: 11 + count, 10, free=10, hint=lambda count: "never")
    assert caught.value.hint == ""


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (3_240_000, "3.2 MB"), (41 * GB, "41 GB")],
)
def test_bytes_are_said_as_people_say_them(size: int, words: str) -> None:
    assert in_words(size) == words


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 8000 kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


GROUPS = {
    "no groups": ({}, 8_000 * 1024),
    "version 2, the limit of a parent": (
        {
            "proc/self/cgroup": "0::/user/job\n",
            "sys/fs/cgroup/user/memory.max": "5000000\n",
            "sys/fs/cgroup/user/memory.current": "3000000\n",
            "sys/fs/cgroup/user/memory.stat": "anon 1\ninactive_file 250000\n",
            "sys/fs/cgroup/user/job/memory.max": "max\n",
            "sys/fs/cgroup/user/job/memory.current": "1000000\n",
        },
        2_250_000,
    ),
    "version 1, in a container that shows its own group at the top": (
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n3:cpuset:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "4000000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000000\n",
        },
        3_000_000,
    ),
    "a limit that is no limit": (
        {
            "proc/self/cgroup": "4:memory:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000000\n",
        },
        8_000 * 1024,
    ),
    "a group that is over its limit": (
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "1000000\n",
            "sys/fs/cgroup/memory.current": "1200000\n",
        },
        0,
    ),
}


@pytest.mark.parametrize("case", GROUPS)
def test_the_limits_of_control_groups_are_honoured(case: str, tmp_path: Path) -> None:
    files, free = GROUPS[case]
    assert available_memory(root=machine(tmp_path, files)) == free


def test_a_system_that_says_nothing_refuses_nothing(tmp_path: Path) -> None:
    assert available_memory(root=tmp_path) == UNKNOWN


class Accelerator:
    platform = "gpu"

    def __init__(self, stats: dict[str, int] | None) -> None:
        self.stats = stats

    def memory_stats(self) -> Any:
        return self.stats


def test_an_accelerator_is_asked_itself() -> None:
    stats = {"bytes_limit": 80 * GB, "bytes_in_use": 5 * GB}
    assert available_memory(Accelerator(stats)) == 75 * GB
    assert available_memory(Accelerator(None)) == UNKNOWN


def test_this_machine_has_between_a_megabyte_and_a_petabyte_left() -> None:
    assert 10**6 < available_memory() < 10**15
