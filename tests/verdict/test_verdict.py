import re
from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec
import pytest
from tests.stats.conftest import counted
from tests.stats.conftest import run as compared

from freehold.stats.compare import SETTLED_BY_ITEMS, compare_scores
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import Comparison
from freehold.types.license import Obligation, Ruling, RulingReason
from freehold.types.machine import Fit, Workload
from freehold.types.verdict import CheckResult, EvidenceBasis, EvidencePart, Reason, Verdict
from freehold.verdict import join
from freehold.verdict.aging import CHANGED, NOT_KEPT, PARTS_OF, evidence_ages
from freehold.verdict.reasons import REASONS, WAYS_OUT, noted


def comparison(losses=0, n=1000):
    ids = [str(i) for i in range(n)]
    result = compare_scores(ids, [1.0] * n, [0.0] * losses + [1.0] * (n - losses), DecisionRule(margin=0.02))
    return Comparison.of(result, id="comparison", task="t", incumbent="gpt", candidate="open")


def ruling(outcome, obligations=()):
    reason = RulingReason(
        code="R1", license_id="x", section="2", text="Section 2 says so.", confidence="high"
    )
    return Ruling(
        id="ruling",
        model="open",
        outcome=outcome,
        reasons=(reason,),
        obligations=obligations,
        licenses=("x",),
    )


def fit(fits):
    return Fit(
        id="fit",
        model="open",
        quantization="q4_k_m",
        machine="laptop",
        workload=Workload(),
        parts=(),
        total_bytes=8 << 30,
        available_bytes=(16 if fits else 4) << 30,
        headroom_bytes=(8 if fits else -4) << 30,
        fits=fits,
        reasons=(),
    )


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        ("allowed", "promote"),
        ("allowed_with_obligations", "promote"),
        ("not_allowed", "reject"),
        ("needs_separate_license", "hold"),
        ("unclear", "hold"),
    ],
)
def test_the_ruling_can_only_make_it_worse(outcome, verdict):
    joined = join(comparison(), ruling=ruling(outcome))
    assert joined.outcome == verdict
    assert joined.quality == "promote"
    assert f"license_{outcome}" in {reason.code for reason in joined.reasons}
    rejected = join(comparison(losses=200), ruling=ruling(outcome))
    assert rejected.outcome == "reject"


def test_no_ruling_is_never_a_yes():
    joined = join(comparison(), ruling=None)
    assert joined.outcome == "hold"
    assert joined.reasons[0].code == "license_not_ruled"


def test_obligations_and_missing_licences_become_conditions():
    obligation = Obligation(key="notice", license_id="x", section="1", text="Show the notice.")
    joined = join(comparison(), ruling=ruling("allowed_with_obligations", (obligation,)))
    assert joined.conditions == ("Show the notice. (x, 1)",)
    assert "separate licence" in join(comparison(), ruling=ruling("needs_separate_license")).conditions[0]


def test_a_verdict_is_told_in_points_as_its_margin_is():
    (first, *_) = join(comparison(losses=200), ruling=ruling("allowed")).reasons
    assert re.match(
        r"Difference −\d+\.\d\d points, 95% interval \[−\d+\.\d\d, −\d+\.\d\d\], margin 2, \d+ pairs\.",
        first.text,
    ), first.text


def test_a_model_that_does_not_fit_holds_with_its_numbers():
    joined = join(comparison(), ruling=ruling("allowed"), fit=fit(False))
    assert joined.outcome == "hold"
    assert "needs 8.0 GiB, machine has 4.0 GiB" in joined.reasons[0].text
    assert join(comparison(), ruling=ruling("allowed"), fit=fit(True)).outcome == "promote"


def test_findings_hold_except_cost():
    dear = CheckResult(kind="cost", ok=False, text="Costs 20 % more.", record_id="cost")
    other = CheckResult(kind="parity", ok=False, text="Server and trainer disagree.", record_id="parity")
    assert join(comparison(), ruling=ruling("allowed"), checks=[dear]).outcome == "promote"
    joined = join(comparison(), ruling=ruling("allowed"), checks=[dear, other])
    assert joined.outcome == "hold"
    assert joined.reasons[0].code == "parity_not_ok"
    assert joined.made_from == ("comparison", "ruling", "cost", "parity")


def test_the_most_severe_reason_comes_first_and_sets_the_exit_code():
    joined = join(comparison(losses=200), ruling=ruling("unclear"), fit=fit(False))
    assert [reason.effect for reason in joined.reasons] == ["reject", "hold", "hold"]
    assert (joined.outcome, joined.exit_code) == ("reject", 1)
    assert joined.reasons[0].code == "worse_than_margin"
    assert joined.reasons[0].record_id == "comparison"


def test_the_same_inputs_give_the_same_id():
    one, two = (join(comparison(), ruling=ruling("allowed")) for _ in range(2))
    assert one.id == two.id
    assert one.id != join(comparison(), ruling=ruling("unclear")).id


def test_the_level_of_an_interval_is_said_as_it_is():
    """Looks that share alpha have 97.5 % and 99.5 %: rounded they were more than was computed."""
    for level, said in ((0.95, "95% interval"), (0.975, "97.5% interval"), (0.998, "99.8% interval")):
        told = msgspec.structs.replace(comparison(), level=level)
        assert said in join(told, ruling=ruling("allowed")).reasons[0].text


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


