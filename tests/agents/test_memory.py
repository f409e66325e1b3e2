"""Networks with memory against slow twins that see the whole history as nested loops."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probes import Corridor
from steelyard.agents.memory import create_memory_network, create_memory_policy
from steelyard.agents.sequence import KINDS
from steelyard.errors import ConfigError
from steelyard.rollout import rollout
from steelyard.types import Space

STEPS, INPUTS, SPAN, WIDTH = 12, 3, 4, 6
SIZES = {"span": SPAN, "blocks": 2, "heads": 2}
HISTORY = np.random.default_rng(0).normal(size=(STEPS, INPUTS)).astype(np.float32)


def network_of(kind):
    """With no weight left at 0, where a mistake could hide."""
    random = np.random.default_rng(1)
    network = create_memory_network(
        jax.random.key(1), INPUTS, (5, WIDTH), WIDTH, kind, gain=1.0, **SIZES
    )
    return jax.tree.map(
        lambda leaf: leaf + random.normal(0, 0.3, leaf.shape).astype(np.float32), network
    )


NETWORKS = {kind: network_of(kind) for kind in KINDS}


@eqx.filter_jit
def play(networks, history):
    """The outputs (T, O) of every network, and how the last depends on every input (O, T, D)."""

    def outputs(network, history):
        def step(carry, vector):
            output, carry = network(vector, carry)
            return carry, output

        return jax.lax.scan(step, network.initial_carry(), history)[1]

    return {
        kind: (
            outputs(network, history),
            jax.jacrev(lambda seen, network=network: outputs(network, seen)[-1])(history),
        )
        for kind, network in networks.items()
    }


@pytest.fixture(scope="module")
def played():
    return jax.tree.map(np.asarray, play(NETWORKS, HISTORY))


def dense(layer, x):
    return x @ np.asarray(layer.weight) + np.asarray(layer.bias)


def embedded(network):
    """What the memory reads: (T, H)."""
    first, second = network.encoder.layers
    return np.tanh(dense(second, np.tanh(dense(first, HISTORY))))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(memory, x):
    cell, width = memory.cell, WIDTH
    output, held, outputs = np.zeros(width), np.zeros(width), []
    for now in x:
        gates = np.asarray(cell.weight_ih) @ now + np.asarray(cell.weight_hh) @ output + cell.bias
        enter, forget, new, leave = np.split(np.asarray(gates), 4)
        held = sigmoid(forget) * held + sigmoid(enter) * np.tanh(new)
        output = sigmoid(leave) * np.tanh(held)
        outputs.append(output)
    return np.stack(outputs)


def gru(memory, x):
    cell, output, outputs = memory.cell, np.zeros(WIDTH), []
    for now in x:
        reset, update, new = np.split(np.asarray(cell.weight_ih @ now + cell.bias), 3)
        old_reset, old_update, old = np.split(np.asarray(cell.weight_hh) @ output, 3)
        reset, update = sigmoid(reset + old_reset), sigmoid(update + old_update)
        new = np.tanh(new + reset * (old + np.asarray(cell.bias_n)))
        output = (1 - update) * new + update * output
        outputs.append(output)
    return np.stack(outputs)


def convolution(memory, x):
    """Layer by layer over the whole history, with silence before it."""
    x = np.concatenate([np.zeros((2 * SPAN, WIDTH)), x])
    for number, layer in enumerate(memory.layers):
        x, before = np.zeros_like(x), x
        for t in range(2**number, len(x)):
            joined = np.concatenate([before[t - 2**number], before[t]])
            signal, gate = np.split(dense(layer, joined), 2)
            x[t] = before[t] + np.tanh(signal) * sigmoid(gate)
    return x[-STEPS:]


def norm(x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def transformer(memory, x):
    """Every position and head by itself, over the inputs that were seen and no others."""
    outputs = []
    for now in range(STEPS):
        rows = range(max(0, now - SPAN + 1), now + 1)
        nodes = [x[t] + np.asarray(memory.places)[SPAN - 1 - (now - t)] for t in rows]
        for block in memory.blocks:
            nodes = [through(block, nodes[: place + 1]) for place in range(len(nodes))]
        outputs.append(norm(nodes[-1]))
    return np.stack(outputs)


def through(block, nodes):
    """The last of `nodes` after it has looked at all of them."""
    size, answers = WIDTH // block.heads, []
    query = dense(block.query, norm(nodes[-1]))
    pairs = [np.split(dense(block.key_value, norm(node)), 2) for node in nodes]
    for head in range(block.heads):
        part = slice(head * size, (head + 1) * size)
        scores = np.array([key[part] @ query[part] for key, _ in pairs]) / np.sqrt(size)
        weights = np.exp(scores) / np.exp(scores).sum()
        answers.append(sum(w * value[part] for w, (_, value) in zip(weights, pairs, strict=True)))
    x = nodes[-1] + dense(block.out, np.concatenate(answers))
    return x + dense(block.narrow, np.maximum(0, dense(block.widen, norm(x))))


TWINS = {"lstm": lstm, "gru": gru, "convolution": convolution, "transformer": transformer}


@pytest.mark.parametrize("kind", KINDS)
def test_a_memory_is_its_slow_twin_over_the_whole_history(kind, played):
    network = NETWORKS[kind]
    expected = dense(network.head, TWINS[kind](network.memory, embedded(network)))
    np.testing.assert_allclose(played[kind][0], expected, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_depends_on_what_is_remembered_and_on_nothing_older(kind, played):
    weight = np.abs(played[kind][1]).sum(axis=(0, 2))  # of each step's input on the last output
    assert (weight[-SPAN:] > 1e-4).all()
    if kind in ("convolution", "transformer"):
        np.testing.assert_array_equal(weight[:-SPAN], 0)
    else:
        assert (weight[:-SPAN] > 0).all()


def test_an_lstm_with_open_gates_adds_up_its_inputs():
    memory = KINDS["lstm"](jax.random.key(0), 1, 1, 1, 1)
    cell = eqx.tree_at(  # gates enter, forget, new, leave: wide open, and new = tanh(x)
        lambda c: (c.weight_ih, c.weight_hh, c.bias),
        memory.cell,
        (
            jnp.array([[0.0], [0.0], [1.0], [0.0]]),
            jnp.zeros((4, 1)),
            jnp.array([99.0, 99.0, 0.0, 99.0]),
        ),
    )
    carry = memory.initial()
    for x in (0.5, -0.25, 1.0):
        output, carry = type(memory)(cell)(jnp.array([x]), carry)
    held = np.tanh(0.5) - np.tanh(0.25) + np.tanh(1.0)
    assert float(output[0]) == pytest.approx(np.tanh(held), abs=1e-6)


class Row(NamedTuple):
    account: jax.Array
    row: jax.Array


class Hall(Corridor):
    """A corridor with a picture for every step, shared by all who walk it."""

    def reset(self, key, params):
        state, after = super().reset(key, params)
        return state, after._replace(obs=Row(after.obs, state))

    def step(self, key, state, action, params):
        state, after = super().step(key, state, action, params)
        return state, after._replace(obs=Row(after.obs, state))

    def own(self, obs, params):
        return obs.account

    def table(self, params):
        return jnp.sin(jnp.arange(8.0)).reshape(4, 2)

    def observe(self, obs, params):
        return jnp.append(self.own(obs, params), self.table(params)[obs.row])


def test_a_memory_does_not_leak_across_a_reset_and_a_bound_policy_is_the_same():
    space = Space(shape=(1,))
    policies = [
        create_memory_policy(jax.random.key(2), 3, (WIDTH,), space, kind, span=8) for kind in KINDS
    ]
    policies = jax.tree.map(lambda leaf: 30 * leaf, policies)  # heads start close to 0

    def by_vector(policy, env):
        carry, means = policy.initial_carry(), []
        for place in range(3):
            obs = Row(jnp.array([float(place)]), jnp.asarray(place))
            distribution, carry = policy(env.observe(obs, None), carry)
            means.append(distribution.mode())
        return jnp.stack(means)[:, 0]

    @eqx.filter_jit
    def acts(policies):
        env, key = Hall(), jax.random.key(0)
        return [
            (rollout(key, env, None, policy, 9, sample=False)[1].action, by_vector(policy, env))
            for policy in policies
        ]

    for walked, expected in acts(policies):
        np.testing.assert_allclose(walked.reshape(3, 3), np.tile(expected, (3, 1)), atol=1e-5)
        assert np.ptp(expected) > 1e-2


def test_policies_stack_and_answer_for_the_space_that_they_act_in():
    for kind in KINDS:
        make = lambda key, kind=kind: create_memory_policy(  # noqa: E731
            key, INPUTS, (8,), Space(choices=3), kind
        )
        stacked = jax.eval_shape(jax.vmap(make), jax.random.split(jax.random.key(0), 5))
        answer = jax.vmap(lambda p: p(jnp.zeros(INPUTS), p.initial_carry())[0].logits)
        assert jax.eval_shape(answer, stacked).shape == (5, 3)


@pytest.mark.parametrize(
    ("kind", "sizes", "message"),
    [
        ("lstn", {}, "did you mean `lstm`"),
        ("convolution", {"span": 12}, "use span=16"),
        ("transformer", {"heads": 3}, "heads 3 must divide"),
    ],
)
def test_a_memory_that_cannot_be_is_refused_with_what_to_type(kind, sizes, message):
    with pytest.raises(ConfigError, match=message):
        create_memory_policy(jax.random.key(0), 2, (8,), Space(choices=2), kind, **sizes)
