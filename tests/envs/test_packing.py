"""A buffer of words gives back what was packed into it, on the device and on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steelyard.envs.packing import Layout, Reader


def content(double):
    wide = jnp.float64 if double else jnp.float32
    return {
        "truth": jnp.asarray(True),
        "truths": jnp.array([[True, False], [False, False]]),
        "small": jnp.array([-3, 7], jnp.int8),
        "half": jnp.asarray(1.5, jnp.float16),
        "count": jnp.asarray(-5, jnp.int32),
        "wide": jnp.array([[1e-300, -2.0], [jnp.inf, 3.25]], wide),
        "none": jnp.zeros(0, jnp.float32),
        "last": jnp.asarray(2.5, wide),
    }


@pytest.mark.parametrize("double", [False, True])
def test_what_is_packed_comes_back(double):
    with jax.enable_x64(double):
        given = content(double)
        layout = Layout.of(given)
        words = jax.jit(layout.pack)(given)
        back = jax.jit(layout.unpack)(words)
    assert words.shape == (layout.size,)
    assert hash(layout) == hash(Layout.of(given))
    assert layout.size % 2 == double  # the last word is no half of a number of eight bytes
    host = Reader(layout)(np.array(words))
    for name, leaf in given.items():
        assert back[name].dtype == leaf.dtype
        np.testing.assert_array_equal(back[name], leaf)
        np.testing.assert_array_equal(host[name], np.asarray(leaf))
    assert (host["truth"], host["count"], host["last"]) == (True, -5, 2.5)
    assert type(host["truth"]) is bool
    assert type(host["last"]) is float
    assert host["wide"].flags.aligned


def test_a_stream_of_keys_goes_on_where_it_was_packed():
    keys = jax.random.split(jax.random.key(3), 2)
    layout = Layout.of(keys)
    back = layout.unpack(layout.pack(keys))
    assert back.dtype == keys.dtype
    np.testing.assert_array_equal(jax.random.bits(back[1]), jax.random.bits(keys[1]))


def test_another_type_or_shape_is_another_layout():
    one = Layout.of((jnp.zeros(3), jnp.zeros((), jnp.int32)))
    assert one == Layout.of((jnp.ones(3), jnp.ones((), jnp.int32)))
    assert one != Layout.of((jnp.zeros(3), jnp.zeros((), jnp.uint32)))
    assert one != Layout.of((jnp.zeros((3, 1)), jnp.zeros((), jnp.int32)))
