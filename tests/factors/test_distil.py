"""The network is a function of the past, and the weights kept are those of the best check."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_factors import TINY, mined_from, spoiled

from steelyard.errors import ConfigError, TrainingError
from steelyard.factors.distil import Distilled, distil
from steelyard.factors.lesson import Lesson, age, first_rows, sequence_starts, validation_rows
from steelyard.factors.mine import Mined, apply
from steelyard.factors.network import FactorNetwork, gru_over, lstm_over
from steelyard.factors.settings import Distillation, published
from steelyard.features import compute
from steelyard.types import Feature, Panel

SEGMENT = np.repeat([4, 5, 6], [3, 1, 4])


def lesson(**changes: object) -> Lesson:
    """Two inputs and two labels a row; the labels of validation are the opposite of training's."""
    random = np.random.default_rng(2)
    labels = np.full((1_500, 2), 0.5, dtype=np.float32)
    labels[900:] = -0.5
    given: dict[str, object] = {
        "inputs": random.normal(size=(1_500, 2)).astype(np.float32),
        "labels": labels,
        "segment": np.zeros(1_500, dtype=np.int64),
        "train": (0, 900),
        "validate": (900, 1_200),
    }
    return Lesson(**(given | changes))  # type: ignore[arg-type]


def leaves(found: Distilled | Mined) -> list[np.ndarray]:
    if isinstance(found, Mined):
        return list(found.artefact.weights)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(found.network)]


def test_sequences_equal_single_steps_and_a_fresh_row_forgets() -> None:
    network = FactorNetwork.create(jax.random.key(0), 3, 2, width=4, layers=1)
    x = jax.random.normal(jax.random.key(1), (9, 4))
    fresh = jnp.arange(9) == 5
    for memory, over in ((network.lstm[0], lstm_over), (network.gru[0], gru_over)):
        outputs, last = over(memory, x, fresh, memory.initial())
        carry = memory.initial()
        for row in range(9):
            carry = memory.initial() if row == 5 else carry
            expected, carry = memory(x[row], carry)
            np.testing.assert_allclose(outputs[row], expected, atol=1e-6)
        for one, other in zip(jax.tree.leaves(last), jax.tree.leaves(carry), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_weights_kept_are_those_of_the_best_check_not_the_last() -> None:
    """What is right in training is wrong in validation, so every update makes it worse."""
    whole, first = distil(lesson(), TINY), distil(lesson(), replace(TINY, updates=8))
    errors = [check.validation for check in whole.history]
    assert min(errors[1:]) > errors[0]
    assert len(errors) == 1 + TINY.patience
    assert whole.best == 0
    for one, other in zip(leaves(whole), leaves(first), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_that_helps_goes_on_to_the_end() -> None:
    same = lesson(labels=np.full((1_500, 2), 0.5, dtype=np.float32))
    heard: list[int] = []
    found = distil(same, TINY, tell=lambda _, done, __: heard.append(done))
    assert found.best == 2
    assert heard == [8, 16, 24]
    assert found.history[2].validation < 0.7 * found.history[0].validation


def test_another_seed_draws_other_sequences() -> None:
    assert distil(lesson(), TINY, seed=1).history != distil(lesson(), TINY, seed=2).history


def test_an_error_that_is_no_number_ends_training() -> None:
    inputs = np.full((1_500, 2), np.nan, dtype=np.float32)
    with pytest.raises(TrainingError, match="after 8 updates"):
        distil(lesson(inputs=inputs), TINY)


def test_rows_know_how_old_their_segment_is() -> None:
    assert first_rows(SEGMENT).tolist() == [1, 0, 0, 1, 1, 0, 0, 0]
    assert age(SEGMENT).tolist() == [0, 1, 2, 0, 0, 1, 2, 3]


def test_sequences_lie_in_one_segment_of_training_and_have_a_label_behind_their_warm_up() -> None:
    segment = np.repeat([0, 1], [10, 10])
    labels = np.full((20, 1), 0.1, dtype=np.float32)
    labels[3:6] = np.nan
    given = lesson(labels=labels, segment=segment, train=(1, 18), validate=(18, 20))
    # of 4 rows: 1..4 to 6..9, then 10..13 to 14..17; 1 and 2 have rows 3, 4 and 4, 5 to learn from
    assert sequence_starts(given, 4, 2).tolist() == [3, 4, 5, 6, 10, 11, 12, 13, 14]


def test_validation_leaves_out_the_purge_the_warm_up_and_what_has_no_label() -> None:
    segment = np.repeat([0, 1], [14, 6])
    labels = np.full((20, 1), 0.1, dtype=np.float32)
    labels[19] = np.nan
    given = lesson(labels=labels, segment=segment, train=(0, 8), validate=(9, 20), purge=4)
    judged = 9 + np.flatnonzero(validation_rows(given, 2)[:, 0])
    assert judged.tolist() == [12, 13, 16, 17, 18]


def test_spans_without_anything_to_learn_or_to_judge_are_refused() -> None:
    with pytest.raises(ConfigError, match="no sequence of 1000 rows"):
        sequence_starts(lesson(), 1_000, 16)
    with pytest.raises(ConfigError, match="purge of 300 rows"):
        validation_rows(lesson(purge=300), 16)


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 0), ("warmup", 48), ("average", 1.0), ("learning_rate", 0.0), ("patience", 0)],
)
def test_settings_that_cannot_hold_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError):
        replace(TINY, **{name: value})


