from freehold.catalog.licenses import licenses
from freehold.licensing.comply import annex_text, attribution_text, card_text, checklist_text, notice_text
from freehold.types.config import UseProfile
from freehold.types.ruling import Lineage, LineageEdge
from freehold.workflows.license.rule import rule_for_model


def ruling(**use):
    lineage = Lineage(
        model="Llama-Acme-8B",
        edges=(
            LineageEdge(kind="base", model="meta-llama/Llama-3.1-8B"),
            LineageEdge(kind="distilled_from", model="google/gemma-2-27b-it"),
            LineageEdge(kind="fine_tune", model="(ours)"),
        ),
    )
    given = UseProfile(mode="distribute_weights", commercial=True, derivative_name="Llama-Acme-8B", **use)
    return rule_for_model("Llama-Acme-8B", given, lineage=lineage)


def test_the_notice_holds_every_prescribed_sentence_once():
    text = notice_text(ruling(), licenses())
    assert text.count("Llama 3.1 is licensed under the Llama 3.1 Community License") == 1
    assert text.count("Gemma is provided under and subject to the Gemma Terms of Use") == 1


def test_the_annex_is_there_only_where_restrictions_are_passed_on():
    assert "Gemma Terms of Use" in annex_text(ruling(), licenses())
    plain = rule_for_model("Qwen/Qwen2.5-7B", UseProfile(mode="distribute_weights", commercial=True))
    assert annex_text(plain, licenses()) == ""


def test_attribution_card_and_checklist_carry_the_phrases():
    made = ruling()
    assert "Built with Llama" in attribution_text(made, licenses())
    assert "Built with Llama" in card_text(made, licenses())
    assert "- [ ] Begin the model's name with the word: “Llama”" in checklist_text(made)
