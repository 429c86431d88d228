import re

import msgspec
import pytest

from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import Comparison
from freehold.types.license import Obligation, Ruling, RulingReason
from freehold.types.machine import Fit, Workload
from freehold.types.verdict import CheckResult
from freehold.verdict import join


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
