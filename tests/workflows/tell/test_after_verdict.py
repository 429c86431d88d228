import pytest
from tests.workflows.tell.facts import verdict

from freehold.stats.rules import REASONS
from freehold.workflows.tell.after_verdict import WAYS, after_verdict

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


@pytest.mark.parametrize("code", WAYS)
def test_a_way_is_a_sentence_a_command_and_the_reason(code):
    found = after_verdict(verdict("hold", codes=(code,), texts=("Because of this.",)))
    assert found.command.startswith("freehold ") and "{" not in found.command
    assert found.why == REASONS.get(code, "Because of this")
    assert found.command not in {one.command for one in found.others}


def test_the_worst_reason_decides_and_the_next_ones_are_other_ways():
    found = after_verdict(
        verdict(
            "reject", codes=("license_not_allowed", "worse_than_margin", "does_not_fit"), texts=("No.",) * 3
        )
    )
    assert found.sentence == "Choose a model whose licence allows this use"
    assert "freehold quants pub/base" in [one.command for one in found.others]


def test_the_name_of_a_model_cannot_leave_its_place_in_a_command():
    hostile = verdict("hold", codes=("license_unclear",), texts=("x",), model="x; rm -rf ~ #")
    assert after_verdict(hostile).command == "freehold license 'x; rm -rf ~ #'"


def test_a_code_of_a_later_version_leads_to_the_report():
    found = after_verdict(verdict("hold", codes=("moon_phase",), texts=("The moon is full.",)))
    assert found.command == "freehold report --open" and found.why == "The moon is full"
    assert after_verdict(verdict("hold")).why == "the verdict is hold"
