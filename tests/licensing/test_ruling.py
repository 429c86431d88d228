"""Properties of every ruling, texts told apart, and the files that meet duties."""

import msgspec
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.catalog.ancestry import resolve
from freehold.catalog.licenses import licenses, releases
from freehold.licensing.comply import (
    annex_text,
    attribution_text,
    card_text,
    checklist_text,
    memo,
    notice_text,
)
from freehold.licensing.identify import fingerprint, identify
from freehold.licensing.ruling import SEVERITY, rule
from freehold.licensing.situation import Ancestor, Situation
from freehold.types.license import (
    DomainClause,
    License,
    Limit,
    Lineage,
    LineageEdge,
    PurposeClause,
    RegionClause,
    ThresholdClause,
)
from freehold.types.use import UseProfile
from freehold.workflows.license.rule import rule_for_model

MODELS = sorted({model.replace("*", "x") for release in releases() for model in release.models})
SERVICES = ("gpt-4o-2024-08-06", "claude-sonnet-4", "Gemini API", "DeepSeek hosted API")
MODES = (
    "internal", "personal", "research", "hosted_service", "embedded_product", "distribute_weights",
    "train_other_model", "outputs_in_product", "relay",
)  # fmt: skip
number = st.none() | st.integers(0, 2_000_000_000)

uses = st.builds(
    UseProfile,
    mode=st.none() | st.sampled_from(MODES),
    then=st.none() | st.sampled_from(("internal", "hosted_service", "distribute_weights")),
    commercial=st.none() | st.booleans(),
    nonprofit=st.none() | st.booleans(),
    purpose=st.none() | st.sampled_from(("classifier", "chat assistant", "research", "evaluation")),
    seat=st.none() | st.sampled_from(("US", "DE", "GB", "KR", "CN")),
    regions=st.sampled_from(((), ("EU",), ("US", "KR"), ("global",))),
    mau_product=number,
    mau_group_month_before_release=number,
    annual_revenue_usd=number,
    monthly_revenue_usd=number,
    product_type=st.none() | st.sampled_from(("chatbot", "model_as_a_service", "router")),
    domain=st.none() | st.sampled_from(("military", "medical_advice", "gardening")),
    human_review=st.none() | st.booleans(),
    derivative_name=st.none() | st.sampled_from(("Acme", "Llama-Acme", "Gemma-Acme")),
    serves_third_parties=st.booleans(),
    distributes_weights=st.booleans(),
)
edges = st.one_of(
    st.builds(
        LineageEdge,
        kind=st.sampled_from(("base", "merge", "distilled_from")),
        model=st.sampled_from(MODELS),
    ),
    st.builds(LineageEdge, kind=st.just("distilled_from"), model=st.sampled_from(SERVICES)),
    st.builds(
        LineageEdge, kind=st.sampled_from(("adapter", "fine_tune", "quantize")), model=st.just("(ours)")
    ),
)
lineages = st.lists(edges, min_size=1, max_size=4)
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def lineage(items):
    return Lineage(model="ours", edges=tuple(items))


RESTRICTIONS = (
    PurposeClause(section="x", text="research only", granted=("research",), otherwise="not_allowed"),
    ThresholdClause(section="x", text="small only", any_of=(Limit(metric="mau_product", above=10),)),
    RegionClause(section="x", text="not there", excluded=("EU", "US"), whom="place_of_use"),
    DomainClause(section="x", text="no war", barred=("military", "medical_advice")),
)


@quick
@given(uses, lineages, st.sampled_from(RESTRICTIONS), st.integers(0, 3))
def test_a_further_restriction_never_makes_a_ruling_more_permissive(use, items, restriction, place):
    made = lineage(items)
    sources = resolve(made, use)
    before = rule(Situation(use, made, sources))
    chosen = sources[place % len(sources)]
    harder = tuple(
        msgspec.structs.replace(license, clauses=(*license.clauses, restriction))
        for license in chosen.licenses
    )
    changed = tuple(source._replace(licenses=harder) if source is chosen else source for source in sources)
    after = rule(Situation(use, made, changed))
    assert SEVERITY[after.outcome] >= SEVERITY[before.outcome]


