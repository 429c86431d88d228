from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from freehold.types.verdict import EvidenceBasis, EvidencePart, Reason, Verdict
from freehold.verdict.aging import CHANGED, NOT_KEPT, PARTS_OF, evidence_ages

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
PARTS = {part: f"{part}-1" for part in get_args(EvidencePart)}


def verdict(days=10.0, **changed):
    made = AT - timedelta(days=days)
    basis = EvidenceBasis(
        parts=PARTS, models=("m",), made_at={"quality": made, "parity": made, "license": made}
    )
    reasons = (
        Reason(code="noninferior", text="x", record_id="c" * 32, effect="promote"),
        Reason(code="license_allowed", text="x", record_id="a" * 32),
        Reason(code="parity_ok", text="x", record_id="p" * 32),
    )
    return Verdict(
        **{
            "id": "8" * 32, "outcome": "promote", "candidate": "m:app", "incumbent": "i", "reasons": reasons,
            "made_from": ("c" * 32, "a" * 32, "p" * 32), "evidence": basis, **changed,
        }
    )  # fmt: skip


def ages(one, now=PARTS, most=90.0):
    return {age.gate: age for age in evidence_ages(one, now, at=AT, max_age_days=most)}


def test_every_part_can_make_a_gate_stale_and_has_a_sentence():
    assert (
        set(CHANGED) == set(get_args(EvidencePart)) == {part for parts in PARTS_OF.values() for part in parts}
    )


def test_what_has_not_changed_and_is_young_holds():
    found = ages(verdict())
    assert {gate: (age.days, age.stale, age.record_id[0]) for gate, age in found.items()} == {
        "quality": (10, (), "c"), "parity": (10, (), "p"), "license": (10, (), "a"),
    }  # fmt: skip


@pytest.mark.parametrize("part", get_args(EvidencePart))
def test_a_changed_part_makes_its_gates_stale_at_once(part):
    found = ages(verdict(0), {**PARTS, part: "another"})
    for gate, age in found.items():
        assert age.stale == ((CHANGED[part],) if part in PARTS_OF[gate] else ()), gate


@pytest.mark.parametrize(("days", "stale"), [(89.9, False), (90, False), (90.1, True), (4000, True)])
def test_quality_grows_too_old_and_what_only_a_change_can_break_does_not(days, stale):
    found = ages(verdict(days))
    assert bool(found["quality"].stale) == stale
    assert not found["parity"].stale and not found["license"].stale
    assert (found["quality"].max_age_days, found["license"].max_age_days) == (90, None)
    if stale:
        assert found["quality"].stale == (f"it is {int(days)} days old, and holds for 90",)


def test_what_is_not_known_now_is_not_compared():
    assert not any(one.stale for one in evidence_ages(verdict(), {}, at=AT, max_age_days=90))


def test_a_verdict_of_an_earlier_version_does_not_hold():
    found = ages(verdict(evidence=None))
    assert found["quality"].stale == (NOT_KEPT,) and found["quality"].days is None


def test_a_time_still_to_come_and_one_that_is_missing_do_not_hold():
    assert "a clock was wrong" in ages(verdict(-3))["quality"].stale[0]
    assert ages(verdict(-0.5))["quality"].stale == (), "clocks of two machines differ a little"
    nothing = verdict(evidence=EvidenceBasis(parts=PARTS))
    assert ages(nothing)["quality"].stale == ("when it was measured is not known",)
    assert ages(nothing)["license"].stale == ()


def test_of_a_mixture_the_mixture_is_the_evidence():
    assert ages(verdict(mixture_id="d" * 32))["quality"].record_id == "d" * 32
