"""What can be set about a distillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steelyard.errors import ConfigError


@dataclass(frozen=True)
class Distillation:
    """Sizes of the network, and how it is trained. The defaults take minutes on two CPU cores.

    Attributes:
        width: of every layer.
        layers: of the LSTM and of the GRU.
        batch: sequences of an update.
        sequence: rows of a sequence.
        warmup: its first rows, which warm the memory up; also the rows of a segment without
            factors.
        updates: at most; rounded up to whole checks.
        check_every: updates between two looks at the validation span.
        patience: checks without a better one after which training ends.
        learning_rate, weight_decay: of AdamW (Loshchilov & Hutter, 2019): an update shrinks weights
            by the share learning_rate * weight_decay. The published 1e-4 shrinks nothing, and the
            memory soon knows the training rows by heart.
        clip: largest norm of the gradient.
        average: share that the mean of past weights, which is what is checked and kept, keeps of
            itself in an update, in [0, 1) (Polyak & Juditsky, 1992); the published kit takes the
            newest weights, 0.
        straight: whether a linear layer leads from the features to the factors beside the memory;
            the published network has none.
    """

    width: int = 32
    layers: int = 1
    batch: int = 16
    sequence: int = 256
    warmup: int = 64
    updates: int = 1_000
    check_every: int = 25
    patience: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 3.0
    clip: float = 2.0
    average: float = 0.98
    straight: bool = True

    def __post_init__(self) -> None:
        whole = ("width", "layers", "batch", "updates", "check_every", "patience")
        wrong = [name for name in whole if getattr(self, name) < 1]
        wrong += [name for name in ("learning_rate", "clip") if not getattr(self, name) > 0.0]
        if wrong or not self.weight_decay >= 0.0:
            name = (wrong or ["weight_decay"])[0]
            raise ConfigError(f"{name} {getattr(self, name)} cannot be", hint=f"{name} above 0")
        if not 0.0 <= self.average < 1.0:
            raise ConfigError(f"average {self.average} is not in [0, 1)", hint="average=0.98")
        if not 0 <= self.warmup < self.sequence:
            raise ConfigError(
                f"a warm-up of {self.warmup} rows leaves nothing of a sequence of {self.sequence}",
                hint="warmup=64, sequence=256",
            )

    @property
    def sizes(self) -> dict[str, Any]:
        """What `FactorNetwork.create` is told."""
        return {"width": self.width, "layers": self.layers, "straight": self.straight}


def published() -> Distillation:
    """The sizes of the published kit: meant for an accelerator.

    256 epochs of the 1,609 updates that its log shows are the upper bound; patience ends it before.
    """
    return Distillation(
        width=128,
        layers=4,
        batch=256,
        updates=256 * 1_609,
        check_every=128,
        weight_decay=1e-4,
        average=0.0,
        straight=False,
    )