@quick
@given(uses.filter(lambda use: use.mode != "train_other_model"), lineages, edges)
def test_a_longer_lineage_never_removes_a_duty(use, items, extra):
    before = rule_for_model("ours", use, lineage=lineage(items))
    after = rule_for_model("ours", use, lineage=lineage([*items, extra]))
    kept = {(duty.key, duty.license_id, duty.value) for duty in after.obligations}
    for duty in before.obligations:
        assert (duty.key, duty.license_id, duty.value) in kept, duty


@quick
@given(uses, lineages, st.text(min_size=1, max_size=12).filter(str.strip))
def test_an_unknown_ancestor_never_yields_allowed(use, items, name):
    unknown = LineageEdge(kind="base", model=f"nobody-{name.replace('/', '')}/unheard-of")
    ruling = rule_for_model("ours", use, lineage=lineage([unknown, *items]))
    assert SEVERITY[ruling.outcome] >= SEVERITY["unclear"]


@quick
@given(uses, st.text(max_size=30))
def test_any_text_as_a_model_is_answered_and_not_allowed_by_accident(use, text):
    ruling = rule_for_model(text, use)
    if not ruling.licenses:
        assert SEVERITY[ruling.outcome] >= SEVERITY["unclear"]


@quick
@given(uses, lineages)
def test_ruling_twice_gives_the_same_record(use, items):
    first = rule_for_model("ours", use, lineage=lineage(items))
    assert rule_for_model("ours", use, lineage=lineage(items)) == first
    for reason in first.reasons:
        assert reason.code and reason.text


@quick
@given(uses, st.sampled_from([key for key, value in licenses().items() if value.confidence == "secondary"]))
def test_a_text_that_was_not_read_never_allows(use, license_id):
    license: License = licenses()[license_id]
    made = lineage([LineageEdge(kind="base", model="m")])
    ruling = rule(Situation(use, made, (Ancestor(made.edges[0], (license,), None, False),)))
    if not license.permissive:
        assert SEVERITY[ruling.outcome] >= SEVERITY["unclear"]


ORIGINAL = """
# The Example License

Copyright (c) 2024 Example Corp.

You may use the model for any purpose. You must keep this notice in every copy.
If you distribute Example 3.1, you shall display "Built with Example" on a related page.
The model is provided as is, without warranty of any kind.
"""
TWIN = ORIGINAL.replace("Example 3.1", "Example 3.2")


def known():
    return (
        fingerprint(ORIGINAL, license_id="ex-3.1", title="Example 3.1", role="license", source="test"),
        fingerprint(TWIN, license_id="ex-3.2", title="Example 3.2", role="license", source="test"),
    )


def test_the_same_text_in_another_dress_is_the_same():
    dressed = ORIGINAL.upper().replace("\n", "\n\n").replace("2024 EXAMPLE CORP.", "2026 SOMEBODY")
    found = identify(dressed, known())
    assert (found.answer, found.license_id, found.closeness) == ("same", "ex-3.1", 1.0)


def test_a_near_twin_is_told_apart_by_its_version_string():
    found = identify(TWIN, known())
    assert found.license_id == "ex-3.2"
    assert found.twins[0][0] == "Example 3.1"


def test_a_tail_after_the_original_is_shown_and_is_not_the_original():
    found = identify(ORIGINAL + "\nCommercial use needs our permission.\n", known())
    assert found.answer == "changed"
    assert found.license_id is None
    assert found.nearest == "ex-3.1"
    assert found.added == ("Commercial use needs our permission",)
    assert found.missing == 0


def test_terms_hidden_in_a_copyright_line_are_seen():
    hidden = ORIGINAL.replace("Example Corp.", "Example Corp. Commercial use prohibited")
    assert identify(hidden, known()).answer == "changed"


