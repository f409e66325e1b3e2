"""What the report says of claims, ensembles, rolling windows and the published table."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from fake_score import CLAIMS, ENSEMBLES, SINGLE, fake_ensembles, fake_members
from page import Page

from steelyard.evaluation.report import render
from steelyard.evaluation.report.card import rolling
from steelyard.evaluation.report.claims import claim_lines
from steelyard.evaluation.report.ensembles import _by_kind, ensembles, kind_of
from steelyard.evaluation.report.heat import heat_picture
from steelyard.evaluation.report.numbers import lead_interval, lead_value, metric_value
from steelyard.evaluation.report.published import key
from steelyard.evaluation.report.series import training_series
from steelyard.evaluation.results import Estimate, Score, Verdict
from steelyard.evaluation.table import tables


@pytest.fixture(scope="module")
def score() -> Score:
    return fake_ensembles()


@pytest.fixture(scope="module")
def page_text(score: Score) -> str:
    return render(score)


@pytest.fixture(scope="module")
def told(page_text: str) -> str:
    return " ".join(Page(page_text).text)


def test_three_ensembles_of_thirty_members_fit_into_one_file(page_text: str) -> None:
    assert len(page_text.encode()) < 1_250_000
    page = Page(page_text)
    assert len(set(page.values("id"))) == len(page.values("id"))
    assert {"#claims", "#ensembles"} <= set(page.values("href"))
    assert "nan" not in " ".join(page.values("d") + page.values("style"))


def test_every_claim_has_its_verdict_its_sentence_and_its_pairs(score: Score, told: str) -> None:
    for verdict in score.verdicts:
        assert verdict.text in told
        assert verdict.sentence in told
        for pair in verdict.pairs:
            assert f"{pair.better} over {pair.than}" in told
    assert told.count("on the whole") == len(CLAIMS)
    decisions = [verdict.decision for verdict in score.verdicts]
    assert len(set(decisions)) > 1
    for decision in set(decisions):
        assert f"{decisions.count(decision)} {decision}" in told


def test_a_score_without_claims_and_ensembles_has_no_such_sections(score: Score) -> None:
    rows = [replace(row, ensemble={}) for row in score.rows]
    page = Page(render(replace(score, rows=rows, verdicts=(), published=())))
    assert not {"#claims", "#ensembles"} & set(page.values("href"))
    assert "beside the published" not in " ".join(page.text)
    assert claim_lines(replace(score, verdicts=())) == []


def test_names_of_members_and_texts_of_claims_cannot_become_markup(score: Score) -> None:
    evil = "<script>alert('x')</script>"
    members = fake_members(np.random.default_rng(0), 1, ["2021-01-04", "2021-01-11"])
    many = fake_members(np.random.default_rng(0), 5, ["2021-01-04", "2021-01-11"])
    rows = [
        replace(score.rows[0], ensemble={**members, "members": [evil] * 3}),
        replace(score.rows[1], ensemble={**many, "members": [f"{evil} {n}" for n in range(15)]}),
    ]
    pair = replace(score.verdicts[0].pairs[0], than=evil)
    verdict = replace(score.verdicts[0], text=evil, sentence=evil, pairs=[pair, pair])
    card = {**score.card, "rolling": {"train": evil, "trade": 5, evil: evil}}
    text = render(replace(score, rows=rows, verdicts=[verdict], card=card))
    assert evil not in text
    assert "alert" not in "".join(re.findall(r"<script[^>]*>", text))
    Page(text)
    assert "\x1b" not in claim_lines(replace(score, verdicts=[replace(verdict, text="\x1b")]))[0]


# Ensembles


def test_a_small_matrix_shows_its_numbers_and_a_large_one_the_means_of_its_types() -> None:
    rng = np.random.default_rng(5)
    days = ["2021-01-04", "2021-01-11", "2021-01-19"]
    for each, cells in ((1, 9), (10, 9)):
        members = fake_members(rng, each, days)
        row = replace(fake_ensembles(resamples=2).rows[0], ensemble=members)
        text = ensembles(Score("t", "f", {}, {}, (), [row]))
        tables_of_numbers = re.findall(r'<table class="heat[^"]*">.*?</table>', text, re.S)
        assert len(tables_of_numbers) == 3
        for table in tables_of_numbers:
            assert len(re.findall(r"<td", table.split("</thead>")[1])) == cells
        assert text.count('class="cells square"') == (3 if each > 1 else 0)
    kl = np.array(fake_members(rng, 1, days)["kl"])
    row = replace(row, ensemble={**members, "members": list("abc"), "kl": kl.tolist()})
    shown = ensembles(Score("t", "f", {}, {}, (), [row]))
    for one, other in ((0, 1), (2, 0)):
        assert f">{kl[one, other]:.2f}<" in shown


def test_means_of_types_leave_out_what_a_member_is_to_itself() -> None:
    values = np.array([[np.nan, 1.0, 5.0], [3.0, np.nan, 7.0], [8.0, 10.0, np.nan]])
    found = _by_kind(["a", "a", "b"], ["a", "b"], values)
    assert np.array_equal(found, [[2.0, 6.0], [9.0, np.nan]], equal_nan=True)


def test_members_are_grouped_by_their_name_without_its_number() -> None:
    names = ["ppo", "ppo 3", "ppo_12", "sac-1", "ddpg/07", "td3", "7"]
    assert [kind_of(name) for name in names] == ["ppo", "ppo", "ppo", "sac", "ddpg", "td", "7"]


def test_a_picture_holds_every_cell_in_its_shade() -> None:
    values = np.random.default_rng(2).uniform(0, 1, (7, 11))
    values[2, 3], values[4] = np.nan, 0.0
    painted = np.zeros(values.shape)
    picture = heat_picture(values, (0.0, 1.0), "picture", square=False)
    for d, strength in re.findall(r'<path d="([^"]+)" style="--h:(\d+)%"', picture):
        for column, row, width in re.findall(r"M(\d+) (\d+)h(\d+)", d):
            cells = painted[int(row), int(column) : int(column) + int(width)]
            assert (cells == 0).all()
            cells += float(strength) / 92
    assert painted == pytest.approx(np.nan_to_num(values), abs=0.5 / 12 + 0.01)


def test_what_is_not_known_of_an_ensemble_is_left_out(score: Score) -> None:
    members = {"members": ["a", "b"], "kl": [[0, None], [None, 0]], "weights": [[1.0]]}
    row = replace(score.rows[0], ensemble=members)
    text = ensembles(replace(score, rows=[row]))
    assert "2 members" in text
    assert "<svg" not in text
    assert "<table" not in text


@pytest.mark.parametrize("each", [1, 5])
def test_weights_that_never_change_are_drawn_too(score: Score, each: int) -> None:
    members = fake_members(np.random.default_rng(0), each, ["2021-01-04"])
    text = ensembles(replace(score, rows=[replace(score.rows[0], ensemble=members)]))
    Page(text)
    assert "Weights in 1 window;" in text
    assert "nan" not in text


def test_logs_of_all_rolling_windows_are_in_the_training_chart(score: Score) -> None:
    row = next(row for row in score.rows if row.agent == "ppo")
    logs = np.concatenate([log["reward"] for log in row.training])
    assert logs.shape[0] == 4  # two seeds, two windows
    found = training_series(row, "reward", "")
    assert found.value == pytest.approx(np.median(logs, axis=0))
    assert found.low == pytest.approx(logs.min(axis=0))


def test_rolling_windows_are_told_in_words(told: str) -> None:
    assert "learn on 30 rows, leave out 2, choose on the next 5, learn again on both" in told
    said = rolling({"train": 252, "validate": 63, "trade": 63, "expanding": True, "every": 2})
    assert said == (
        "learn on all rows so far, at least 252 rows, choose on the next 63, trade the next 63, "
        "start anew; Every 2"
    )


# The published table


def test_agents_are_matched_by_name_whatever_the_spelling() -> None:
    assert key("Min-Variance") == key("min_variance") == "min_variance"
    assert key("Ensemble-1") == key("ensemble_1") != key("Ensemble-2")


def test_ours_stand_over_the_published_numbers(score: Score, page_text: str) -> None:
    table = re.search(r'<table class="metrics beside">.*?</table>', page_text, re.S)
    assert table is not None
    heads = re.findall(r"</i>([^<]+)<small>([^<]+)<sup>", table[0])
    assert [ours for ours, _ in heads] == [*ENSEMBLES, *SINGLE, "min_variance", "DJIA"]
    drawdown = re.search(r"<tr><th[^>]*>Max drawdown</th>(.*?)</tr>", table[0], re.S)
    assert drawdown is not None
    cells = re.findall(r"<td>(.*?)</td>", drawdown[1], re.S)
    assert len(cells) == 8
    ours = score.rows[0].windows[0].metrics["max_drawdown"]
    assert metric_value("max_drawdown", ours.value) in cells[0]
    assert metric_value("max_drawdown", -0.0898) in cells[0]
    assert ("outside" in cells[0]) is not (ours.low <= -0.0898 <= ours.high)


def _printed(score: Score) -> list[str]:
    from rich.console import Console

    console = Console(width=100, file=StringIO(), color_system=None)
    for table in tables(score):
        console.print(table)
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_terminal_prints_ours_beside_the_published_table(score: Score) -> None:
    lines = _printed(score)
    assert max(map(len, lines)) <= 100
    assert "…" not in "".join(lines)
    at = next(n for n, line in enumerate(lines) if line.startswith("per year"))
    ours = [
        metric_value("annual_return", row.windows[0].metrics["annual_return"].value)
        for row in score.rows
        if row.agent != "buy_and_hold"
    ]
    assert lines[at].split()[2:] == [one.replace("\u202f", "") for one in ours]
    assert [one.strip("*") for one in lines[at + 2].split()[1:3]] == ["+18.22%", "+17.25%"]
    marked = next(n for n, line in enumerate(lines) if line.startswith("volatility"))
    first = score.rows[0].windows[0].metrics["annual_volatility"]
    beyond = not first.low <= 0.1176 <= first.high
    assert lines[marked + 2].split()[1].startswith("*") is beyond


def test_a_published_table_of_others_is_not_printed(score: Score) -> None:
    others = [{**row, "agent": f"team {n}"} for n, row in enumerate(score.published)]
    assert len(tables(score)) == 2
    assert len(tables(replace(score, published=others))) == 1


def test_a_claim_takes_one_line_of_the_terminal(score: Score) -> None:
    lines = claim_lines(score)
    assert len(lines) == len(CLAIMS)
    for line, verdict in zip(lines, score.verdicts, strict=True):
        assert verdict.ahead is not None
        assert len(line) <= 110
        assert verdict.decision in line
        assert lead_value(verdict.metric, verdict.ahead.value) in line
    unjudged = Verdict("c", "A claim", "romad", "w", "undecided", None, (), "x was not run.")
    assert claim_lines(replace(score, verdicts=[unjudged]))[0].endswith("A claim: x was not run.")


def test_a_lead_is_written_with_its_sign_and_in_points() -> None:
    assert lead_value("max_drawdown", 0.0312) == "+3.12\u202fpp"
    assert lead_value("sharpe_ratio", -0.2) == "\u22120.20"
    assert lead_value("romad", 2e6) == "≥\u202f10⁶"
    assert lead_interval("max_drawdown", Estimate(0.0, -0.01, 0.02)) == "\u22121.00 to +2.00"
