"""Combinatorial splits: every row is held out as often as any, and never learned from then."""

from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from steelyard.errors import ConfigError, MissingDataError
from steelyard.evaluation.combinatorial import Combinatorial

settings = st.integers(2, 6).flatmap(
    lambda groups: st.builds(
        Combinatorial,
        groups=st.just(groups),
        held_out=st.integers(1, groups - 1),
        purge=st.integers(0, 3),
        embargo=st.integers(0, 5),
    )
)


def test_the_splits_of_a_small_calendar_by_hand() -> None:
    cut = Combinatorial(groups=4, held_out=2, purge=1, embargo=2)
    assert cut.spans(10, 50) == [(10, 20), (20, 30), (30, 40), (40, 50)]
    assert [tuple(one) for one in cut.splits(10, 50)] == [
        ((0, 1), ((32, 50),)),
        ((0, 2), ((22, 29), (42, 50))),
        ((0, 3), ((22, 39),)),
        ((1, 2), ((10, 19), (42, 50))),
        ((1, 3), ((10, 19), (32, 39))),
        ((2, 3), ((10, 29),)),
    ]
    assert cut.paths().tolist() == [[0, 0, 1, 2], [1, 3, 3, 4], [2, 4, 5, 5]]


def test_five_groups_of_which_two_are_held_out_make_ten_splits_and_four_paths() -> None:
    cut = Combinatorial(groups=5, held_out=2)
    assert (cut.count, cut.path_count, cut.paths().shape) == (10, 4, (4, 5))


@given(cut=settings, first=st.integers(0, 20), length=st.integers(12, 90))
def test_nothing_is_learned_from_held_out_purged_or_embargoed_rows(
    cut: Combinatorial, first: int, length: int
) -> None:
    groups = cut.spans(first, first + length)
    assert groups[0][0] == first
    assert groups[-1][1] == first + length
    sizes = [b - a for a, b in groups]
    assert max(sizes) - min(sizes) <= 1
    assert all(one[1] == following[0] for one, following in pairwise(groups))
    try:
        splits = cut.splits(first, first + length)
    except MissingDataError:
        assume(False)
    assert len(splits) == comb(cut.groups, cut.held_out)
    held = np.zeros(first + length, int)
    for choice, spans in splits:
        learned = np.zeros(first + length, bool)
        closed = np.zeros(first + length, bool)
        for group in choice:
            a, b = groups[group]
            held[a:b] += 1
            closed[max(a - cut.purge, first) : b + cut.embargo] = True
        for a, b in spans:
            assert b - a >= 2
            assert not learned[a:b].any()
            learned[a:b] = True
        assert all(one[1] < following[0] for one, following in pairwise(spans))
        assert not (learned & closed).any()
        left = ~learned[first:] & ~closed[first:]
        assert left.sum() <= cut.groups  # stretches of a single decision
    assert (held[first:] == cut.path_count).all()


@given(cut=settings)
def test_every_path_goes_through_every_group_and_uses_every_pair_once(cut: Combinatorial) -> None:
    choices, paths = cut.choices(), cut.paths()
    assert paths.shape == (cut.path_count, cut.groups)
    pairs = {(int(split), group) for path in paths for group, split in enumerate(path)}
    assert len(pairs) == paths.size
    assert pairs == {(n, group) for n, choice in enumerate(choices) for group in choice}


@pytest.mark.parametrize(
    "wrong",
    [
        {"held_out": 0},
        {"held_out": 5},
        {"groups": 1, "held_out": 1},
        {"purge": -1},
        {"embargo": -1},
        {"groups": 20, "held_out": 10},
    ],
)
def test_splits_that_cannot_be_made_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError) as error:
        Combinatorial(**wrong)
    assert "groups=5, held_out=2" in error.value.hint


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(MissingDataError, match="need 10 decisions, the rows hold 9"):
        Combinatorial().splits(0, 9)


def test_an_embargo_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(MissingDataError, match="where the groups 1, 2 are held out"):
        Combinatorial(embargo=60).splits(0, 100)
