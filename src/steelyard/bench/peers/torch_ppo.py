"""PPO in torch on `torch_market`, written for large batches: maker `train`.

Proximal policy optimisation (Schulman et al., 2017) with generalised advantages (Schulman et al.,
2016) as ours has them: an actor and a critic of their own, Adam with a limit on the gradient,
advantages standardised over the minibatch. Rollouts go into buffers that are used again, the
critic sees each observation once, and Adam is the fused one. It runs eagerly: `torch.compile` of
the loss moves its speed by less than two runs differ, and makes the step of the market slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .serve import Work, serve
from .torch_market import StockMarket, facts_of
from .torch_policy import Actor, network


class PPO:
    """A training in progress; `settings` have our names."""

    def __init__(
        self, folder: Path, options: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> None:
        self.settings, envs, steps = settings, settings["envs"], settings["horizon"]
        self.env = env = StockMarket(folder, options, envs)
        self.actor = Actor(env.size, settings["hidden"], env.assets).to(env.device)
        self.critic = network(env.size, settings["hidden"], 1, 1.0).to(env.device)
        self.parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.adam = torch.optim.Adam(
            self.parameters, lr=settings["learning_rate"], eps=1e-5, fused=True
        )
        like = {"device": env.device}
        self.vectors = torch.zeros(steps + 1, envs, env.size, **like)
        self.action = torch.zeros(steps, envs, env.assets, **like)
        self.log_prob, self.reward, self.next_value, self.advantage = (
            torch.zeros(steps, envs, **like) for _ in range(4)
        )
        self.ended = torch.zeros(steps, envs, dtype=torch.bool, **like)
        batch = settings["minibatch"]
        # memory that is used again: fresh pages would cost as much as the copy
        self.batch = [
            torch.zeros(batch, env.size, **like),
            torch.zeros(batch, env.assets, **like),
            *(torch.zeros(batch, **like) for _ in range(3)),
        ]
        env.observe(self.vectors[0])

    @torch.no_grad()
    def collect(self) -> torch.Tensor:
        """`horizon` steps of every environment; the values (T + 1, B) of what was observed."""
        env, last = self.env, self.settings["horizon"]
        finals: dict[int, torch.Tensor] = {}
        for t in range(last):
            self.action[t], self.log_prob[t] = self.actor.act(self.vectors[t])
            self.reward[t], self.ended[t] = env.step(self.action[t])
            final = env.observe(self.vectors[t + 1])
            if bool(self.ended[t].any()):
                finals[t] = self.critic(final)[:, 0]
                env.restart(self.ended[t])
                env.observe(self.vectors[t + 1])
        value: torch.Tensor = self.critic(self.vectors)[..., 0]
        self.next_value.copy_(value[1:])
        for t, seen in finals.items():  # an episode that was cut short goes on in its value
            self.next_value[t] = torch.where(self.ended[t], seen, value[t + 1])
        return value

    @torch.no_grad()
    def estimate(self, value: torch.Tensor) -> torch.Tensor:
        """Fill in the advantages; returns the targets (T, B) of the critic."""
        discount, decay = self.settings["discount"], self.settings["decay"]
        change = self.reward + discount * self.next_value - value[:-1]
        passes = discount * decay * (~self.ended).float()
        following = torch.zeros_like(change[0])
        for t in reversed(range(len(change))):
            following = torch.addcmul(change[t], passes[t], following, out=self.advantage[t])
        return self.advantage + value[:-1]

    def _loss(
        self,
        vectors: torch.Tensor,
        action: torch.Tensor,
        before: torch.Tensor,
        advantage: torch.Tensor,
        target: torch.Tensor,
    ) -> torch.Tensor:
        clip = self.settings["clip"]
        ratio = (self.actor.log_prob(vectors, action) - before).exp()
        advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
        kept = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
        error = (self.critic(vectors)[:, 0] - target).square().mean()
        return self.settings["value_weight"] * error - kept.mean()

    def update(self) -> int:
        """One update; returns its environment steps."""
        target = self.estimate(self.collect())
        count, batch = target.numel(), self.settings["minibatch"]
        columns = (
            *(self.vectors[:-1].reshape(count, -1), self.action.reshape(count, -1)),
            *(part.reshape(count) for part in (self.log_prob, self.advantage, target)),
        )
        for _ in range(self.settings["epochs"]):
            for rows in torch.randperm(count, device=self.env.device).split(batch):
                for column, part in zip(columns, self.batch, strict=True):
                    torch.index_select(column, 0, rows, out=part)
                self.adam.zero_grad()
                self._loss(*self.batch).backward()
                torch.nn.utils.clip_grad_norm_(self.parameters, self.settings["max_gradient"])
                self.adam.step()
        self.vectors[0].copy_(self.vectors[-1])
        return int(count)


def train(folder: Path, options: Mapping[str, Any]) -> Work:
    """Complete training: `updates` per round.

    Options: `settings`, `updates`, `net` and the account's.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = options["settings"]
    agent = PPO(folder, options, settings)
    shared = {
        "batch": settings["minibatch"],
        "steps": settings["horizon"],
        "epochs": settings["epochs"],
    }

    def run(updates: int) -> int:
        samples = sum(agent.update() for _ in range(updates))
        if agent.env.device.type == "cuda":
            torch.cuda.synchronize()
        return samples

    facts = facts_of(folder, options, agent.env.size) | shared
    return Work(facts, lambda: run(int(options["updates"])), lambda: run(1))


MAKERS = {"train": train}

if __name__ == "__main__":
    serve(MAKERS)