def test_the_published_sizes_are_there() -> None:
    kit = published()
    assert (kit.width, kit.layers, kit.batch, kit.sequence, kit.warmup) == (128, 4, 256, 256, 64)
    assert (kit.learning_rate, kit.weight_decay, kit.clip, kit.patience) == (1e-3, 1e-4, 2.0, 8)
    assert (kit.average, kit.straight) == (0.0, False)
    assert kit.updates > Distillation().updates


def test_factors_are_causal(mined: Mined, panel: Panel) -> None:
    """Garbage behind a row changes nothing up to it; here the row lies inside a segment."""
    values = mined.artefact.values
    for cut in (500, 1_300):
        found = apply(mined.artefact, spoiled(panel, cut))
        np.testing.assert_array_equal(found[:cut], values[:cut])
        assert not np.allclose(found[cut:], values[cut:], equal_nan=True)


def test_nothing_behind_validation_enters_weights_scales_or_quantiles(
    mined: Mined, panel: Panel
) -> None:
    found = mined_from(spoiled(panel, 1_200))
    for one, other in zip(leaves(found), leaves(mined), strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("quantiles", "scaler", "validation_error"):
        assert found.artefact.facts[name] == mined.artefact.facts[name]
    np.testing.assert_array_equal(found.artefact.values[:1_200], mined.artefact.values[:1_200])


def test_a_network_is_fitted_on_rows_that_end_with_validation(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a feature that looks ahead carries anything from behind them into the weights."""
    seen: list[Lesson] = []

    def noted(lesson: Lesson, *how: object, **more: object) -> object:
        seen.append(lesson)
        return distil(lesson, *how, **more)  # type: ignore[arg-type]

    def tomorrow(panel: Panel) -> np.ndarray:
        ahead = np.minimum(np.arange(len(panel)) + 1, len(panel) - 1)
        return compute(["imbalance"], panel)["imbalance"][ahead]

    monkeypatch.setattr("steelyard.factors.mine.distil", noted)
    features = ("imbalance", Feature("tomorrow", tomorrow, "ratio", 0))
    one, other = (mined_from(p, features=features) for p in (panel, spoiled(panel, 1_200)))
    assert [len(lesson.inputs) for lesson in seen] == [1_200, 1_200]
    assert [len(lesson.labels) for lesson in seen] == [1_200, 1_200]
    for leaf, twin in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_array_equal(leaf, twin)


def test_nothing_behind_training_enters_scales_or_quantiles(mined: Mined, panel: Panel) -> None:
    found = mined_from(spoiled(panel, 900))
    assert found.history[0].training == mined.history[0].training
    for name in ("quantiles", "scaler"):
        assert found.artefact.facts[name] == mined.artefact.facts[name]
    assert found.artefact.facts["validation_error"] != mined.artefact.facts["validation_error"]


def test_memory_begins_again_behind_a_gap(mined: Mined, panel: Panel) -> None:
    """The second segment has the factors that it would have alone."""
    alone = apply(mined.artefact, panel.rows(700, 1_500))
    np.testing.assert_allclose(alone, mined.artefact.values[700:], atol=1e-6)
    missing = np.flatnonzero(np.isnan(mined.artefact.values[:, 0]))
    assert missing.tolist() == [*range(16), *range(700, 716)]


def test_the_planted_imbalance_is_found(mined: Mined) -> None:
    assert mined.unseen
    assert mined.judged == (1_200, 1_500)
    best = max(abs(row[0].value) for row in mined.information)
    assert best > 0.3
    assert mined.comparison[0].factors.value > 0.3
    assert mined.comparison[0].ridge.value > 0.3


def test_correlated_features_are_thinned_out_on_training_rows(panel: Panel) -> None:
    def double(panel: Panel) -> np.ndarray:
        return 2.0 * compute(["imbalance"], panel)["imbalance"]

    three = ("imbalance", "momentum", Feature("double", double, "ratio", 0))
    found = mined_from(panel, features=three, correlation=0.9)
    assert found.artefact.facts["kept"] == ["imbalance/coin", "momentum/coin"]
    np.testing.assert_array_equal(apply(found.artefact, panel, three), found.artefact.values)


@pytest.mark.parametrize(
    "spans",
    [
        ((0, 900), (800, 1_200)),
        ((900, 1_200), (0, 900)),
        ((0, 900), (900, 1_501)),
        ((5, 5), (9, 99)),
    ],
)
def test_spans_that_do_not_follow_each_other_are_refused(
    panel: Panel, spans: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    with pytest.raises(ConfigError, match="must follow each other"):
        mined_from(panel, train=spans[0], validate=spans[1])
