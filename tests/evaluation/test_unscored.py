"""An agent that was not scored, or not isolated, is one row with a reason; the others stand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_score import AGENTS, fake_ensembles, fake_score, refused
from page import Page

from steelyard.benchmark import verification
from steelyard.benchmark.verification import Verification, verify
from steelyard.errors import BundleError
from steelyard.evaluation.bundle import actions, curves, read, run_json, training, write
from steelyard.evaluation.claims import Claim, judge
from steelyard.evaluation.paired import Paired
from steelyard.evaluation.ranking import metric_names, unscored, window_rows, windows
from steelyard.evaluation.report import render, verdict
from steelyard.evaluation.report.claims import claim_lines
from steelyard.evaluation.report.isolation import hunt_sentence
from steelyard.evaluation.report.numbers import MISSING
from steelyard.evaluation.results import AgentScore, Estimate, Score, is_isolated, not_scored
from steelyard.evaluation.statistics import interval
from steelyard.evaluation.table import tables

REASON = "looks ahead: its action on A03 at 2021-03-05 changes with what comes after"
HERE = "in this process, not isolated"
HUNT = {"cuts": 8, "decisions": 734, "worlds": ["garbage", "halted"], "retrained": 1, "of": 97}


def with_refused(score: Score, at: int) -> Score:
    """The score with the row of `mine.py:SEER` at a place of its own."""
    rows = list(score.rows)
    rows.insert(at, refused("mine.py:SEER", REASON))
    return replace(score, rows=rows)


def with_isolation(score: Score, agent: str, how: str, **hunt: object) -> Score:
    rows = [
        replace(row, isolation=how, hunt=hunt) if row.agent == agent else row for row in score.rows
    ]
    return replace(score, rows=rows)


def printed(score: Score) -> list[str]:
    from rich.console import Console

    console = Console(width=100, file=StringIO(), color_system=None)
    for table in tables(score):
        console.print(table)
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.fixture(scope="module")
def score() -> Score:
    chosen = ("ppo", "buy_and_hold", "random", "DJIA")
    return fake_score(
        agents={name: AGENTS[name] for name in chosen},
        windows=(("first", 40), ("second", 30)),
        seeds=2,
        assets=4,
    )


# One row without numbers


def test_a_row_stands_where_it_has_windows_whatever_its_note(score: Score) -> None:
    assert replace(score.rows[0], note="stopped after 3 of 97 updates").stands
    assert not refused("a", REASON).stands


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_row_without_numbers_changes_nothing_about_the_others(score: Score, at: int) -> None:
    changed = with_refused(score, at)
    assert windows(changed) == windows(score)
    assert metric_names(changed) == metric_names(score)
    for number in range(2):
        assert [row.agent for row, _ in window_rows(changed, number)] == [
            row.agent for row, _ in window_rows(score, number)
        ]
    assert [row.agent for row in unscored(changed)] == ["mine.py:SEER"]
    told = verdict(changed)
    assert told.count(f"mine.py:SEER was not scored: {REASON}.") == 1
    assert [one for one in told if "SEER" not in one] == verdict(score)


def test_the_terminal_prints_the_name_without_numbers_and_the_reason_below(score: Score) -> None:
    lines = printed(with_refused(score, 0))
    rows = [line for line in lines if line.startswith("mine.py:SEER")]
    assert len(rows) == 2  # one in each window
    for row in rows:
        assert row.split() == ["mine.py:SEER", *MISSING * 4]
    last = max(n for n, line in enumerate(lines) if line.startswith("mine.py:SEER"))
    assert f"{MISSING} mine.py:SEER: {REASON}" in lines[last + 1 :]
    assert sum(REASON in line for line in lines) == 1
    assert max(map(len, lines)) <= 100


def test_the_page_tells_the_reason_above_the_verdict_and_on_the_row(score: Score) -> None:
    text = render(with_refused(score, 0))
    page = Page(text)
    assert "nan" not in " ".join(page.values("d") + page.values("style"))
    sentence = f"mine.py:SEER was not scored: {REASON}."
    assert f'<p class="warning">{sentence}</p><p class="verdict">' in text
    assert text.count(sentence) == 1
    rows = re.findall(r"<tr><th[^>]*><span>mine\.py:SEER</span></th>(.*?)</tr>", text)
    assert len(rows) == 2
    for row in rows:
        assert re.fullmatch(rf'<td colspan="\d+" class="reason">{REASON}</td>', row)
    assert "mine.py:SEER" not in "".join(re.findall(r"<figure.*?</figure>", text, re.S))


def test_nothing_of_the_training_of_a_row_without_numbers_is_shown_or_kept(tmp_path: Path) -> None:
    score = fake_ensembles(windows=(("test", 40),), resamples=20)
    gone = [
        replace(row, windows=(), note=REASON, training=row.training[:1])
        if row.agent in ("ensemble_1", "ppo")
        else row
        for row in score.rows
    ]
    changed = replace(score, rows=gone)
    text = render(changed)
    for anchor in ("ensembles", "training"):
        (section,) = re.findall(rf'<section id="{anchor}">.*?</section>', text, re.S)
        assert "<h3>ensemble_2" in section
        assert not re.search("<h3>(ensemble_1|ppo)<", section)
    kept = {agent for agent, _ in training(write(changed, tmp_path / "run"))}
    assert kept == {"ensemble_2", "ensemble_3", "sac", "ddpg"}


def test_who_was_never_trained_to_the_end_is_not_said_to_have_one_seed(score: Score) -> None:
    gone = replace(refused("mine", REASON), kind="learned")
    assert not any("one seed" in one for one in verdict(replace(score, rows=[*score.rows, gone])))


def test_a_resumed_run_without_logs_has_no_training_to_show(score: Score) -> None:
    rows = [replace(row, training=[{}, {}]) if row.training else row for row in score.rows]
    assert "#training" not in Page(render(replace(score, rows=rows))).values("href")


def test_a_bundle_keeps_the_row_with_its_reason(score: Score, tmp_path: Path) -> None:
    changed = with_refused(score, 0)
    place = write(changed, tmp_path / "run")
    row, *others = read(place)["score"]["rows"]
    assert row == {
        "agent": "mine.py:SEER",
        "kind": "classic",
        "seeds": [0],
        "note": REASON,
        "isolation": "",
        "hunt": {},
        "windows": [],
    }
    assert others == read(write(score, tmp_path / "other"))["score"]["rows"]
    assert not [place for place in (*actions(place), *curves(place)) if "SEER" in place[0]]
    document = run_json(changed, place, place / "report.html", 1.0)
    assert document["rows"][0] == row
    json.dumps(document, allow_nan=False)


def test_two_windows_of_one_name_are_found_behind_a_row_without_any(
    score: Score, tmp_path: Path
) -> None:
    same = [replace(row, windows=[row.windows[0]] * 2) for row in score.rows]
    with pytest.raises(BundleError, match="2 windows are named `first`"):
        write(with_refused(replace(score, rows=same), 0), tmp_path / "run")
    with pytest.raises(BundleError, match="2 agents are named `mine"):
        write(with_refused(with_refused(score, 0), 3), tmp_path / "run")


def test_a_score_of_nobody_is_told_written_and_read(score: Score, tmp_path: Path) -> None:
    rows = [refused("a", REASON), refused("b", "raised ValueError.")]
    nobody = replace(score, rows=rows)
    told = ["No agent was scored.", f"a was not scored: {REASON}.", "b was not scored: raised "]
    assert verdict(nobody)[:2] == told[:2]
    assert verdict(nobody)[2] == "b was not scored: raised ValueError."
    assert printed(nobody) == [f"{MISSING} a: {REASON}", f"{MISSING} b: raised ValueError."]
    page = Page(render(nobody))
    assert all(one in " ".join(page.text) for one in told)
    assert {value.removeprefix("#") for value in page.values("href")} - {"data:,"} <= set(
        page.values("id")
    )
    found = read(write(nobody, tmp_path / "run"))
    assert [row["windows"] for row in found["score"]["rows"]] == [[], []]
    assert found["score"]["verdict"] == verdict(nobody)
    index = replace(score, rows=[refused("a", REASON), score.rows[-1]])
    assert verdict(index) == told[:2]
    assert any(line.startswith("DJIA") for line in printed(index))
    Page(render(index))


# Claims


def test_a_claim_about_an_agent_without_numbers_is_not_judged_and_says_why(score: Score) -> None:
    changed = with_refused(score, 1)
    claims = [
        Claim("a", "It wins", "sharpe_ratio", ("mine.py:SEER",), ("ppo",)),
        Claim("b", "They win", "sharpe_ratio", ("ppo", "mine.py:SEER"), ("random", "absent")),
        Claim("c", "It wins nothing", "sharpe_ratio", ("mine.py:SEER",), ("absent",)),
    ]
    why = f"mine.py:SEER was not scored: {REASON}."
    alone, part, none = judge(changed, claims, resamples=50)[:3]
    assert alone.ahead is None
    assert alone.sentence == f"Not judged: {why}"
    assert part.ahead is not None
    assert part.sentence.endswith(f"{why} absent was not run.")
    assert none.sentence == f"Not judged: {why} absent was not run."
    judged = replace(changed, verdicts=[alone, part])
    assert claim_lines(judged)[0] == f"{MISSING} not judged · first · It wins: {why}"
    assert f"{MISSING} not judged" in render(judged)
    only = judge(replace(score, rows=[refused("mine.py:SEER", REASON)]), claims)
    assert [one.sentence.startswith("Not judged: mine") for one in only] == [True] * 3


def test_a_lead_that_is_no_number_is_not_judged(
    score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    monkeypatch.setattr(Paired, "difference", lambda *_: nothing)
    claim = Claim("c", "A claim", "sharpe_ratio", ("ppo",), ("random",))
    found = judge(score, [claim], resamples=20)[0]
    assert found.ahead is None
    assert found.sentence == "Not judged: the lead in Sharpe ratio is not a number."


# Isolation


def test_only_what_is_proven_is_silent() -> None:
    assert all(map(is_isolated, ("", "house", "own process")))
    for how in (HERE, "own process, not isolated: opened runs/x", "trusted: not checked", "else"):
        assert not is_isolated(how)
    assert not_scored("a", " ended. ") == "a was not scored: ended."
    assert not_scored("a", "") == "a was not scored."


def test_who_was_not_isolated_is_marked_in_the_terminal_and_told_below(score: Score) -> None:
    long = "mine.py:AN_AGENT_WITH_A_LONG_NAME"
    rows = [replace(score.rows[0], agent=long, isolation=HERE), *score.rows[1:]]
    lines = printed(with_isolation(replace(score, rows=rows), "random", "trusted: not checked"))
    assert len([line for line in lines if line.startswith("mine.py:") and "… ‡" in line]) == 2
    assert f"‡ {long}: {HERE}" in lines
    assert "‡ random: trusted: not checked" in lines
    assert any(line.startswith("random ‡") for line in lines)
    assert "‡" not in "".join(printed(with_isolation(score, "ppo", "own process")))
    assert max(map(len, lines)) <= 100


def test_the_page_has_a_badge_on_the_row_and_a_line_for_every_agent(score: Score) -> None:
    changed = with_isolation(with_isolation(score, "ppo", HERE, **HUNT), "random", "house")
    text = render(changed)
    badges = re.findall(r'<a href="#conventions" title="([^"]*)" class="badge">([^<]*)</a>', text)
    assert badges == [(HERE, "‡ not isolated")] * 2  # a table for each window
    (table,) = re.findall("How every agent ran</h3>.*?<tbody>(.*?)</tbody>", text, re.S)
    found = re.findall(r"<tr><th[^>]*>(.*?)</th><td>(.*?)</td><td>(.*?)</td></tr>", table)
    assert found == [
        ("ppo", HERE, hunt_sentence(HUNT)),
        ("buy_and_hold", "not recorded", MISSING),
        ("random", "an agent of this package, proven by its tests", MISSING),
    ]
    assert "How every agent ran" not in render(score)
    trusted = render(with_isolation(score, "ppo", "trusted: not checked for leaks"))
    assert 'title="trusted: not checked for leaks" class="badge">‡ trusted</a>' in trusted


@pytest.mark.parametrize(
    ("hunt", "sentence"),
    [
        ({}, ""),
        (
            {"cuts": 8, "retrained": 1, "of": 97},
            "Actions up to 8 cuts were compared under another future; trained again for 1 of 97 "
            "updates.",
        ),
        (
            HUNT,
            "Actions up to 8 cuts among 734 decisions were compared under 2 other futures (garbage "
            "and halted); trained again for 1 of 97 updates.",
        ),
        ({"cuts": 1, "worlds": []}, "Actions up to 1 cut were compared under another future."),
        ({"retrained": 0, "of": 9, "opened": []}, "Not trained again; opened nothing."),
        (
            {"retrained": 4, "of": 4, "rounds": 3, "opened": ["file a", "socket b"]},
            "Trained again for 4 of 4 updates in 3 rolling windows; opened file a and socket b.",
        ),
    ],
)
def test_what_the_search_for_leaks_did_is_one_sentence(hunt: dict[str, Any], sentence: str) -> None:
    assert hunt_sentence(hunt) == sentence


def test_isolation_is_written_and_old_bundles_without_it_are_read(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read(write(with_isolation(score, "ppo", HERE, **HUNT), tmp_path / "run"))
    for held in (found["score"]["rows"][0], found["config"]["agents"][0]):
        assert (held["isolation"], held["hunt"]) == (HERE, HUNT)
    old = {"agent": "ppo", "kind": "learned", "seeds": [0], "note": "", "windows": []}
    assert _verified(monkeypatch, tmp_path / "old", score, rows=[old]).isolation == {}


# Verification


def _verified(
    monkeypatch: pytest.MonkeyPatch, place: Path, score: Score, rows: list[Any] | None = None
) -> Verification:
    """What `verify` says of a bundle of indices, whose prices need no market."""
    held = {
        (row.agent, window.name): window.curves[0] for row in score.rows for window in row.windows
    }
    venue = SimpleNamespace(fingerprint=score.fingerprint)
    monkeypatch.setattr(verification, "_task", lambda config: None)
    monkeypatch.setattr(verification, "open_venue", lambda task: venue)
    monkeypatch.setattr(verification, "index_curve", lambda _, name, at: held[name, at.name])
    bundle = write(replace(score, rows=[row for row in score.rows if row.kind == "index"]), place)
    content = read(bundle)
    content["score"]["rows"] = rows or content["score"]["rows"]
    monkeypatch.setattr("steelyard.evaluation.bundle.read", lambda _: content)
    return verify(bundle)


def _index(score: Score, **facts: Any) -> AgentScore:
    made = score.rows[-1]
    scored = [replace(one, metrics=interval(list(one.curves))) for one in made.windows]
    return replace(made, windows=scored, **facts)


def test_verification_lists_who_has_no_numbers_and_who_was_not_isolated(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = replace(refused("mine", REASON, isolation="own process"), kind="index")
    rows = [gone, _index(score, isolation=HERE)]
    found = _verified(monkeypatch, tmp_path / "run", replace(score, rows=rows))
    assert found.holds
    assert found.unscored == {"mine": REASON}
    assert found.isolation == {"DJIA": HERE}
    assert found.curves == 2
    lines = found.lines()
    assert lines[0] == "2 account curves replayed, 0 differ"
    assert lines[2:4] == [f"mine was not scored: {REASON}.", f"DJIA: {HERE}"]
    assert json.loads(json.dumps(found.to_dict()))["unscored"] == {"mine": REASON}


def test_one_number_that_differs_is_written_in_the_singular() -> None:
    found = Verification("b", "f", True, 1, ["a/t/0"], 1, ["a/t/romad"])
    assert found.lines() == [
        "1 account curve replayed, 1 differs",
        "1 number computed again, 1 differs",
        "differs: a/t/0",
        "differs: a/t/romad",
        "b: DOES NOT HOLD",
    ]


def test_a_curve_that_belongs_to_no_row_is_not_counted_as_replayed(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {"agent": "DJIA", "kind": "index", "seeds": [0], "note": REASON, "windows": []}
    changed = replace(score, rows=[_index(score)])
    found = _verified(monkeypatch, tmp_path / "run", changed, rows=[gone])
    assert found.curves == 0
    assert found.differing == ["DJIA/first/0", "DJIA/second/0"]


def test_a_number_that_json_cannot_hold_is_right_only_if_it_comes_out_as_none() -> None:
    held = {"value": 1.0, "low": float("-inf"), "high": 2.0}
    assert verification._same(held, {"value": 1.0, "low": None, "high": 2.0})
    assert not verification._same(held, {"value": None, "low": None, "high": 2.0})
    assert not verification._same(held, {"value": 1.0, "low": 0.0, "high": 2.0})


def test_names_of_refused_agents_cannot_become_markup_or_steer_the_terminal(score: Score) -> None:
    evil = "<script>alert('x')</script>\x1b[2J"
    gone = refused(evil, evil, isolation=f"not isolated {evil}", hunt={"opened": [evil]})
    changed = replace(score, rows=[*score.rows, gone])
    text = render(changed)
    assert "<script>alert" not in text
    assert "\x1b" not in text + "".join(printed(changed) + verdict(changed))
    Page(text)
