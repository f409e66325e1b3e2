"""An agent that breaks is one line with its step and its fault, and the rows of others stand."""

from dataclasses import replace

import bad_agents
import pytest

from steelyard.agents.answers import as_action
from steelyard.benchmark import evaluate, open_venue
from steelyard.benchmark.rows import Run, score_agent
from steelyard.errors import ContractError
from steelyard.types import Space
from tasks_for_tests import planted

FAULTS = {
    "NeverAnswers": "did not answer within 0.5 s, at decision 3 of 65 (2002-10-03)",
    "SpinsForever": "did not answer within 0.5 s, at decision 3 of 65 (2002-10-03)",
    "RaisesLate": "raised ValueError: no more ideas (bad_agents.py:",
    "NotANumber": "answers with a number that is not finite, at decision 1 of 65 (2002-10-01)",
    "Infinite": "not finite, at decision 1 of 65",
    "OtherShape": "answers with actions of shape (20, 1), not (20,), at decision 1 of 65",
    "OneNumber": "answers with actions of shape (), not (20,)",
    "Ragged": "raised ValueError",
    "Text": "answers with str, not with numbers",
    "Words": "answers with list, not with numbers",
    "Nothing": "answers with NoneType, not with numbers",
    "Objects": "answers with dict, not with numbers",
    "WritesIntoThePast": "raised ValueError: assignment destination is read-only",
    "WritesIntoTheVector": "raised ValueError: output array is read-only",
    "SetsAField": "raised FrozenInstanceError",
    "CallsExit": "called exit(0) (bad_agents.py:",
    "EndsItself": "ended itself with exit code 7, at decision 1 of 65",
    "KillsItself": "was ended by signal 9, at decision 1 of 65",
    "Forks": "forked, at decision 1 of 65",
    "ForksQuietly": "forked, at decision 1 of 65",
    "PrintsAGigabyte": "printed more than 16 MiB, at decision 1 of 65",
    "ClosesStdout": "closed its standard output, at decision 1 of 65",
    "ClosesTheFile": "closed its standard output, at decision 1 of 65",
    "WritesOnTheWire": "its process answered with what is no message",
    "HangsUp": "at decision 1 of 65",
    "RecursesForever": "raised RecursionError",
    "InterruptsItself": "raised KeyboardInterrupt",
    "RaisesInTrain": "failed in training: raised RuntimeError: not today (bad_agents.py:",
    "NoPolicy": "train returned int, not a policy and a log",
    "EmptyPolicy": "its policy has no decide, and no initial_carry or no __call__",
    "SaysProgress": "its process answered with what was not asked for, TypeError",
    "SaysWhatItOpened": "its process answered with what was not asked for, TypeError",
    "SaysNothing": "what was not asked for, KeyError: 'action', at decision 1 of 65",
    "SaysText": "xxxx",
    "SaysAnotherShape": "not asked for, ValueError: 3 actions for 1 accounts, at decision 1 of 65",
    "SaysNoNumber": "answers with a number that is not finite, at decision 1 of 65",
    "SaysItHasLearned": "its process answered with what was not asked for, IndexError",
    "Touchy": "raised KeyError: 'train' (bad_agents.py:",
    "RaisesWhereItIsMade": "cannot be made in a process of its own: raised RuntimeError: not here",
}
SLOW = {"RaisesInTrain", "NoPolicy", "SaysItHasLearned"}
"""These import JAX into a process; one that does is enough for the fast tests."""


@pytest.fixture(scope="module")
def runs():
    run = Run(open_venue(planted()), (0,), limit=0.5)
    return {"searched": run, "trusted": replace(run, trust=True)}


def says_its_fault(name, run):
    row = score_agent(run, name, getattr(bad_agents, name)())
    assert not row.stands
    assert FAULTS[name] in row.note
    assert "\n" not in row.note
    assert len(row.note) < 1_200
    assert "finding" not in row.hunt
    return row


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FAULTS],
)
def test_what_breaks_is_said_in_one_line(name, runs):
    """In one process, without the search for leaks, which asks it a second time."""
    row = says_its_fault(name, runs["trusted"])
    assert row.isolation.startswith("trusted: not checked for leaks") or name == "Touchy"


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_what_breaks_is_no_leak(name, runs):
    says_its_fault(name, runs["searched"])


@pytest.mark.parametrize("name", ["RaisesLate", "SpinsForever", "ForksQuietly"])
def test_some_of_what_breaks_is_no_leak(name, runs):
    says_its_fault(name, runs["searched"])


def test_every_bad_agent_is_tried():
    made = {name for name, one in vars(bad_agents).items() if isinstance(one, type)}
    assert made - {"Steady"} == set(FAULTS)


def test_the_rows_of_others_stand_beside_one_that_breaks():
    agents = [bad_agents.RaisesLate(), bad_agents.Steady(), "hold_cash"]
    score = evaluate(planted(), agents, seeds=(0,))
    assert [row.stands for row in score.rows] == [False, True, True]
    assert [row.agent for row in score.rows] == ["RaisesLate", "Steady", "hold_cash"]
    assert "decision 41 of 65" in score.rows[0].note


@pytest.mark.parametrize("answer", [-1, 3, 1.5, float("nan"), [0, 1], "2", None])
def test_a_choice_that_is_none_is_refused(answer):
    with pytest.raises(ContractError, match=r"choice|numbers|shape|finite") as error:
        as_action(answer, Space(choices=3, idle=1))
    assert "\n" not in error.value.message
    assert error.value.hint
