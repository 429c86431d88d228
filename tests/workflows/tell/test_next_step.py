"""At each stage there is a next step, and a way on from each verdict."""

from datetime import timedelta

import pytest
from tests.workflows.tell.facts import AT, SOON, STAGES, check_command, facts, rollout, verdict

from freehold.types.cost import Ending
from freehold.types.verdict import EvidenceAge
from freehold.verdict.reasons import REASONS
from freehold.workflows.tell.after_verdict import WAYS, after_verdict
from freehold.workflows.tell.next_step import journey_state, journey_steps

COMMAND_OF = {
    "broken": "freehold doctor",
    "fresh": "freehold init LOG",
    "named": "freehold import FILE",
    "imported": "freehold dataset build",
    "built": "freehold migrate",
    "frozen": "freehold migrate",
    "measured": "freehold migrate",
    "promote": "freehold up --capture patterns",
    "promote_in_part": "freehold up --capture patterns",
    "hold": "freehold import FILE --held-out",
    "reject": "freehold assess --write 3",
    "shadow": "freehold rollout advance",
    "canary": "freehold rollout advance",
    "paused": "freehold rollout advance",
    "promoted": "freehold watch --once",
    "rolled_back": "freehold audit --last 20",
}
STALE = EvidenceAge(
    gate="quality", record_id="c" * 32, made_at=AT, days=100, max_age_days=90,
    stale=("the adapter is another one",), renew="freehold migrate",
)  # fmt: skip


def state(stage, **changed):
    return journey_state(facts(**{**STAGES[stage], **changed}))


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_sentence_a_command_and_a_reason(stage):
    found = state(stage)
    assert found.stage == stage
    assert found.next.command == COMMAND_OF[stage]
    assert found.sentence.endswith(".") and found.next.sentence and found.next.why
    assert not found.next.sentence.endswith(".")


@pytest.mark.parametrize("stage", STAGES)
def test_every_command_that_is_named_exists_and_takes_its_options(stage):
    found = state(stage)
    commands = [found.next.command, *(one.command for one in (*found.next.others, *found.steps))]
    for line in commands:
        check_command(line)


def ends(day):
    return Ending(model="rented-1", shutdown=day, replacement="rented-2")


ENDS = ends(SOON)
NAMED = "; its maker names rented-2 in its place."


def test_a_promotion_whose_fallback_ends_says_the_day_and_what_comes_then():
    late = ends(SOON + timedelta(days=365))
    promoted = {"verdict": verdict(fallback="rented-1"), "ending": late}
    for stage in ("promote_in_part", "promoted", "canary"):
        (line,) = [one for one in state(stage, **promoted).warnings if "the rest" in one]
        assert (
            line.startswith(f"rented-1 answers the rest until {late.shutdown}; after that")
            and "rented-2" in line
        )
    assert not state("rolled_back", **promoted).warnings
    assert not state("promote", ending=late).warnings
    assert not state("promote_in_part", **promoted | {"verdict": verdict(fallback="own-70b")}).warnings


def test_an_incumbent_that_ends_soon_is_asked_first_and_its_end_is_a_warning_at_every_stage():
    assert state("built", ending=ENDS).next.command == "freehold freeze"
    assert "2026-12-20" in state("built", ending=ENDS).next.why
    assert state("frozen", ending=ENDS).next.command == "freehold migrate"
    assert state("built", ending=ENDS, can_ask_incumbent=False).next.command == "freehold migrate"
    assert state("built", ending=ends(AT.date() - timedelta(days=1))).next.command == "freehold migrate"
    for stage in STAGES:
        if stage not in ("broken", "fresh"):
            found = state(stage, ending=ENDS)
            assert found.days_left == 21
            assert found.warnings[0] == f"rented-1 is shut down on 2026-12-20, in 21 days{NAMED}"
    gone = state("built", ending=ends(AT.date() - timedelta(days=3)))
    assert gone.warnings == (f"rented-1 was shut down on 2026-11-26, 3 days ago{NAMED}",)


