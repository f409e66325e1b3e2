"""The table of docs/concepts/no-look-ahead.md lists the kinds of test_readers.py, and no others."""

import re
from pathlib import Path

import test_readers as tried

PAGE = Path(__file__).resolve().parents[2] / "docs" / "concepts" / "no-look-ahead.md"

SINGLE = {
    "test_a_reward_that_closes_over_prices_is_found": ("reward", "closes over prices", tried.FOUND),
    "test_a_trial_of_a_tuner_that_reads_the_last_row_sees_training_rows_only": (
        *("trial of a tuner", "the last row of its market"),
        tried.NOTHING,
    ),
    "test_factors_that_were_fitted_on_all_rows_are_refused_before_anybody_learns": (
        *("mined factors", "fitted on all rows"),
        tried.REFUSED,
    ),
}
"""Kinds that have a test of their own in test_readers.py."""

OTHERS = {
    "test_a_rule_that_reads",
    "test_a_learner_that_reads",
    "test_a_feature_that_reads",
    "test_agents_that_see_no_features_stand_beside_a_feature_that_reads",
    "test_every_kind_of_the_table_is_another_one_and_most_are_found_or_have_nothing_to_read",
}
"""Tests of test_readers.py whose kinds stand in its lists, or that try none."""


def kinds():
    """(who, what it reads, outcome) of everything that test_readers.py tries."""
    return [
        *(("rule", one.what, one.outcome) for one in tried.RULES),
        *(("learner", one.what, one.outcome) for one in tried.LEARNERS),
        *(("feature", what, tried.FOUND) for what in tried.FEATURES),
        *SINGLE.values(),
    ]


def lines(page):
    """The lines of a page's table of readers, as `kinds` has them."""
    table = page.partition("| Who | What it reads or is | Outcome |\n|---|---|---|\n")[2]
    found = re.match(r"(?:\|.*\|\n)*", table)
    return [tuple(line.strip("| ").split(" | ")) for line in found[0].splitlines()]


def differences(page):
    """What only one of the two has, or the page has twice."""
    listed, wanted = lines(page), kinds()
    return sorted({*listed} ^ {*wanted}) + [one for one in {*listed} if listed.count(one) > 1]


def test_the_page_lists_every_reader_with_its_outcome():
    assert differences(PAGE.read_text(encoding="utf-8")) == []


def test_every_outcome_is_explained_above_the_table():
    above = PAGE.read_text(encoding="utf-8").partition("| Who |")[0]
    explained = set(re.findall(r"^\* \*\*([a-z ]+)\*\*: ", above, re.MULTILINE))
    assert explained == {outcome for _, _, outcome in kinds()}


def test_every_test_of_a_reader_is_known_here():
    tests = {name for name in vars(tried) if name.startswith("test_")}
    assert tests == SINGLE.keys() | OTHERS


def test_a_table_that_lacks_a_line_or_has_another_outcome_is_caught():
    page = PAGE.read_text(encoding="utf-8")
    line = "| rule | a socket | not isolated |\n"
    assert differences(page.replace(line, "")) == [("rule", "a socket", "not isolated")]
    assert len(differences(page.replace(line, line.replace("not isolated", "found")))) == 2
    assert len(differences(page.replace(line, line + line))) == 1
    assert len(differences(page.replace(line, line + "| rule | the stars | found |\n"))) == 1
