"""What follows from a use and a lineage before any rule looks at them."""

import pytest

from freehold.licensing.figures import read
from freehold.licensing.situation import Ancestor, Situation
from freehold.licensing.words import begins_with, business_tags, change_tags, compatible, domain_tags, inside
from freehold.types.license import License, Limit, Lineage, LineageEdge, OutputsClause, Release
from freehold.types.use import UseProfile


def license(*clauses):
    return License(
        id="ex",
        name="Example",
        licensor="Example",
        date="2024",
        source="test",
        confidence="text",
        clauses=clauses,
    )


def release(**fields):
    return Release(models=("m",), license="ex", confidence="text", source="test", **fields)


LICENSE = license()


def situation(*ancestors, **use):
    edges = tuple(one.edge for one in ancestors)
    return Situation(UseProfile(**use), Lineage(model="ours", edges=edges), ancestors)


def ancestor(kind, license=LICENSE, release=None):
    licenses = () if license is None else (license,)
    return Ancestor(LineageEdge(kind=kind, model=f"org/{kind}"), licenses, release, own=license is None)


@pytest.mark.parametrize(
    ("use", "mode"),
    [
        ({}, "internal"),
        ({"serves_third_parties": True}, "hosted_service"),
        ({"serves_third_parties": True, "distributes_weights": True}, "distribute_weights"),
        ({"mode": "personal", "distributes_weights": True}, "personal"),
    ],
)
def test_the_mode_is_the_one_stated_or_the_widest_implied(use, mode):
    assert situation(ancestor("base"), **use).mode == mode


@pytest.mark.parametrize(
    ("use", "events"),
    [
        ({"mode": "internal"}, set()),
        ({"mode": "hosted_service"}, {"hosting"}),
        ({"mode": "distribute_weights"}, {"copies"}),
        ({"mode": "embedded_product"}, {"copies", "embedded"}),
        ({"mode": "embedded_product", "weights": "server side"}, {"hosting"}),
        ({"mode": "outputs_in_product"}, {"outputs"}),
        ({"mode": "train_other_model", "then": "hosted_service"}, {"hosting"}),
        (
            {"mode": "internal", "distributes_weights": True, "serves_third_parties": True},
            {"copies", "hosting"},
        ),
    ],
)
def test_what_reaches_third_parties(use, events):
    assert situation(ancestor("base"), **use).events == events


def test_weights_are_changed_by_a_step_a_merged_release_or_a_student():
    base = ancestor("base")
    assert not situation(base).changed
    for kind in ("fine_tune", "adapter", "merge", "quantize", "surgery"):
        assert situation(base, ancestor(kind, None)).changed_openly
    student = situation(base, ancestor("distilled_from"))
    assert (student.changed, student.changed_openly) == (True, False)
    assert situation(base, modification="guardrails removed").changed_openly


def test_a_model_named_alone_in_training_another_is_the_teacher():
    alone = situation(ancestor("base"), mode="train_other_model")
    assert alone.bare_teacher
    assert [layer.relation for layer in alone.layers] == ["teacher"]
    known = situation(ancestor("base"), ancestor("fine_tune", None), mode="train_other_model")
    assert not known.bare_teacher
    assert [layer.relation for layer in known.layers] == ["weights"]


def test_an_adapter_is_delivered_alone_unless_a_later_step_makes_whole_weights():
    base, adapter = ancestor("base"), ancestor("adapter", None)
    assert situation(base, adapter, mode="distribute_weights").adapter_only
    assert not situation(base, adapter, ancestor("merge", None), mode="distribute_weights").adapter_only
    assert not situation(base, adapter, mode="internal").adapter_only
    assert situation(base, mode="internal", weights="adapter_only").adapter_only


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        ({"purpose": "intent classification"}, "classifier"),
        ({"purpose": "a chat assistant"}, "assistant"),
        ({"purpose": "intent classification", "competes_with_licensor": True}, "assistant"),
        ({"purpose": "poetry"}, "unknown"),
    ],
)
def test_what_a_student_is_for(use, kind):
    assert situation(ancestor("base"), **use).student_kind == kind


def test_a_student_of_a_licence_that_reaches_students_is_a_derivative_unless_it_only_labels():
    reaching = license(OutputsClause(section="1", text="students too", student="similar"))
    ancestors = ancestor("base", None), ancestor("distilled_from", reaching)
    use = {"mode": "hosted_service"}
    (similar,) = situation(*ancestors, purpose="a chat assistant", **use).layers
    assert (similar.derivative, similar.events) == (True, {"hosting"})
    (labels,) = situation(*ancestors, purpose="classifier", **use).layers
    assert (labels.derivative, labels.events, labels.student_events) == (False, set(), {"hosting"})


@pytest.mark.parametrize(
    ("use", "purposes"),
    [
        ({}, set()),
        ({"commercial": True, "purpose": "proof_of_concept"}, {"commercial", "proof_of_concept"}),
        ({"commercial": False}, {"non_commercial"}),
        ({"nonprofit": True}, {"non_commercial"}),
        ({"mode": "personal"}, {"personal"}),
        ({"mode": "research", "commercial": True}, {"research", "commercial"}),
    ],
)
def test_purposes_in_the_words_of_licences(use, purposes):
    assert situation(ancestor("base"), **use).purposes == purposes