def run(*pairs, **options):
    return noted(compared(*pairs, **options))


def test_self_noise_gives_the_power_ceiling():
    result = run(counted(both=190, wins=5, losses=5), margin=0.02, self_noise=0.2)
    assert result.power_ceiling < 0.2
    assert any("against itself" in note for note in result.notes)


def test_the_deciding_reason_comes_before_everything_but_uneven_gaps():
    notes = run(counted(both=40)).notes
    assert notes[0].startswith("The interval reaches below minus the margin")
    assert "Items treated as independent: no group was declared that holds two of them." in notes
    uneven = run(counted(both=40) + [(1.0, None)] * 12).notes
    assert uneven[0].startswith("Unscored items fall unevenly")
    assert uneven[2].startswith("12 of 52 pairs are unscored")


def test_nothing_scored_has_nothing_more_to_say():
    assert run([(None, 1.0)]).notes[-1].startswith("No number can be computed")
    assert len(run([(None, 1.0)]).notes) == 2


def test_a_hold_says_how_many_pairs_would_settle_it():
    result = run(counted(both=90, wins=3, losses=3), margin=0.05)
    assert result.verdict == "hold"
    (asked,) = [note for note in result.notes if "would settle it" in note]
    assert asked.startswith(f"About {result.needed_n} held-out items ({result.needed_n - 96} more)")
    assert asked.endswith("They are for the proof; training samples do not count.")


HELD = {
    "too few": (counted(both=90, wins=3, losses=3), {}),
    "a little behind": (counted(both=180, wins=3, losses=9), {}),
    "measurably worse": (counted(both=380, losses=16), {}),
    "as far behind as the margin": (counted(both=60, losses=40), {"margin": 0.35}),
    "looked at before": (counted(both=990, wins=5, losses=5), {"looks": 2}),
    "looked at before, and too few": (counted(both=90, wins=3, losses=3), {"looks": 2}),
    "looked at before, and behind": (counted(both=180, wins=3, losses=15), {"looks": 2, "margin": 0.055}),
    "unscored": (counted(both=290, wins=5, losses=5) + [(1.0, None)] * 30, {}),
    "harmed slice": (
        counted(both=960, losses=40),
        {"margin": 0.08, "slices": {"language": ["de" if i >= 900 else "en" for i in range(1000)]}},
    ),
    "one large cluster": (
        counted(both=400),
        {"clusters": ["big" if i < 120 else str(i) for i in range(400)], "whole_units": True},
    ),
    "margin above the incumbent": (counted(both=2, neither=98), {"margin": 0.05}),
    "few clusters": (counted(both=190, losses=10), {"clusters": [str(i // 5) for i in range(200)]}),
    "not binary": ([(0.5, 0.5 + 0.1 * (i % 3 - 1)) for i in range(40)], {"margin": 0.01}),
    "not binary, and behind": ([(0.5, 0.3 + 0.1 * (i % 3 - 1)) for i in range(8)], {"margin": 0.19}),
}


@pytest.mark.parametrize("case", HELD)
def test_no_text_says_two_things_at_once(case):
    """ "More items will probably not help" had been followed by how many would settle it."""
    pairs, options = HELD[case]
    result = run(pairs, **options)
    assert result.verdict == "hold", result.reasons
    text = "\n".join(result.notes)
    settled, hopeless = "would settle it" in text, "will probably not help" in text
    others = [reason for reason in result.reasons if reason in WAYS_OUT]
    assert settled + hopeless + bool(others) <= 1, text
    assert settled == (result.needed_n is not None), "the table of numbers and the sentences say the same"
    assert all(WAYS_OUT[reason] in text for reason in others), "each obstacle has a way out"
    if settled:
        assert result.needed_n > result.n
    for note in result.notes:
        if " more" in note and ("settle" in note or "help" in note):
            assert "held-out items" in note and "training samples" in note


def test_each_obstacle_is_settled_by_items_or_has_another_way_out():
    decided = {"superior", "noninferior", "noninferior_but_measurably_worse", "worse_than_margin"}
    assert SETTLED_BY_ITEMS | set(WAYS_OUT) | decided == set(REASONS)
    assert not SETTLED_BY_ITEMS & set(WAYS_OUT)


def test_a_margin_wider_than_the_incumbents_errors_is_pointed_out():
    result = run(counted(both=990, neither=10), margin=0.05)
    assert result.error_ratio == pytest.approx((0.01 + 0.05) / 0.01)
    assert any("allows 6.0 times the incumbent's errors" in note for note in result.notes)
    perfect = run(counted(both=100))
    assert perfect.error_ratio is None
    assert any("right on every item" in note for note in perfect.notes)


def test_clusters_are_named_with_what_ignoring_them_would_give():
    result = run(counted(both=190, losses=10), clusters=[str(i // 5) for i in range(200)])
    assert "200 pairs in 40 clusters: the clusters are the independent units." in result.notes
    assert any(note.startswith("Treating the items as independent would give [") for note in result.notes)
