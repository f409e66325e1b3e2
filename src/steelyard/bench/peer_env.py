"""Virtual environments of the benchmark's own, in which peers are installed at pinned versions.

An environment is made once, in the folder `bench` of `steelyard.home.home()`, and named after
what is in it; a change of a pin or of the Python version makes a new one. Steelyard's own
environment is never touched.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steelyard.errors import DependencyError, UnknownNameError
from steelyard.home import home
from steelyard.registry import did_you_mean


@dataclass(frozen=True)
class PeerEnvironment:
    """What one peer is installed from.

    Attributes:
        name: what `--against` is given.
        steps: arguments of one `pip install` each, in order. torch comes first and alone, so that
            a CPU build that the machine offers is taken before anything else asks for it.
    """

    name: str
    steps: tuple[tuple[str, ...], ...]

    @property
    def key(self) -> str:
        """The folder's name: the peer, the Python version and a digest of every pin."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        digest = hashlib.sha256(json.dumps(self.steps).encode()).hexdigest()[:12]
        return f"{self.name}-py{version}-{digest}"


PEERS = {
    peer.name: peer
    for peer in [
        PeerEnvironment(
            "finrl",
            (
                ("torch==2.13.0",),
                ("stable-baselines3==2.9.2", "gymnasium==1.4.0", "numpy==2.4.6", "pandas==2.3.3"),
                ("stockstats==0.6.10", "empyrical-reloaded==0.7.1"),
                ("--no-deps", "finrl==0.3.7"),
            ),
        ),
        PeerEnvironment(
            "elegantrl",
            (
                ("torch==2.13.0",),
                ("numpy==2.4.6", "pandas==2.3.3"),
                ("--no-deps", "elegantrl==0.3.6"),
            ),
        ),
        PeerEnvironment("torch", (("torch==2.13.0",), ("numpy==2.4.6",))),
        PeerEnvironment(
            "doors",
            (
                ("torch==2.13.0",),
                ("stable-baselines3==2.9.2", "gymnasium==1.4.0", "numpy==2.4.6"),
                ("jax==0.10.2", "equinox==0.13.8", "optax==0.2.8", "jaxtyping==0.3.11"),
            ),
        ),
    ]
}
"""Name -> environment.

FinRL's wheel declares no dependencies, so these are named beside it; ElegantRL asks for a `gym`
that no longer builds and that the measured file does not import. `torch` runs our own programs, and
`doors` our environments under the libraries that they have doors for.
"""

_DONE = "installed.json"


def find_peer(name: str) -> PeerEnvironment:
    """The environment that `--against` names.

    Raises:
        UnknownNameError: there is no such peer.
    """
    if name not in PEERS:
        raise UnknownNameError(f"no peer named `{name}`", hint=did_you_mean(name, PEERS))
    return PEERS[name]


def interpreter(peer: PeerEnvironment, folder: Path | None = None) -> Path:
    """The Python of `peer`'s environment, which is made first where it does not stand yet.

    Args:
        folder: where environments are kept; `bench` in the user's cache where None.

    Raises:
        DependencyError: the environment could not be made; the message gives the reason.
    """
    target = (folder or home() / "bench") / peer.key
    python = target / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if (target / _DONE).exists() and python.exists():
        return python
    try:
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        _command([sys.executable, "-m", "venv", str(target)], peer)
        for step in peer.steps:
            _command([str(python), "-m", "pip", "install", "--quiet", *step], peer)
        (target / _DONE).write_text(json.dumps(peer.steps), encoding="utf-8")
    except OSError as error:
        raise DependencyError(
            f"peer `{peer.name}` could not be installed: {error}",
            hint=f"make {target.parent} writable, or set STEELYARD_HOME",
        ) from error
    return python


def _command(arguments: Sequence[str], peer: PeerEnvironment) -> None:
    """Run one step of the installation, without a shell and without a terminal.

    Raises:
        DependencyError: it failed; the message is the last error line that it printed.
    """
    done = subprocess.run(  # arguments are the pins above, never user input
        list(arguments), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")]
        reason = (errors or lines or [f"exit code {done.returncode}"])[-1]
        raise DependencyError(
            f"peer `{peer.name}` could not be installed: {reason}",
            hint="the other rows do not need it; check the connection to the package index",
        )
