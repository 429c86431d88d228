import pytest

from freehold.types.config import UseProfile
from freehold.types.ruling import Lineage, LineageEdge
from freehold.workflows.license.rule import rule_for_model


def test_permissive_model_hosted_needs_nothing():
    ruling = rule_for_model(
        "HuggingFaceTB/SmolLM2-135M-Instruct", UseProfile(commercial=True, serves_third_parties=True)
    )
    assert ruling.outcome == "allowed"
    assert ruling.licenses == ("Apache-2.0",)


def test_hosting_gemma_is_a_distribution():
    ruling = rule_for_model("google/gemma-3-270m", UseProfile(commercial=True, mode="hosted_service"))
    assert ruling.outcome == "allowed_with_obligations"
    assert {duty.key for duty in ruling.obligations} == {"pass_through_use_restrictions", "license_copy"}


def test_unknown_model_is_unclear_and_says_what_to_supply():
    ruling = rule_for_model("someone/unheard-of", UseProfile(commercial=False, mode="internal"))
    assert ruling.outcome == "unclear"
    assert any("supply it with --license" in reason.text for reason in ruling.reasons)


@pytest.mark.parametrize(
    ("use", "outcome"),
    [
        (UseProfile(purpose="classifier", commercial=True), "allowed"),
        (UseProfile(purpose="classifier", commercial=True, distributes_weights=True), "not_allowed"),
        (UseProfile(purpose="general chat assistant", commercial=True), "not_allowed"),
        (UseProfile(commercial=True), "unclear"),
    ],
)
def test_incumbents_answers_bring_the_service_contract_in(use, outcome):
    lineage = Lineage(
        model="support-intents",
        edges=(
            LineageEdge(kind="base", model="HuggingFaceTB/SmolLM2-135M-Instruct"),
            LineageEdge(kind="distilled_from", model="gpt-4o-2024-08-06"),
            LineageEdge(kind="adapter", model="support-intents"),
        ),
    )
    ruling = rule_for_model("support-intents", use, lineage=lineage)
    assert ruling.outcome == outcome
    assert any(reason.section == "3.3(e)" for reason in ruling.reasons)