def test_answers_of_an_open_model_in_a_data_set_make_it_a_teacher():
    kinds = [
        situation(ancestor("base", None), ancestor("trained_on", release=known)).layers[0].relation
        for known in (release(), release(kind="data"), None)
    ]
    assert kinds == ["teacher", "data", "data"]


@pytest.mark.parametrize(
    ("name", "prefix", "holds"),
    [
        ("Llama-Acme-8B", "Llama", True),
        ("acme/Llama-Acme-8B", "Llama", True),
        ("llama-3-acme", "Llama 3", True),
        ("Llama-Acme-8B", "Llama 3", False),
        ("Acme-Llama", "Llama", False),
        ("K-EXAONE-7B", "EXAONE", False),
        ("HyperCLOVA-X-Acme", "HyperCLOVA X", True),
    ],
)
def test_a_name_begins_with_the_word_whatever_the_separators(name, prefix, holds):
    assert begins_with(name, prefix) is holds


def test_one_name_can_satisfy_llama_3_and_llama_but_not_llama_and_exaone():
    assert compatible("Llama 3", "Llama")
    assert not compatible("Llama", "EXAONE")


@pytest.mark.parametrize(
    ("place", "regions", "holds"),
    [
        ("DE", ("EU",), True),
        ("Germany", ("EU",), True),
        ("DE-BY", ("EU",), True),
        ("EU", ("EU",), True),
        ("GB", ("EU",), False),
        ("UK", ("GB",), True),
        ("global", ("EU",), True),
        ("South Korea", ("KR",), True),
        ("US-CA", ("EU",), False),
        ("CH", ("EU",), False),
    ],
)
def test_a_place_touches_a_region(place, regions, holds):
    assert inside(place, regions) is holds


def test_domains_changes_and_businesses_from_words():
    assert domain_tags("military") == {"military"}
    assert domain_tags("automated_decision_credit") == {"automated_decision"}
    assert domain_tags("critical_infrastructure_operation") == {"critical_infrastructure"}
    assert domain_tags("gardening") == domain_tags(None) == frozenset()
    assert change_tags("guardrails removed") == {"safeguards"}
    assert change_tags("safety evaluation added") == frozenset()
    assert business_tags("inference API for developers") == {"model_as_a_service"}
    assert business_tags("router for inference APIs") == {"router"}
    assert business_tags("shopping_assistant") == frozenset()


LICENSEE = Limit(metric="mau_licensee", above=100, frozen_at="2025-06-27")
FROZEN = Limit(metric="mau_group", above=700, frozen_at="2024-07-23")


@pytest.mark.parametrize(
    ("limit", "use", "side"),
    [
        (FROZEN, UseProfile(mau_group_month_before_release=700), "below"),
        (FROZEN, UseProfile(mau_group_month_before_release=701), "above"),
        # Grown later, or shrunk: only the month before the release counts.
        (FROZEN, UseProfile(mau_group_month_before_release=1, mau_group_now=900), "below"),
        (FROZEN, UseProfile(mau_group_month_before_release=900, mau_group_now=1), "above"),
        (FROZEN, UseProfile(mau_licensee=50, mau_affiliate=750), "above"),
        (FROZEN, UseProfile(mau_group_now=900), "unclear"),
        (FROZEN, UseProfile(mau_licensee_month_before_release=701), "above"),
        (FROZEN, UseProfile(mau_licensee_month_before_release=1), "unknown"),
        (Limit(metric="mau_group", above=700), UseProfile(mau_licensee=1, mau_group_now=701), "above"),
        (FROZEN, UseProfile(), "unknown"),
        (Limit(metric="mau_product", above=100), UseProfile(mau_product=50, mau_affiliate=900), "below"),
        (Limit(metric="mau_product", above=100), UseProfile(monthly_active_users=101), "above"),
        (Limit(metric="mau_product", above=100), UseProfile(mau_feature=101), "above"),
        (Limit(metric="mau_product", above=100), UseProfile(mau_group_month_before_release=900), "unknown"),
        (LICENSEE, UseProfile(mau_group_month_before_release=101), "above"),
        (LICENSEE, UseProfile(mau_group_month_before_release=101, mau_licensee_month_before_release=99), "below"),
        (Limit(metric="group_revenue", above=10, at="unclear"), UseProfile(annual_revenue_usd=10), "unclear"),
        (Limit(metric="group_revenue", above=10), UseProfile(annual_revenue_usd=6, affiliate_revenue_usd=5), "above"),
        (Limit(metric="group_revenue", above=10), UseProfile(annual_revenue_usd=6, group_revenue_usd=50), "above"),
        (Limit(metric="annual_revenue", above=10), UseProfile(annual_revenue_usd=6, group_revenue_usd=50), "below"),
        (Limit(metric="monthly_revenue", above=20), UseProfile(annual_revenue_usd=252), "above"),
        (Limit(metric="monthly_revenue", above=20), UseProfile(monthly_revenue_usd=20), "below"),
        (Limit(metric="employer_monthly_revenue", above=20), UseProfile(monthly_revenue_usd=90), "unknown"),
        (Limit(metric="annual_recurring_revenue", above=30), UseProfile(annual_recurring_revenue_usd=31), "above"),
        (Limit(metric="dau", above=100, at="outside"), UseProfile(dau=100), "above"),
        (Limit(metric="dau", above=100, at="outside"), UseProfile(monthly_active_users=50), "below"),
    ],
)  # fmt: skip
def test_which_side_of_the_line(limit, use, side):
    assert read(limit, use).side == side