def test_one_changed_word_or_a_dropped_sentence_is_a_change():
    assert identify(ORIGINAL.replace("any purpose", "some purpose"), known()).answer == "changed"
    dropped = identify(ORIGINAL.replace("You must keep this notice in every copy.", ""), known())
    assert (dropped.answer, dropped.missing) == ("changed", 1)


def test_another_text_and_an_empty_one_are_unknown():
    assert identify("Roses are red. Violets are blue. Sugar is sweet.", known()).answer == "unknown"
    assert identify("", known()).answer == "unknown"


def test_a_missing_sentence_is_told_by_its_place_and_its_neighbours():
    dropped = identify(ORIGINAL.replace("You must keep this notice in every copy.", ""), known())
    (gap,) = dropped.gaps
    assert gap.startswith("missing: sentence ")
    assert "after “" in gap and "any purpose" in gap and "before “If you distribute Example 3.1" in gap
    end = identify(
        ORIGINAL.replace("The model is provided as is, without warranty of any kind.", ""), known()
    )
    assert "before" not in end.gaps[0] and "after “" in end.gaps[0]
    assert identify(ORIGINAL + "\nCommercial use needs our permission.\n", known()).gaps == ()


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


def merged():
    lineage = Lineage(
        model="acme-merge",
        edges=(
            LineageEdge(kind="merge", model="meta-llama/Llama-3.1-8B"),
            LineageEdge(kind="merge", model="meta-llama/Llama-3.1-8B-Instruct"),
        ),
    )
    return rule_for_model(
        "acme-merge", UseProfile(mode="distribute_weights", commercial=True), lineage=lineage
    )


def test_a_merge_lists_each_duty_and_phrase_once_with_the_parents():
    text = checklist_text(merged())
    assert text.count("“Built with Llama”") == 1 and text.count("“Llama”") == 1
    assert "[meta-llama/Llama-3.1-8B, meta-llama/Llama-3.1-8B-Instruct]" in text
    assert card_text(merged(), licenses()).count("Built with Llama") == 1


def test_the_notice_asks_for_the_copyright_line_and_makes_none_up():
    made = rule_for_model("zai-org/GLM-4.5", UseProfile(mode="distribute_weights", commercial=True))
    text = notice_text(made, licenses())
    assert "various" not in text
    assert "[copyright line of zai-org/GLM-4.5: copy it from the LICENSE file of your copy]" in text
    known = notice_text(made, licenses(), {"zai-org/GLM-4.5": "Copyright (c) 2025 Z.ai"})
    assert "Copyright (c) 2025 Z.ai\nLicensed under the MIT License (MIT)" in known


def test_the_annex_lists_every_restriction_where_it_was_read_and_says_where_not():
    use = UseProfile(mode="distribute_weights", commercial=True)
    deepseek = annex_text(rule_for_model("deepseek-ai/DeepSeek-V3", use), licenses())
    assert "All 11 restrictions" in deepseek and "11. discriminating" in deepseek and "military" in deepseek
    gemma = annex_text(rule_for_model("google/gemma-2-9b-it", use), licenses())
    assert "The list is not complete" in gemma


def test_the_card_has_a_head_that_hubs_read():
    text = card_text(ruling(), licenses(), ["meta-llama/Llama-3.1-8B"])
    head = yaml.safe_load(text.split("---")[1])
    assert head["license"] == "other" and head["license_name"] == "llama-3.1-license-2024"
    assert head["license_link"] == "https://github.com/meta-llama/llama-models"
    assert head["base_model"] == ["meta-llama/Llama-3.1-8B"]
    plain = rule_for_model("Qwen/Qwen2.5-7B", UseProfile(mode="distribute_weights", commercial=True))
    assert yaml.safe_load(card_text(plain, licenses()).split("---")[1]) == {"license": "apache-2.0"}


def ruling_of_memo(**use):
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
    text = memo(ruling_of_memo(mau_group_month_before_release=800_000_000), licenses())
    assert text.startswith("Llama-Acme-8B: needs separate license")
    assert "What decides" in text
    assert "not legal advice" in text
