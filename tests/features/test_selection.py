"""Columns chosen and combined on training rows: by hand, by twin, and blind to what comes later."""

import json

import numpy as np
import pytest

from steelyard.errors import ConfigError, DataError
from steelyard.features import FeatureSet
from steelyard.features.selection import CorrelationSelection, PrincipalComponents, missing_rates

ROWS = (10, 300)
NAMES = ("a", "copy", "holes", "b", "flat")


def table() -> np.ndarray:
    random = np.random.default_rng(0)
    a, b, noise = random.normal(size=(3, 400))
    holes = a + 0.05 * noise
    holes[::3] = np.nan
    return np.stack([a, 2.0 * a + 1.0, holes, b, np.full(400, 3.0)], axis=1)


def test_one_column_of_each_group_is_kept_the_one_with_fewest_holes() -> None:
    chosen = CorrelationSelection.fit(table(), ROWS, NAMES)
    assert chosen.kept == ("a", "b")
    assert chosen.groups == {"a": ("a", "copy", "holes"), "b": ("b",)}
    assert chosen.unusable == ("flat",)
    np.testing.assert_array_equal(chosen.apply(table()), table()[:, [0, 3]])


def test_with_a_label_the_representative_is_the_one_that_predicts_best() -> None:
    values = table()
    label = np.where(np.isnan(values[:, 2]), values[:, 0], values[:, 2])
    chosen = CorrelationSelection.fit(values, ROWS, NAMES, label=label)
    assert chosen.kept == ("holes", "b")


def test_correlations_are_those_of_the_rows_that_both_have() -> None:
    values = table()
    both = np.isfinite(values[10:300, 2])
    expected = abs(np.corrcoef(values[10:300, 0][both], values[10:300, 2][both])[0, 1])
    for threshold, kept in ((expected - 1e-9, 1), (expected + 1e-9, 2)):
        chosen = CorrelationSelection.fit(
            values[:, [0, 2]], ROWS, ("a", "holes"), threshold=threshold
        )
        assert len(chosen.kept) == kept


def test_representatives_are_never_more_alike_than_the_threshold() -> None:
    random = np.random.default_rng(1)
    factors = random.normal(size=(500, 3))
    values = factors @ random.normal(size=(3, 40)) + 0.3 * random.normal(size=(500, 40))
    names = [str(k) for k in range(40)]
    chosen = CorrelationSelection.fit(values, (0, 500), names, threshold=0.7)
    alike = np.abs(np.corrcoef(chosen.apply(values).T)) - np.eye(len(chosen.kept))
    assert alike.max() <= 0.7
    grouped = [name for group in chosen.groups.values() for name in group]
    assert sorted(grouped) == sorted(names)


@pytest.mark.parametrize("fit", [CorrelationSelection.fit, PrincipalComponents.fit])
def test_what_is_not_a_training_row_changes_nothing(fit) -> None:
    values, later = table(), table()
    later[:10] = later[300:] = np.random.default_rng(3).normal(0.0, 1e3, later[:10].shape)[0]
    extra = {} if fit == CorrelationSelection.fit else {"k": 2}
    assert fit(values, ROWS, NAMES, **extra).to_dict() == fit(later, ROWS, NAMES, **extra).to_dict()


def test_assets_are_pooled() -> None:
    values = np.random.default_rng(4).normal(size=(50, 3, 2))
    flat = values.reshape(-1, 2)
    pooled = PrincipalComponents.fit(values, (5, 40), ("x", "y"), 2)
    single = PrincipalComponents.fit(flat, (15, 120), ("x", "y"), 2)
    np.testing.assert_array_equal(pooled.weights, single.weights)
    assert pooled.apply(values).shape == (50, 3, 2)


def test_components_are_the_singular_vectors_with_a_fixed_sign() -> None:
    random = np.random.default_rng(5)
    values = random.normal(size=(200, 3)) @ random.normal(size=(3, 6)) + random.normal(
        size=(200, 6)
    )
    made = PrincipalComponents.fit(values, (0, 200), tuple("uvwxyz"), 4)
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    _, sizes, vectors = np.linalg.svd(standard, full_matrices=False)
    np.testing.assert_allclose(np.abs(made.weights.T @ vectors[:4].T), np.eye(4), atol=1e-9)
    np.testing.assert_allclose(made.explained, (sizes**2 / np.sum(sizes**2))[:4], rtol=1e-9)
    assert (made.weights[np.abs(made.weights).argmax(axis=0), range(4)] > 0.0).all()
    np.testing.assert_allclose(made.apply(values), standard @ made.weights, rtol=1e-9, atol=1e-12)


def test_a_missing_value_counts_as_the_training_mean_and_a_missing_row_has_no_components() -> None:
    values = table()
    made = PrincipalComponents.fit(values, ROWS, NAMES, 3)
    row = values[40].copy()
    row[3] = np.nan
    filled = row.copy()
    filled[3] = made.mean[3]
    np.testing.assert_allclose(made.apply(row[None]), made.apply(filled[None]), rtol=1e-12)
    assert np.isnan(made.apply(np.full((1, 5), np.nan))).all()
    assert (made.weights[4] == 0.0).all()  # what never varied


def test_both_survive_json_to_the_last_bit() -> None:
    values = table()
    for fitted in (
        CorrelationSelection.fit(values, ROWS, NAMES),
        PrincipalComponents.fit(values, ROWS, NAMES, 2),
    ):
        again = type(fitted).from_dict(json.loads(json.dumps(fitted.to_dict())))
        np.testing.assert_array_equal(again.apply(values), fitted.apply(values))
        assert again.to_dict() == fitted.to_dict()
        with pytest.raises(ConfigError, match="lacks columns"):
            type(fitted).from_dict({k: v for k, v in fitted.to_dict().items() if k != "columns"})


def test_settings_that_cannot_hold_are_refused() -> None:
    values = table()
    for rows in ((0, 0), (-1, 5), (3, 401)):
        with pytest.raises(ConfigError, match="training rows"):
            PrincipalComponents.fit(values, rows, NAMES, 2)
    with pytest.raises(ConfigError, match="threshold is 0"):
        CorrelationSelection.fit(values, ROWS, NAMES, threshold=0.0)
    with pytest.raises(ConfigError, match="5 components of 4 columns that vary"):
        PrincipalComponents.fit(values, ROWS, NAMES, 5)
    with pytest.raises(DataError, match="do not have 2 columns"):
        CorrelationSelection.fit(values, ROWS, ("a", "b"))
    with pytest.raises(DataError, match="no column"):
        CorrelationSelection.fit(values[:, 4:], ROWS, ("flat",))
    with pytest.raises(DataError, match="label has"):
        CorrelationSelection.fit(np.ones((9, 2, 1)), (0, 9), ("x",), label=np.ones(9))
    with pytest.raises(DataError, match="do not have 5 columns"):
        CorrelationSelection.fit(values, ROWS, NAMES).apply(values[:, :2])


def test_missing_rates_count_what_is_not_there() -> None:
    made = FeatureSet({"x": np.array([[np.nan], [1.0]]), "y": np.ones((2, 2))}, 1)
    assert missing_rates(made) == {"x": 0.5, "y": 0.0}
