"""An actor in torch: what stands in the loop of the torch peers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch


def network(inputs: int, hidden: Sequence[int], outputs: int, gain: float) -> torch.nn.Sequential:
    """Linear layers with tanh between them; `gain` scales the weights of the last one."""
    layers: list[torch.nn.Module] = []
    for before, after in pairwise([inputs, *hidden]):
        layers += [_linear(before, after, math.sqrt(2)), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers, _linear(hidden[-1], outputs, gain))


def _linear(inputs: int, outputs: int, gain: float) -> torch.nn.Linear:
    layer = torch.nn.Linear(inputs, outputs)
    torch.nn.init.orthogonal_(layer.weight, gain)
    torch.nn.init.zeros_(layer.bias)
    return layer


class Actor(torch.nn.Module):
    """Normal actions around the output of a network; the spread does not depend on the input."""

    def __init__(self, inputs: int, hidden: Sequence[int], actions: int) -> None:
        super().__init__()
        self.mean = network(inputs, hidden, actions, 0.01)
        self.log_std = torch.nn.Parameter(torch.zeros(actions))

    def act(self, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Sampled actions (B, A) and their log densities (B,)."""
        mean = self.mean(vectors)
        noise = torch.randn_like(mean)
        constant = self.log_std.sum() + 0.5 * math.log(2 * math.pi) * mean.shape[1]
        return mean + self.log_std.exp() * noise, -0.5 * noise.square().sum(dim=1) - constant

    def log_prob(self, vectors: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Log densities (B,) of given actions."""
        mean = self.mean(vectors)
        scaled = (action - mean) * (-self.log_std).exp()
        constant = self.log_std.sum() + 0.5 * math.log(2 * math.pi) * mean.shape[1]
        return -0.5 * scaled.square().sum(dim=1) - constant
