"""Rules that make one distribution of several: worked by hand, and against their own samples."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steelyard.agents.distributions import Categorical, Deterministic, Normal
from steelyard.agents.voting import RULES, vote
from steelyard.errors import ConfigError

cast = eqx.filter_jit(vote)


def box(modes, log_std=-0.5):
    """K normal distributions, as a group of policies answers with them."""
    modes = jnp.atleast_2d(jnp.asarray(modes, jnp.float32))
    return Normal(modes, jnp.broadcast_to(jnp.asarray(log_std, jnp.float32), modes.shape))


def choices(*logits):
    return Categorical(jnp.asarray(logits, jnp.float32))


def even(count):
    return jnp.full(count, 1 / count, jnp.float32)


@jax.jit
def answers(distribution):
    log_prob = distribution.log_prob(jnp.array([0.1, 0.2]))
    return log_prob, distribution.entropy(), distribution.normal().mean


UNEVEN = jnp.array([0.2, 0.5, 0.3], jnp.float32)


@pytest.mark.parametrize("rule", RULES)
def test_identical_members_decide_as_one_of_them(rule):
    mode = jnp.array([0.37, -0.123, 0.004, 3.0])
    for weights in (UNEVEN, even(3)):
        same = cast((box(mode[None]), box([mode, mode])), weights, rule, limits=(-1.0, 1.0))
        np.testing.assert_array_equal(same.mode(), jnp.clip(mode, -1, 1))
        logits = [0.3, 1.7, -2.0]
        one, three = choices(logits), choices(logits, logits, logits)
        joint = cast((three,), weights, rule)
        assert int(joint.mode()) == 1
        if rule != "majority":  # shares of votes are surer than the voters
            np.testing.assert_allclose(
                jax.nn.softmax(joint.logits), jax.nn.softmax(one.logits[0]), rtol=1e-5
            )


@pytest.mark.parametrize("rule", RULES)
def test_a_member_without_weight_is_not_heard_whatever_it_answers(rule):
    modes = np.array([[0.5, -0.2], [np.nan, 7.0], [0.3, 0.4]])
    weights = jnp.array([0.6, 0.0, 0.4])
    joint = cast((box(modes),), weights, rule)
    without = cast((box(modes[[0, 2]]),), weights[jnp.array([0, 2])], rule)
    np.testing.assert_allclose(joint.mode(), without.mode(), rtol=1e-6)
    for one, other in zip(answers(joint), answers(without), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert np.isfinite(joint.sample(jax.random.key(0))).all()
    logits = [[0.0, 1.0, 0.5], [np.nan, np.nan, 9.0], [2.0, 0.0, 0.1]]
    joint = cast((choices(*logits),), weights, rule)
    without = cast((choices(logits[0], logits[2]),), weights[jnp.array([0, 2])], rule)
    np.testing.assert_allclose(joint.logits, without.logits, rtol=1e-5)


def test_the_average_of_a_box_is_the_weighted_mean_of_what_would_be_executed():
    joint = cast((box([[1.0, 5.0], [0.0, -1.0]]),), jnp.array([0.75, 0.25]), limits=(-1.0, 1.0))
    np.testing.assert_allclose(joint.mode(), [0.75, 0.5], rtol=1e-6)


def test_the_average_of_choices_is_the_mean_of_probabilities():
    parts = (choices(np.log([0.5, 0.4, 0.1]), np.log([0.1, 0.4, 0.5])), choices([0.0, 0.0, 0.0]))
    joint = cast(parts, jnp.array([0.5, 0.25, 0.25]))
    expected = [0.5 * 0.5 + 0.025 + 1 / 12, 0.2 + 0.1 + 1 / 12, 0.05 + 0.125 + 1 / 12]
    np.testing.assert_allclose(jnp.exp(jax.nn.log_softmax(joint.logits)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("votes", "weights", "winner"),
    [
        ([2, 0, 0], [0.8, 0.1, 0.1], 0),  # two votes beat one, whatever it weighs
        ([2, 1, 1, 2], [0.1, 0.2, 0.3, 0.4], 1),  # a full tie
        ([2, 1, 1, 2], [0.1, 0.2, 0.2, 0.5], 2),  # a tie goes to the larger weight
        ([2, 1, 0], [1 / 3] * 3, 0),  # and then to the lower choice, not to the first member
        ([2, 2, 1, 1, 0, 0], [1 / 6] * 6, 0),
        ([2, 0, 0, 1, 1], [0.2, 0.4, 0.0, 0.2, 0.2], 1),  # who has no weight has no vote
    ],
)
def test_a_majority_of_choices(votes, weights, winner):
    members = choices(*(5.0 * np.eye(3)[vote_] for vote_ in votes))
    joint = cast((members,), jnp.asarray(weights, jnp.float32), "majority")
    assert int(joint.mode()) == winner


def test_a_majority_on_a_box_trades_the_mean_of_the_winning_side_asset_by_asset():
    modes = [
        [0.5, 0.6, -0.2, 0.001, 0.4],
        [0.3, -0.4, -0.4, 0.8, -0.4],
        [-0.9, -0.2, 0.9, 0.003, 0.002],
    ]
    joint = cast((box(modes),), even(3), "majority", dead_zone=0.01)
    # two buy; two sell; two sell; two hold; one each, so nobody trades
    np.testing.assert_allclose(joint.mode(), [0.4, -0.3, -0.3, 0.002, 0.002], rtol=1e-5)


def test_confidence_on_a_box_weighs_by_precision():
    joint = cast((box([[1.0], [0.0]], [[np.log(0.5)], [np.log(1.0)]]),), even(2), "confidence")
    assert float(joint.mode()[0]) == pytest.approx(4 / 5)  # precisions 4 and 1
    assert float(jnp.exp(joint.log_std[0])) == pytest.approx((0.5 * 4 + 0.5) ** -0.5)


def test_confidence_and_product_decide_alike():
    logits = jax.random.normal(jax.random.key(1), (200, 3, 4))
    for rule in ("confidence", "product"):
        modes = jax.vmap(lambda one, r=rule: vote((Categorical(one),), UNEVEN, r).mode())(logits)
        np.testing.assert_array_equal(modes, jnp.argmax(UNEVEN @ logits, axis=-1))


def test_the_sum_can_choose_what_the_product_cannot():
    """One member is certain that 0 is bad, two like it: a veto in a product, not in a sum."""
    parts = (choices([-30.0, 0.0, -1.0], [1.0, 0.0, -9.0], [1.0, 0.0, -9.0]),)
    assert int(cast(parts, even(3), "product").mode()) == 1
    assert int(cast(parts, even(3), "sum").mode()) == 0
    hot = cast(parts, even(3), "sum", temperature=1e4)
    np.testing.assert_allclose(jax.nn.softmax(hot.logits), [1 / 3] * 3, atol=1e-3)


def test_the_sum_on_a_box_is_the_action_on_which_most_agree():
    joint = cast((box([[0.8, -0.7], [0.82, 0.5], [-1.0, 0.5]], -2.0),), even(3), "sum")
    np.testing.assert_allclose(joint.mode(), [0.8, 0.5], rtol=1e-6)
    assert float(cast((box([[0.8], [0.82], [-1.0]]),), even(3)).mode()[0]) < 0.3


def test_a_mixture_is_what_its_samples_say():
    line = jnp.linspace(-4, 4, 81)

    @jax.jit
    def ask():
        joint = vote((box([[0.9, -0.5]], -1.5), box([[-0.8, 0.1], [0.2, 0.0]], -1.0)), UNEVEN)
        draws = jax.vmap(joint.sample)(jax.random.split(jax.random.key(0), 4_000))
        density = jax.vmap(joint.log_prob)(jnp.stack(jnp.meshgrid(line, line), -1).reshape(-1, 2))
        surprise = -jnp.mean(jax.vmap(joint.log_prob)(draws))
        far = joint.kl(Deterministic(jnp.zeros(2)))
        apart = (joint.kl(joint.normal()), far, surprise, joint.entropy())
        return draws, jnp.sum(jnp.exp(density)), joint.normal(), apart

    draws, density, near, (itself, far, surprise, entropy) = ask()
    np.testing.assert_allclose(draws.mean(axis=0), near.mean, atol=0.04)
    np.testing.assert_allclose(draws.std(axis=0), jnp.exp(near.log_std), rtol=0.06)
    assert float(density) * 0.1**2 == pytest.approx(1, abs=1e-3)
    assert entropy < surprise
    assert itself == pytest.approx(0, abs=1e-5)
    assert far > 1


def test_members_that_act_in_different_spaces_are_refused():
    for other in (choices([0.0, 1.0]), box([[0.1, 0.2, 0.3]])):
        with pytest.raises(ConfigError, match="one space"):
            vote((box([[0.1, 0.2]]), other), even(2))


def test_an_unknown_rule_and_unknown_choices_are_refused():
    with pytest.raises(ConfigError, match="no rule named"):
        vote((box([[0.1]]),), even(1), "loudest")
    with pytest.raises(ConfigError, match="how many choices"):
        vote((Deterministic(jnp.zeros(2, int)),), even(2))
