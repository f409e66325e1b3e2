"""Every error that Steelyard raises on purpose.

```
SteelyardError            base of all; carries a message and a hint that can be typed
├── UnknownNameError      a name that no member of a room has ("did you mean ...")
├── DataError             a file, a panel or a value in it is not what it must be
│   └── MissingDataError  what was asked for lies outside the data, or is not there at all
├── ConfigError           a task, an environment or an agent was given settings that cannot hold
│   └── MemoryLimitError  it needs more memory than there is; it says what fits
├── ContractError         a user's environment, agent or feature breaks the contract of its room
├── TrainingError         training produced something unusable (NaN, divergence)
├── DeviceError           a device that computes is not there, or was lost in the middle
├── WorkerError           a worker that trains for a run ended before its work was done
├── BundleError           a result bundle is damaged, incomplete or does not re-score
├── BenchError            a benchmark could not be measured, or its sides do not run the same thing
└── DependencyError       an optional dependency is missing
```
"""

from __future__ import annotations


class SteelyardError(Exception):
    """An error with a hint: what is wrong, where, and what to type next.

    Args:
        message: one line that says what is wrong, with the offending value.
        hint: one line that says what to do; empty where nothing can be done.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message if not hint else f"{message}\n\nhint: {hint}")
        self.message = message
        self.hint = hint


class UnknownNameError(SteelyardError):
    """A name that no member of the room has."""


class DataError(SteelyardError):
    """A file, a panel or a value in it is not what it must be."""


class MissingDataError(DataError):
    """What was asked for lies outside the data, or is not there at all."""


class ConfigError(SteelyardError):
    """A task, an environment or an agent was given settings that cannot hold."""


class MemoryLimitError(ConfigError):
    """Something needs more memory than there is.

    Attributes:
        largest: the largest number of what was asked for that fits; 0 where none does.
        needed, free: bytes, as estimated.
    """

    largest: int = 0
    needed: int = 0
    free: int = 0


class ContractError(SteelyardError):
    """A user's environment, agent or feature breaks the contract of its room."""


class TrainingError(SteelyardError):
    """Training produced something unusable.

    Attributes:
        policy: the last one before that, None where there is none.
    """

    policy: object = None


class DeviceError(SteelyardError):
    """A device that computes is not there, or was lost in the middle of its work."""


class WorkerError(SteelyardError):
    """A worker that trains for a run ended before its work was done, and so did the second."""


class BundleError(SteelyardError):
    """A result bundle is damaged, incomplete, or does not re-score to its numbers."""


class DependencyError(SteelyardError):
    """An optional dependency is missing; the hint says how to install it."""


class BenchError(SteelyardError):
    """A benchmark could not be measured, or its two sides do not run the same thing."""
