"""What follows from a use and a lineage before any rule looks at them."""

import pytest

from freehold.licensing.situation import Ancestor, Situation
from freehold.types.license import License, Lineage, LineageEdge, OutputsClause, Release
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
