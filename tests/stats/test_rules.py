import pytest
from tests.stats.conftest import counted, run

from freehold.errors import UsageError
from freehold.stats.rules import DecisionRule, Evidence, decide
from freehold.verdict.reasons import REASONS


def test_reject_needs_proof_of_harm_beyond_the_margin():
    shown = run(counted(both=350, wins=2, losses=40, neither=8), margin=0.05)
    assert (shown.verdict, shown.reasons) == ("reject", ("worse_than_margin",))
    measurable = run(counted(both=1465, wins=5, losses=30), margin=0.02)
    assert measurable.verdict == "hold"
    assert measurable.reasons == ("measurably_worse_margin_not_excluded",)


def test_superior_and_inside_the_margin_are_told_apart():
    assert run(counted(both=420, wins=60, losses=20), margin=0.02).reasons == ("superior",)
    worse = run(counted(both=4950, wins=5, losses=45), margin=0.02)
    assert (worse.verdict, worse.reasons) == ("promote", ("noninferior_but_measurably_worse",))


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, float("nan")])
def test_a_margin_outside_the_range_is_refused(margin):
    with pytest.raises(UsageError, match="margin"):
        run(counted(both=10), margin=margin)


def evidence(lower, upper, **more):
    return Evidence(**{"n": 100, "rule": DecisionRule(margin=0.05), "lower": lower, "upper": upper, **more})


@pytest.mark.parametrize(
    ("seen", "outcome", "reasons"),
    [
        (evidence(0.01, 0.1), "promote", ("superior",)),
        (evidence(-0.04, 0.1), "promote", ("noninferior",)),
        (evidence(-0.04, -0.01), "promote", ("noninferior_but_measurably_worse",)),
        (evidence(-0.05, 0.1), "hold", ("interval_spans_margin",)),
        (evidence(-0.06, -0.01), "hold", ("measurably_worse_margin_not_excluded",)),
        (evidence(-0.2, -0.06), "reject", ("worse_than_margin",)),
        (evidence(-0.2, -0.05), "hold", ("measurably_worse_margin_not_excluded",)),
        (evidence(-0.2, -0.06, p_exact_reject=0.03), "hold", ("measurably_worse_margin_not_excluded",)),
        (
            evidence(-0.2, -0.06, enough_to_reject=False),
            "hold",
            ("measurably_worse_margin_not_excluded",),
        ),
        (evidence(-0.04, 0.1, p_exact_promote=0.03), "hold", ("exact_test_not_passed",)),
        (evidence(-0.04, 0.1, p_rare_loss=0.03), "hold", ("rare_losses_could_hide_harm",)),
        (evidence(-0.04, 0.1, enough_to_promote=False), "hold", ("too_few_pairs",)),
        (evidence(-0.04, 0.1, lost_harmless=False), "hold", ("unscored_pairs_could_hide_harm",)),
        (evidence(-0.04, 0.1, vetoes=("slice_harm",)), "hold", ("slice_harm",)),
        (evidence(-0.2, -0.06, vetoes=("slice_harm",)), "reject", ("worse_than_margin",)),
        (evidence(-0.2, -0.06, blocks=("judge_inconsistent",)), "hold", None),
        (
            evidence(-0.3, -0.06, unmeasured=1.0),
            "hold",
            ("noise_could_explain_it", "measurably_worse_margin_not_excluded"),
        ),
        (evidence(-0.4, -0.26, unmeasured=1.0), "reject", ("worse_than_margin",)),
        (evidence(-0.3, -0.16, unmeasured=0.5), "reject", ("worse_than_margin",)),
        (evidence(-0.04, 0.1, unmeasured=1.0), "promote", ("noninferior",)),
        (evidence(None, None), "hold", ("too_few_pairs",)),
        (evidence(None, None, n=0), "hold", ("no_scored_pairs",)),
    ],
)
def test_the_decision_table(seen, outcome, reasons):
    decision = decide(seen)
    assert decision.outcome == outcome
    assert set(decision.reasons) <= set(REASONS)
    assert reasons is None or decision.reasons == reasons


def test_a_slice_may_drop_further_than_the_whole_unless_the_rule_says_otherwise():
    assert DecisionRule(margin=0.02).harm_margin == 0.05
    assert DecisionRule(margin=0.04).harm_margin == 0.08
    assert DecisionRule(margin=0.1, lo=-1.0).harm_margin == pytest.approx(0.2)
    assert DecisionRule(margin=0.02, slice_margin=0.3).harm_margin == 0.3


def test_an_alpha_that_proves_nothing_is_refused():
    for alpha in (0.0, 0.5, float("nan")):
        with pytest.raises(UsageError, match="alpha"):
            DecisionRule(margin=0.02, alpha=alpha)
