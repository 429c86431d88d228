import pytest
from tests.workflows.tell.facts import STAGES, facts

from freehold.types.journey import JourneyStage
from freehold.workflows.tell.journey_steps import NOW_AT, journey_steps


def steps(stage, **changed):
    return {one.name: one for one in journey_steps(facts(**{**STAGES[stage], **changed}), stage)}


def test_each_stage_but_a_broken_store_is_at_a_step():
    assert set(NOW_AT) == set(STAGES) - {"broken"}
    assert JourneyStage is not None


@pytest.mark.parametrize(
    ("stage", "name", "detail"),
    [
        ("fresh", "name", "no freehold.toml"),
        ("named", "name", "rented-1"),
        ("imported", "capture", "1,200 traces"),
        ("built", "dataset", "906 to learn from, 246 held out"),
        ("built", "freeze", "none recorded beside those of the log"),
        ("frozen", "freeze", "246 answers kept"),
        ("measured", "prove", "1 model trained, 1 evaluation"),
        ("hold", "decide", "hold"),
        ("promote_in_part", "decide", "promote, with the incumbent for the rest"),
        ("canary", "shift", "canary at 10%"),
        ("rolled_back", "shift", "rolled back"),
        ("promoted", "keep", "not checked yet"),
    ],
)
def test_a_step_says_what_is_known_of_it(stage, name, detail):
    assert steps(stage)[name].detail == detail


def test_a_verdict_that_does_not_promote_and_a_rollback_are_not_done():
    assert steps("hold")["decide"].state == steps("reject")["decide"].state == "failed"
    assert steps("rolled_back")["shift"].state == "failed"
    assert steps("promoted")["shift"].state == "done"
