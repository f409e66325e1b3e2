"""What holds for every test: shapes are checked at run time, compiled programs are kept."""

import os
from pathlib import Path

import hypothesis
from jaxtyping import install_import_hook

CACHE = Path(__file__).resolve().parents[1] / ".cache"

SHAPED = ("ledger", "market", "book", "rollout", "envs", "agents", "factors")
"""Rooms whose annotated shapes are checked on every call while tests run."""

# One folder per worker: JAX does not write the entries of its compilation cache atomically.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "jax" / WORKER))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Workers share the cores; splitting a compilation between threads only adds to it. Small programs
# that run once are not worth optimising; `markets.OPTIMISED` is for those that must be.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_parallel_codegen_split_count=1 --xla_backend_optimization_level=0"
)
os.environ.setdefault("STEELYARD_HOME", str(CACHE / "home" / WORKER))

install_import_hook([f"steelyard.{room}" for room in SHAPED], "shapes.check")

hypothesis.settings.register_profile("local", deadline=None, max_examples=25)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")
