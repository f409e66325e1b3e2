"""The ensembles of the paper and of the contests, by name.

The three ensembles of the paper for stocks (section 6.2.2) and those by other rules share one
population, and so do the votes of its crypto task (section 6.3.1): whoever asks for several of them
trains it once.
"""

from __future__ import annotations

from steelyard.agents.a2c import A2C
from steelyard.agents.ddpg import DDPG
from steelyard.agents.dqn import DQN, DoubleDQN, DuelingDQN
from steelyard.agents.ensemble import BEST, Ensemble
from steelyard.agents.population import Population
from steelyard.agents.ppo import PPO
from steelyard.agents.sac import SAC
from steelyard.agents.td3 import TD3
from steelyard.registry import register

SIZE = 10
"""Members of each kind in the largest ensemble."""

DIVERSITY = 0.01
"""Lambda of equation 5, as in the published code; its gradient is zero there and is not here."""


def paper_population() -> Population:
    """Ten each of PPO, SAC and DDPG that keep apart."""
    return Population(((PPO(), SIZE), (SAC(), SIZE), (DDPG(), SIZE)), diversity=DIVERSITY)


def ensemble_1() -> Ensemble:
    """One PPO, one SAC and one DDPG; mean action weighed by Sharpe ratios (Ensemble 1)."""
    return Ensemble(paper_population(), take=1)


def ensemble_2() -> Ensemble:
    """Five each of PPO, SAC and DDPG; mean action weighed by Sharpe ratios (Ensemble 2)."""
    return Ensemble(paper_population(), take=5)


def ensemble_3() -> Ensemble:
    """Ten each of PPO, SAC and DDPG; mean action weighed by Sharpe ratios (Ensemble 3)."""
    return Ensemble(paper_population(), take=10)


def ensemble_majority() -> Ensemble:
    """The members of Ensemble 3; each asset is voted on (the paper's crypto ensembles)."""
    return Ensemble(paper_population(), rule="majority")


def ensemble_confidence() -> Ensemble:
    """The members of Ensemble 3; who is surer counts more (FinRL Contest 2024, Fermion)."""
    return Ensemble(paper_population(), rule="confidence")


def ensemble_product() -> Ensemble:
    """The members of Ensemble 3; Boltzmann multiplication (FinRL Contest 2024, Fermion)."""
    return Ensemble(paper_population(), rule="product")


def ensemble_sum() -> Ensemble:
    """The members of Ensemble 3; Boltzmann addition (FinRL Contest 2024, Fermion)."""
    return Ensemble(paper_population(), rule="sum")


def ensemble_best() -> Ensemble:
    """A2C, DDPG, TD3, SAC and PPO; the best on validation rows decides (Yang et al., 2020)."""
    agents = (A2C(), DDPG(), TD3(), SAC(), PPO())
    return Ensemble(Population(tuple((agent, 1) for agent in agents)), rule=BEST)


def value_population() -> Population:
    """Ten each of DQN, Double DQN and Dueling DQN."""
    return Population(((DQN(), SIZE), (DoubleDQN(), SIZE), (DuelingDQN(), SIZE)))


def vote_1() -> Ensemble:
    """One DQN, one Double DQN and one Dueling DQN; the majority decides (Table 7)."""
    return Ensemble(value_population(), take=1, rule="majority")


def vote_2() -> Ensemble:
    """Five each of DQN, Double DQN and Dueling DQN; the majority decides (Table 7)."""
    return Ensemble(value_population(), take=5, rule="majority")


def vote_3() -> Ensemble:
    """Ten each of DQN, Double DQN and Dueling DQN; the majority decides (Table 7)."""
    return Ensemble(value_population(), take=10, rule="majority")


def vote_confidence() -> Ensemble:
    """The members of `vote_3`; who is surer counts more (FinRL Contest 2024, Fermion)."""
    return Ensemble(value_population(), rule="confidence")


for _factory in (
    ensemble_1,
    ensemble_2,
    ensemble_3,
    ensemble_majority,
    ensemble_confidence,
    ensemble_product,
    ensemble_sum,
    ensemble_best,
    vote_1,
    vote_2,
    vote_3,
    vote_confidence,
):
    register("agents", _factory.__name__, _factory)
