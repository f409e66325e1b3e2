"""What comes over the wire is JSON and numbers, whatever was sent; garbage is refused in a line."""

from __future__ import annotations

import contextlib
import json
import pickle
from multiprocessing import Pipe
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from steelyard.errors import WorkerError
from steelyard.isolation.wire import HEAD, Message, pack, receive, unpack

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
facts = st.dictionaries(st.text(), plain | st.lists(plain) | st.dictionaries(st.text(), plain))
kinds = st.sampled_from(["?", "i1", "u1", "<i4", "<i8", ">i4", "u8", "<f4", "<f8", ">f8"])
shapes = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
numbers = kinds.flatmap(lambda kind: arrays_of.arrays(np.dtype(kind), shapes))


@given(facts=facts, held=st.dictionaries(st.text(), numbers, max_size=4), turned=st.booleans())
def test_a_message_comes_out_as_it_went_in(facts: Any, held: Any, turned: bool) -> None:
    sent = {name: values.T if turned else values for name, values in held.items()}
    told = unpack(pack(Message(facts, sent)))
    assert told.facts == facts
    assert set(told.arrays) == set(sent)
    for name, values in sent.items():
        one = told.arrays[name]
        assert (one.dtype.kind, one.shape) == (values.dtype.kind, values.shape)
        np.testing.assert_array_equal(one, values)
        assert one.flags.writeable
        assert one.flags.owndata


def refused(content: bytes) -> None:
    """Whatever it is, it is a message or refused; no other error comes of it."""
    with contextlib.suppress(WorkerError):
        unpack(content)


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else_happens(content: bytes) -> None:
    refused(content)


@given(st.data())
def test_a_message_that_is_cut_or_changed_is_refused_or_another_message(data: Any) -> None:
    values = np.arange(6.0).reshape(2, 3)
    content = bytearray(pack(Message({"digest": "00"}, {"one": values, "two": values.T})))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    refused(bytes(content[: data.draw(st.integers(0, len(content)))]))


words = st.recursive(plain, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one))
entries = st.tuples(st.text(), st.text() | kinds, words) | words


@given(told=st.fixed_dictionaries({"facts": words, "arrays": st.lists(entries) | words}))
def test_a_head_that_says_anything_is_refused_or_a_message(told: Any) -> None:
    head = json.dumps(told).encode()
    refused(HEAD.pack(len(head)) + head + bytes(64))


def made(kind: Any, shape: Any, behind: bytes = bytes(64)) -> bytes:
    head = json.dumps({"facts": {}, "arrays": [["one", kind, shape]]}).encode()
    return HEAD.pack(len(head)) + head + behind


@pytest.mark.parametrize("kind", ["O", "|O8", "V8", "U4", "S4", "c16", "<M8[ns]", "i4,f8", "("])
def test_only_numbers_come_as_arrays(kind: str) -> None:
    with pytest.raises(WorkerError, match="no message"):
        unpack(made(kind, [1]))


@pytest.mark.parametrize("shape", [[2**62], [2**40, 2**40], [-1], [3, -1], [9], "ab", [None], 7])
def test_a_shape_that_the_bytes_do_not_hold_is_refused(shape: Any) -> None:
    with pytest.raises(WorkerError, match="no message"):
        unpack(made("<f8", shape))


def test_lists_in_lists_in_lists_are_refused_and_nothing_overflows() -> None:
    head = b"[" * 100_000
    with pytest.raises(WorkerError, match="no message"):
        unpack(HEAD.pack(len(head)) + head)


class Evil:
    """Does something as soon as it is unpickled."""

    def __reduce__(self) -> Any:
        return note, ()


DONE: list[int] = []


def note() -> None:
    DONE.append(1)


def test_nothing_that_comes_is_ever_unpickled() -> None:
    content = pickle.dumps(Evil())
    pickle.loads(content)
    assert DONE == [1]  # the planted payload works
    with pytest.raises(WorkerError):
        unpack(content)
    with pytest.raises(WorkerError):
        unpack(made("O", [1], content))
    told = unpack(made("u1", [len(content)], content))
    assert told.arrays["one"].tobytes() == content  # bytes stay bytes
    assert DONE == [1]


def test_who_says_nothing_is_not_waited_for_and_who_is_gone_is_an_end() -> None:
    here, there = Pipe()
    assert receive(here, 0.0) is None
    there.send_bytes(b"one")
    assert receive(here, 1.0) == b"one"
    there.close()
    with pytest.raises(EOFError):
        receive(here, 1.0)
