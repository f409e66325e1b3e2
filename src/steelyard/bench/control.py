"""Two classic problems of control, so that agents can be weighed where others weigh theirs.

`CartPole` and `Pendulum` follow the equations and constants of Gymnasium's CartPole-v1 and
Pendulum-v1 (Barto, Sutton and Anderson, 1983, for the former), step for step. Time limits truncate
an episode; they do not terminate it.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.rollout import TimeStep
from steelyard.types import Space

GRAVITY = 9.8
CART, POLE = 1.0, 0.1
"""Masses in kg."""
HALF = 0.5
"""Half the length of the pole in m."""
FORCE = 10.0
"""What a push does in N."""
TICK = 0.02
"""Seconds from step to step of the cart."""
TILT, TRACK = 12 * 2 * np.pi / 360, 2.4
"""Angle in rad and place in m at which the pole has fallen and the cart has left the track."""

PULL = 10.0
"""Gravity of the pendulum in m/s^2."""
TORQUE = 2.0
"""Largest torque on the pendulum in N m."""
SPEED = 8.0
"""Largest speed of the pendulum in rad/s."""
SWING = 0.05
"""Seconds from step to step of the pendulum."""


class ControlParams(eqx.Module):
    """The setting of both problems.

    Attributes:
        length: steps after which an episode is truncated.
    """

    length: int | Int[Array, ""]


class ControlState(NamedTuple):
    """An episode in progress: the mechanical state and the steps taken."""

    motion: Float[Array, " S"]
    steps: Int[Array, ""]


class CartPole(eqx.Module):
    """A pole on a cart that is pushed left or right.

    * Observation: place (m), speed (m/s), angle (rad, 0 = upright), angular speed (rad/s).
    * Action: 0 pushes left, 1 pushes right.
    * Reward: 1 a step, the last one included.
    * Ends: terminated when the pole leans by more than 12 degrees or the cart leaves the track;
      truncated after `length` steps (500 in CartPole-v1).
    """

    def reset(self, key: PRNGKeyArray, params: ControlParams) -> tuple[ControlState, TimeStep]:
        """All four numbers uniform in [-0.05, 0.05]."""
        motion = jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)
        state = ControlState(motion, jnp.zeros((), jnp.int32))
        return state, _answer(motion, state, jnp.zeros(()), jnp.asarray(False), params)

    def step(
        self, key: PRNGKeyArray, state: ControlState, action: Int[Array, ""], params: ControlParams
    ) -> tuple[ControlState, TimeStep]:
        """Push for one tick: explicit Euler."""
        del key  # mechanics are deterministic
        _, speed, angle, turn = state.motion
        force = jnp.where(action == 1, FORCE, -FORCE)
        sine, cosine = jnp.sin(angle), jnp.cos(angle)
        push = (force + POLE * HALF * turn**2 * sine) / (CART + POLE)
        lever = HALF * (4 / 3 - POLE * cosine**2 / (CART + POLE))
        lean = (GRAVITY * sine - cosine * push) / lever
        drive = push - POLE * HALF * lean * cosine / (CART + POLE)
        change = jnp.stack([speed, drive, turn, lean])
        state = ControlState(state.motion + TICK * change, state.steps + 1)
        fallen = (jnp.abs(state.motion[0]) > TRACK) | (jnp.abs(state.motion[2]) > TILT)
        return state, _answer(state.motion, state, jnp.ones(()), fallen, params)

    def observe(self, obs: Float[Array, "4"], params: ControlParams) -> Float[Array, "4"]:
        """The observation is the vector."""
        return obs

    def action_space(self, params: ControlParams) -> Space:
        """Left and right."""
        return Space(choices=2)


class Pendulum(eqx.Module):
    """A pendulum that is to be swung up and held upright.

    * Observation: cosine and sine of the angle (0 = upright), angular speed (rad/s).
    * Action: one number, clipped to [-1, 1], times 2 N m.
    * Reward: minus (angle^2 + 0.1 speed^2 + 0.001 torque^2), angle in [-pi, pi).
    * Ends: truncated after `length` steps (200 in Pendulum-v1).
    """

    def reset(self, key: PRNGKeyArray, params: ControlParams) -> tuple[ControlState, TimeStep]:
        """Angle uniform in [-pi, pi], speed in [-1, 1]."""
        motion = jax.random.uniform(key, (2,), minval=-1, maxval=1) * jnp.array([jnp.pi, 1.0])
        state = ControlState(motion, jnp.zeros((), jnp.int32))
        return state, _answer(_seen(motion), state, jnp.zeros(()), jnp.asarray(False), params)

    def step(
        self,
        key: PRNGKeyArray,
        state: ControlState,
        action: Float[Array, "1"],
        params: ControlParams,
    ) -> tuple[ControlState, TimeStep]:
        """Turn for one step; the reward is that of the state and the torque before it."""
        del key  # mechanics are deterministic
        angle, speed = state.motion
        torque = TORQUE * jnp.clip(action[0], -1, 1)
        lean = (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
        cost = lean**2 + 0.1 * speed**2 + 0.001 * torque**2
        speed = jnp.clip(speed + (1.5 * PULL * jnp.sin(angle) + 3 * torque) * SWING, -SPEED, SPEED)
        motion = jnp.stack([angle + speed * SWING, speed])
        state = ControlState(motion, state.steps + 1)
        return state, _answer(_seen(motion), state, -cost, jnp.asarray(False), params)

    def observe(self, obs: Float[Array, "3"], params: ControlParams) -> Float[Array, "3"]:
        """The observation is the vector."""
        return obs

    def action_space(self, params: ControlParams) -> Space:
        """One number in [-1, 1]."""
        return Space(shape=(1,))


PROBLEMS: dict[str, tuple[CartPole | Pendulum, ControlParams]] = {
    "CartPole-v1": (CartPole(), ControlParams(500)),
    "Pendulum-v1": (Pendulum(), ControlParams(200)),
}
"""Gymnasium's name -> the same problem here, with its time limit."""


def _seen(motion: Float[Array, "2"]) -> Float[Array, "3"]:
    """What of the pendulum is observed."""
    return jnp.stack([jnp.cos(motion[0]), jnp.sin(motion[0]), motion[1]])


def _answer(
    obs: Float[Array, " D"],
    state: ControlState,
    reward: Float[Array, ""],
    terminated: Array,
    params: ControlParams,
) -> TimeStep:
    """The answer of both problems."""
    return TimeStep(
        obs=obs.astype(jnp.float32),
        reward=reward,
        terminated=terminated,
        truncated=state.steps >= params.length,
        info={},
    )
