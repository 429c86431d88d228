from freehold.catalog.licenses import licenses
from freehold.licensing.memo import memo
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


def test_the_memo_says_what_decides_and_that_it_is_no_legal_advice():
    text = memo(ruling(mau_group_month_before_release=800_000_000), licenses())
    assert text.startswith("Llama-Acme-8B: needs separate license")
    assert "What decides" in text
    assert "not legal advice" in text