def test_candidates_that_nothing_was_compared_with_need_answers_of_the_incumbent():
    alone = {"frozen": 0, "compared": False}
    assert state("measured", **alone).next.command == "freehold freeze"
    found = state("measured", **alone, can_ask_incumbent=False).next
    assert found.command == "freehold import FILE" and "no answer of rented-1" in found.why
    assert [one.command for one in found.others] == ["freehold freeze"]
    assert (
        state("measured", **alone, incumbent=None, can_ask_incumbent=False).next.command == "freehold migrate"
    )


def test_a_promoting_verdict_begins_a_rollout_once_a_gateway_runs():
    found = state("promote", gateway_runs=True)
    assert found.next.command == "freehold rollout start"
    with_duties = state("promote", gateway_runs=True, verdict=verdict(conditions=2))
    assert any("license comply" in one.command for one in with_duties.next.others)


@pytest.mark.parametrize("stage", ["promote", "shadow", "canary"])
def test_stale_evidence_is_renewed_before_traffic_moves_on(stage):
    found = state(stage, gateway_runs=True, evidence=(STALE,))
    assert found.next.command == "freehold migrate"
    assert found.next.why == "the adapter is another one"
    assert [one.state for one in found.steps if one.name == "decide"] == ["stale"]
    assert "no longer holds" in found.warnings[-1]


def test_a_rollout_waits_for_its_tests_a_gateway_and_trouble():
    waiting = state("canary", rollout=rollout("canary", missing=("12 of 50 independent users seen",)))
    assert waiting.next.command == "freehold rollout status --follow 10"
    assert waiting.next.why == "12 of 50 independent users seen"
    assert state("canary", gateway_runs=False).next.command == "freehold up --capture patterns"
    trouble = state("canary", rollout=rollout("canary", trouble="the candidate fails"))
    assert trouble.next.why == "the candidate fails" and "the candidate fails" in trouble.warnings
    last = state("canary", rollout=rollout("canary", is_last_share=True))
    assert last.next.command == "freehold rollout promote"
    for one in (waiting, trouble, last):
        assert any("rollback" in other.command for other in one.next.others)


def steps(stage, **changed):
    return {one.name: one for one in journey_steps(facts(**{**STAGES[stage], **changed}), stage)}


def test_a_promoted_candidate_is_watched_and_a_rollback_is_not_done():
    quiet = {"watched_at": AT, "watch_due": AT + timedelta(days=7)}
    assert state("promoted", **quiet).next.sentence == "Nothing has to be done now"
    assert state("promoted", **{**quiet, "watch_due": AT}).next.command == "freehold watch --once"
    alarmed = state("promoted", **quiet, watch_alarm="the check alarmed")
    assert alarmed.next.why == "the check alarmed" and alarmed.steps[-1].state == "failed"
    better = state("promoted", rollout=rollout("promoted", verdict_is_newer=True))
    assert better.stage == "promoted"
    assert any(one.command == "freehold rollout start" for one in better.next.others)
    assert steps("hold")["decide"].state == steps("reject")["decide"].state == "failed"
    assert steps("rolled_back")["shift"].state == "failed"
    assert steps("promoted")["shift"].state == "done"


PROMOTING = {"superior", "noninferior", "noninferior_but_measurably_worse"}


def test_every_reason_that_speaks_against_a_candidate_has_a_way_on():
    assert set(REASONS) - PROMOTING <= set(WAYS)
    for code in (
        "license_not_allowed",
        "license_unclear",
        "does_not_fit",
        "parity_not_ok",
        "retained_not_ok",
    ):
        assert code in WAYS


def test_the_worst_reason_decides_and_a_models_name_stays_in_its_place():
    found = after_verdict(
        verdict(
            "reject", codes=("license_not_allowed", "worse_than_margin", "does_not_fit"), texts=("No.",) * 3
        )
    )
    assert found.sentence == "Choose a model whose licence allows this use"
    assert "freehold fit pub/base --quants" in [one.command for one in found.others]
    hostile = verdict("hold", codes=("license_unclear",), texts=("x",), model="x; rm -rf ~ #")
    assert after_verdict(hostile).command == "freehold license 'x; rm -rf ~ #'"
