"""Properties that hold for every use and lineage, whatever the licences say."""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.catalog.ancestry import resolve
from freehold.catalog.licenses import licenses, releases
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
