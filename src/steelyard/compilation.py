"""JAX's compilation, kept between processes so that a warm start takes about a second."""

from __future__ import annotations

from pathlib import Path

import jax

from steelyard.home import home


def use_cache(directory: Path | None = None) -> Path:
    """Keep compiled programs of this process and find those of earlier ones.

    A cache that others can write to can run their code, so it belongs to the user alone (mode
    0700) and lies under `STEELYARD_HOME`, else in the user's cache directory.
    """
    place = directory or home() / "xla"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = {
        "jax_compilation_cache_dir": str(place),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
    return place


def run_inline() -> None:
    """Have programs of the CPU run in the thread that calls them, instead of in one of their own.

    Who steps an environment from Python needs each answer at once, and the hop to another thread
    and back takes longer than a step. Programs on a GPU are not concerned. This is a setting of
    JAX (`jax_cpu_enable_async_dispatch`) that counts for the process and has an effect only before
    JAX has touched its first array.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]
