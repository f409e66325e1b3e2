"""The report: one page that loads nothing, escapes everything and claims no more than it may."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest
from fake_score import AGENTS, fake_score
from page import Page

from steelyard.evaluation.ranking import best, window_rows
from steelyard.evaluation.report import render, verdict
from steelyard.evaluation.report.axes import Range, apart, line, rows_to_draw, time_ticks
from steelyard.evaluation.report.markup import Html, data, tag
from steelyard.evaluation.report.numbers import metric_value, number, percent
from steelyard.evaluation.report.series import weight_layers
from steelyard.evaluation.results import Estimate, Score
from steelyard.evaluation.table import render as terminal_table
from steelyard.registry import members
from steelyard.types import EquityCurve


@pytest.fixture(scope="module")
def score() -> Score:
    return fake_score()


@pytest.fixture(scope="module")
def page_text(score: Score) -> str:
    return render(score, bundle="runs-dow30")


@pytest.fixture(scope="module")
def page(page_text: str) -> Page:
    return Page(page_text)


# The page


def test_every_element_is_closed_and_every_id_is_unique(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) > 5
    assert len(set(ids)) == len(ids)


def test_the_parser_of_these_tests_catches_elements_that_are_not_closed() -> None:
    with pytest.raises(AssertionError, match="never closed"):
        Page("<p><b>text</b>")
    with pytest.raises(AssertionError, match="closes another"):
        Page("<p><b>text</p></b>")


def test_links_lead_to_places_of_the_page(page: Page) -> None:
    targets = {value.removeprefix("#") for value in page.values("href") if value != "data:,"}
    assert targets <= set(page.values("id"))
    assert len(targets) >= 5


def test_nothing_is_loaded_from_anywhere(page: Page, page_text: str) -> None:
    assert "http:" not in page_text
    assert "https:" not in page_text
    assert "url(" not in page_text
    assert "@import" not in page_text
    assert not page.values("src")
    assert not {"img", "iframe", "object", "embed"} & {name for name, _ in page.elements}


def test_the_page_forbids_every_script_but_its_own(page: Page, page_text: str) -> None:
    script = re.findall(r"<script>(.*?)</script>", page_text, re.S)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    policy = next(value for value in page.values("content") if "default-src" in value)
    assert policy.split("; ")[0] == "default-src 'none'"
    assert f"script-src 'sha256-{digest}'" in policy


def test_a_full_report_stays_below_one_and_a_half_megabytes() -> None:
    score = fake_score(windows=(("first", 735), ("second", 735)))
    assert 200_000 < len(render(score).encode()) < 1_500_000


def test_a_window_of_twelve_years_is_no_larger_than_one_of_three() -> None:
    short, long = (len(render(fake_score(windows=(("test", rows),)))) for rows in (735, 2940))
    assert long < 1.15 * short


def test_every_agent_and_every_metric_has_its_place(page: Page, score: Score) -> None:
    told = " ".join(page.text)
    for agent in AGENTS:
        assert agent in told
    cells = page.values("data-metric")
    for metric in members("metrics"):
        assert cells.count(metric) == len(score.rows), metric


def test_fingerprint_capital_costs_and_the_command_to_verify_are_told(page: Page) -> None:
    told = " ".join(page.text)
    for fact in ("0123456789abcdef", "1,000,000", "filled at next open", "30 assets"):
        assert fact in told, fact
    assert "steelyard verify runs-dow30" in told


def test_published_rows_stand_in_the_column_of_their_scale(page_text: str) -> None:
    row = re.search(r'<tr class="published">(?:(?!</tr>).)*DJIA.*?</tr>', page_text, re.S)
    assert row is not None
    cells = re.findall(r"<td>(.*?)</td>", row[0])
    order = re.findall(r'data-metric="(\w+)"', page_text)[: len(cells)]
    assert cells[order.index("daily_sharpe_ratio")] == "0.450"
    assert cells[order.index("sharpe_ratio")] == "\u2013"
    assert "not annualised" in page_text


def test_published_rows_of_which_the_same_is_said_share_a_note(score: Score) -> None:
    first, second = score.published
    rows = [first, second, {**first, "agent": "SAC"}]
    text = render(replace(score, published=rows))
    listed = re.findall(r'<tr class="published"><th[^>]*><span>(\w+)<sup>(\d)</sup>', text)
    assert listed == [("PPO", "1"), ("DJIA", "2"), ("SAC", "1")]
    notes = re.search(r'<ol class="notes">(.*?)</ol>', text, re.S)
    assert notes is not None
    assert notes[1].count("<li>") == 2


def test_names_cannot_become_markup() -> None:
    evil = "<script>alert('x')</script>"
    agents = {f'{evil} & "co"': ("learned", 0.1, 0.1), "buy_and_hold": ("classic", 0.1, 0.1)}
    score = fake_score(agents=agents, windows=((evil, 40),), seeds=2)
    score = replace(score, task=evil, notes=[evil], card={**score.card, evil: evil}, assets=(evil,))
    score = replace(score, assets=tuple(f"{evil}{n}" for n in range(30)), versions={evil: evil})
    text = render(score, bundle=evil)
    assert evil not in text
    assert "alert" not in "".join(re.findall(r"<script[^>]*>", text))
    page = Page(text)
    assert sum(name == "script" and not held for name, held in page.elements) == 1
    assert any(f'{evil} & "co"' in told for told in page.text)


@pytest.mark.parametrize(
    "score",
    [
        fake_score(windows=(("a", 2), ("b", 6))),
        fake_score(agents={"DJIA": AGENTS["DJIA"]}, windows=(("test", 30),)),
        fake_score(agents={"hold_cash": AGENTS["hold_cash"]}, windows=(("test", 30),)),
        fake_score(agents={"ppo": AGENTS["ppo"]}, windows=(("test", 30),), seeds=12),
        fake_score(agents={f"agent-{n}": ("learned", 0.1, 0.2) for n in range(20)}, seeds=1),
        fake_score(windows=(("test", 30),), rows=[], notes=["interrupted"]),
        fake_score(windows=(("test", 30),), card={}, conventions={"note": "text"}, published=()),
    ],
    ids=["short", "index only", "cash only", "many seeds", "many agents", "no rows", "bare card"],
)
def test_unusual_scores_make_a_whole_page(score: Score) -> None:
    page = Page(render(score))
    assert score.task in " ".join(page.text)
    assert "nan" not in " ".join(page.values("d") + page.values("style"))


def test_a_metric_without_a_number_is_left_open(score: Score) -> None:
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    rows = [_with(row, "sharpe_ratio", nothing) for row in score.rows]
    text = render(replace(score, rows=rows))
    assert text.count('<td data-metric="sharpe_ratio">\u2013</td>') == len(rows)


# Marks


def test_the_best_of_a_column_is_marked_in_the_direction_of_its_card(score: Score) -> None:
    rows = window_rows(score, 0)
    compete = {
        agent.agent: window
        for agent, window in rows
        if agent.kind != "index" and agent.agent != "hold_cash"
    }
    for metric, direction in (("sharpe_ratio", max), ("annual_volatility", min)):
        expected = direction(compete, key=lambda name: compete[name].metrics[metric].value)
        assert best(rows, metric).agents == {expected}
        marked = re.findall(
            rf'<tr>(?:(?!</tr>).)*?<td class="best[^"]*" data-metric="{metric}">', render(score)
        )
        assert len(marked) == 1
        assert f">{expected}<" in marked[0]


def test_doing_nothing_is_best_at_nothing_although_its_volatility_is_lowest(score: Score) -> None:
    rows = window_rows(score, 0)
    assert min(window.metrics["annual_volatility"].value for _, window in rows) == 0
    for metric in members("metrics"):
        assert not best(rows, metric).agents & {"hold_cash", "DJIA"}


@pytest.mark.parametrize(
    ("interval", "apart_from_all"), [((1.9, 2.0, 2.1), True), ((0.5, 2.0, 3.0), False)]
)
def test_a_disc_is_full_only_where_no_interval_overlaps(
    score: Score, interval: tuple[float, float, float], apart_from_all: bool
) -> None:
    low, value, high = interval
    planted = dict.fromkeys(AGENTS, (0.0, 0.5, 1.0)) | {"ppo": (low, value, high)}
    top = best(window_rows(_plant(score, planted), 0), "sharpe_ratio")
    assert top.agents == {"ppo"}
    assert top.apart is apart_from_all


# The verdict


def _with(row, metric: str, one: Estimate):  # type: ignore[no-untyped-def]
    windows = [replace(place, metrics={**place.metrics, metric: one}) for place in row.windows]
    return replace(row, windows=windows)


def _plant(score: Score, sharpe: Mapping[str, tuple[float, float, float]]) -> Score:
    """The score with (low, value, high) as the Sharpe ratios of its agents."""
    rows = [
        _with(
            row,
            "sharpe_ratio",
            Estimate(sharpe[row.agent][1], sharpe[row.agent][0], sharpe[row.agent][2]),
        )
        for row in score.rows
        if row.agent in sharpe
    ]
    return replace(score, rows=rows)


def _follow(score: Score, agent: str, daily: float) -> Score:
    """The score with `agent` earning what buy_and_hold earns plus `daily` on every bar."""
    rows = {row.agent: row for row in score.rows}
    windows = []
    for own, held in zip(rows[agent].windows, rows["buy_and_hold"].windows, strict=True):
        base = held.curves[0]
        value = base.value[0] * np.cumprod(np.append(1.0, 1.0 + base.returns + daily))
        curve = EquityCurve(base.timestamps, value, base.periods_per_year)
        windows.append(replace(own, curves=[curve], backtests=()))
    changed = replace(rows[agent], windows=windows, seeds=(0,), kind="classic")
    return replace(score, rows=[changed if row.agent == agent else row for row in score.rows])


OVERLAPPING = dict.fromkeys(AGENTS, (0.0, 0.5, 1.0)) | {"hold_cash": (0.0, 0.0, 0.0)}


def test_overlapping_intervals_are_called_overlapping(score: Score) -> None:
    planted = _plant(score, OVERLAPPING | {"ppo": (0.4, 0.9, 1.4)})
    told = verdict(_follow(planted, "ppo", 0.0))
    assert told[0] == "No agent's Sharpe interval lies above buy_and_hold's."
    assert any("ppo has the highest Sharpe ratio, 0.90" in one for one in told)
    assert any("the order is not settled" in one for one in told)
    assert not any("ppo earned" in one for one in told)


def test_a_clear_winner_is_named_with_its_intervals_and_with_luck(score: Score) -> None:
    planted = _plant(score, OVERLAPPING | {"ppo": (1.2, 2.0, 2.8)})
    told = verdict(_follow(planted, "ppo", 0.002))
    assert told[0] == "The Sharpe interval of ppo lies above buy_and_hold's."
    assert any("above the interval of every other agent" in one for one in told)
    ahead = next(one for one in told if "ppo earned" in one)
    assert "+50.4" in ahead  # 252 bars of 0.002 on top of the same returns
    assert any("times in 100" in one for one in told)


def test_touching_intervals_are_not_above_each_other(score: Score) -> None:
    planted = _plant(score, OVERLAPPING | {"ppo": (1.0, 2.0, 3.0)})
    assert verdict(planted)[0] == "No agent's Sharpe interval lies above buy_and_hold's."


def test_a_handful_of_bars_is_not_ranked(score: Score) -> None:
    short = fake_score(windows=(("first", 15), ("second", 6)))
    planted = _plant(short, OVERLAPPING | {"ppo": (7.0, 8.0, 9.0)})
    told = verdict(_follow(planted, "ppo", 0.01))
    assert told[0] == "14 and 5 returns are too few to tell agents apart."
    assert not any("highest" in one or "earned" in one for one in told)
    assert not best(window_rows(planted, 0), "sharpe_ratio").apart


def test_windows_are_told_apart(score: Score) -> None:
    two = fake_score(windows=(("calm", 60), ("rough", 60)))
    planted = _plant(two, OVERLAPPING)
    rows = list(planted.rows)
    windows = list(rows[0].windows)
    up = {**windows[1].metrics, "sharpe_ratio": Estimate(2.0, 1.5, 2.5)}
    rows[0] = replace(rows[0], windows=[windows[0], replace(windows[1], metrics=up)])
    told = verdict(replace(planted, rows=rows))
    assert told[0] == "Sharpe intervals above buy_and_hold's: none in calm; ppo in rough."


def test_when_all_lose_cash_is_said_to_be_better(score: Score) -> None:
    losing = dict.fromkeys(AGENTS, (-2.0, -1.0, -0.5)) | {"hold_cash": (0.0, 0.0, 0.0)}
    told = verdict(_plant(score, losing))
    assert any("holding cash did better" in one for one in told)
    assert not any("hold_cash has the highest" in one for one in told)


def test_without_a_reference_and_without_agents_it_says_so(score: Score) -> None:
    lone = fake_score(agents={"ppo": AGENTS["ppo"], "random": AGENTS["random"]})
    assert "no buy_and_hold" in verdict(lone)[0]
    held = fake_score(agents={"buy_and_hold": AGENTS["buy_and_hold"]})
    assert "nothing to compare" in verdict(held)[0]
    assert verdict(replace(score, rows=[])) == ["No agent was scored."]


def test_one_seed_of_training_is_called_one(score: Score) -> None:
    told = verdict(fake_score(seeds=1))
    assert any("ppo and ppo_differential_sharpe were trained with one seed" in one for one in told)
    assert not any("one seed" in one for one in verdict(score))


# The terminal


def _printed(score: Score, width: int) -> str:
    from io import StringIO

    from rich.console import Console

    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(terminal_table(score))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_table_of_the_terminal_fits_100_columns_without_cutting_a_number(score: Score) -> None:
    printed = _printed(score, 100)
    assert max(len(row) for row in printed.splitlines()) <= 100
    for row in score.rows:
        held = row.windows[0].metrics
        line = next(one for one in printed.splitlines() if one.startswith(row.agent[:15]))
        for metric in ("cumulative_return", "sharpe_ratio", "max_drawdown", "annual_volatility"):
            assert metric_value(metric, held[metric].value).replace("\u202f", "") in line


def test_the_table_of_the_terminal_marks_the_best(score: Score) -> None:
    planted = _plant(score, OVERLAPPING | {"equal_weight": (1.2, 2.0, 2.8)})
    line = next(one for one in _printed(planted, 100).splitlines() if "equal_weight" in one)
    assert "● 2.00" in line


def test_names_cannot_steer_the_terminal() -> None:
    agents = {"[red]a\x1b[2J\r": ("classic", 0.1, 0.1)}
    printed = _printed(fake_score(agents=agents, windows=(("test", 30),)), 100)
    assert "[red]a\ufffd[2J\ufffd" in printed
    assert "\x1b" not in printed
    assert "\x1b" not in render(fake_score(agents=agents, windows=(("test", 30),)))


# Pieces


@pytest.mark.parametrize(
    ("value", "decimals", "sign", "text"),
    [
        (1234.567, 2, False, "1,234.57"),
        (-0.5, 2, False, "\u22120.50"),
        (0.5, 1, True, "+0.5"),
        (-0.001, 2, True, "0.00"),
        (float("nan"), 2, False, "\u2013"),
        (float("inf"), 2, False, "\u2013"),
    ],
)
def test_numbers_are_written_as_people_write_them(
    value: float, decimals: int, sign: bool, text: str
) -> None:
    assert number(value, decimals, sign=sign) == text


def test_metrics_are_written_in_their_unit() -> None:
    assert metric_value("cumulative_return", 0.1895) == "+18.95\u202f%"
    assert metric_value("annual_volatility", 0.1514) == "15.14\u202f%"
    assert metric_value("max_drawdown", -0.2194) == "\u221221.94\u202f%"
    assert metric_value("sharpe_ratio", 0.47) == "0.47"
    assert metric_value("daily_sharpe_ratio", 0.0448) == "0.045"
    assert metric_value("sortino_ratio", 1e6) == "≥\u202f10⁶"
    assert percent(0.0) == "0.00\u202f%"


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a<b", Html("<i></i>"), title='"x"', hidden=True, class_=None) == (
        '<p title="&quot;x&quot;" hidden>a&lt;b<i></i></p>'
    )
    assert "</script" not in data(["</script>"])[31:-9]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-0.031, 0.045, [-0.02, 0.0, 0.02, 0.04])],
)
def test_ticks_are_round_numbers_inside_the_range(
    low: float, high: float, expected: list[float]
) -> None:
    assert Range(low, high).ticks() == pytest.approx(expected)


def test_a_range_that_never_moves_is_still_a_range() -> None:
    for value in (0.0, 5.0, -3.0):
        span = Range.of([np.full(4, value)])
        assert span.low < value < span.high
        assert len(span.ticks()) >= 2


def test_a_path_returns_to_its_points() -> None:
    rng = np.random.default_rng(0)
    columns, places = np.sort(rng.integers(0, 10_000, 50)), rng.integers(0, 10_000, 50)
    start, steps = line(columns, places)[1:].split("l")
    walked = np.array([int(one) for one in steps.split()]).reshape(-1, 2).cumsum(axis=0)
    points = walked + np.array([int(one) for one in start.split()])
    assert np.array_equal(points, np.column_stack([columns, places])[1:])


def test_a_long_series_keeps_its_ends_and_extremes() -> None:
    series = np.zeros(10_000)
    series[1237], series[8642] = 5.0, -7.0
    rows = rows_to_draw(10_000, 100, [series])
    assert len(rows) <= 102
    assert {0, 1237, 8642, 9999} <= set(rows.tolist())


def test_labels_keep_their_distance_and_their_order() -> None:
    places = [0.5, 0.51, 0.98, 0.99, 1.0, 0.1]
    moved = apart(places, 0.05)
    assert np.argsort(moved, kind="stable").tolist() == np.argsort(places, kind="stable").tolist()
    assert np.diff(np.sort(moved)).min() >= 0.05 - 1e-12
    assert min(moved) >= 0
    assert max(moved) <= 1
    assert moved[5] == 0.1


@pytest.mark.parametrize(
    ("start", "rows", "unit", "first", "most"),
    [
        ("2010-01-04", 3500, "D", "2010", 14),
        ("2021-01-04", 735, "D", "2021", 13),
        ("2023-10-25", 15, "D", "25 Oct", 13),
        ("2023-10-25", 3, "D", "25 Oct", 6),
        ("2023-10-25T09:30", 60, "m", "09:30", 6),
    ],
)
def test_times_are_labelled_in_the_unit_that_fits(
    start: str, rows: int, unit: str, first: str, most: int
) -> None:
    times = np.datetime64(start, unit) + np.arange(rows)
    ticks = time_ticks(times)
    assert ticks[0].label == first
    assert 3 <= len(ticks) <= most
    assert all(0 <= tick.row < rows for tick in ticks)


def test_the_layers_of_a_stack_add_up_to_the_account(score: Score) -> None:
    one = score.rows[0].windows[0].backtests[0]
    short = replace(one, weights=one.weights - 0.02)
    for backtest in (one, short):
        layers = weight_layers(backtest, score.assets)
        assert np.allclose(sum(layer.value for layer in layers), 1.0)
        assert [layer.label for layer in layers][-2:] == ["22 others", "cash"]


MACHADO = {  # Machado, Oliveira and Fernandes (2009), severity 1
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def _linear(colour: str) -> np.ndarray:
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def _oklab(linear: np.ndarray) -> np.ndarray:
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    axes = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(axes) @ np.cbrt(np.array(cones) @ np.clip(linear, 0, 1))


def _nearest(colours: list[str]) -> float:
    """Smallest OKLab distance (x 100) between two colours, for whoever sees them least apart."""
    return min(
        100 * float(np.linalg.norm(_oklab(eye @ _linear(one)) - _oklab(eye @ _linear(other))))
        for eye in map(np.array, MACHADO.values())
        for one, other in combinations(colours, 2)
    )


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_the_colours_stay_apart_for_the_colour_blind_and_from_the_paper(mode: int) -> None:
    style = files("steelyard.evaluation.report").joinpath("report.css").read_text()
    colours = re.findall(r"--c\d: #(\w{6})", style)[8 * mode : 8 * mode + 8]
    paper = re.findall(r"--paper: #(\w{6})", style)[mode]
    weights = np.array([0.2126, 0.7152, 0.0722])
    ground = float(_linear(paper) @ weights)
    for colour in colours:
        light = float(_linear(colour) @ weights)
        assert (max(light, ground) + 0.05) / (min(light, ground) + 0.05) >= 3, colour
    assert _nearest(colours) >= 7
    assert _nearest(["0072b2", "7a64c4"]) < 7  # blue and violet: what the test is there for
