"""What the texts say, rule by rule, on releases the catalog knows."""

import pytest

from freehold.types.license import Lineage, LineageEdge
from freehold.types.use import UseProfile
from freehold.workflows.license.rule import rule_for_model

ASK = "needs_separate_license"
OVER = {"mode": "hosted_service", "affiliate_revenue_usd": 10**10, "affiliate_runs_maas": True}
LLAMA3, LLAMA31 = "meta-llama/Meta-Llama-3-8B", "meta-llama/Llama-3.1-8B"


def base(model):
    return LineageEdge(kind="base", model=model)


def teacher(model):
    return LineageEdge(kind="distilled_from", model=model)


def shown(model):
    return LineageEdge(kind="prompted_with", model=model)


def ask(*edges, **use):
    given = UseProfile(**{"commercial": True, **use})
    return rule_for_model("ours", given, lineage=Lineage(model="ours", edges=edges))


@pytest.mark.parametrize(
    ("model", "use", "outcome"),
    [
        ("tencent/Hunyuan-A13B-Instruct", {"mode": "hosted_service", "seat": "US", "regions": ("KR",)}, "not_allowed"),
        ("tencent/Hunyuan-A13B-Instruct", {"mode": "internal", "seat": "US"}, "allowed"),
        ("tencent/Hunyuan-A13B-Instruct", {"mode": "internal", "seat": "US", "user_location": "DE"}, "not_allowed"),
        ("meta-llama/Llama-3.3-70B-Instruct", {"mode": "internal", "seat": "DE"}, "allowed"),
        ("meta-llama/Llama-4-Scout-17B-16E", {"mode": "internal", "seat": "DE"}, "not_allowed"),
        ("mistralai/Codestral-22B-v0.1", {"mode": "internal"}, ASK),
        ("mistralai/Codestral-22B-v0.1", {"mode": "internal", "purpose": "evaluation"}, "allowed"),
        ("mistralai/Ministral-8B-Instruct-2410", {"purpose": "proof_of_concept"}, ASK),
        ("apple/FastVLM-7B", {"mode": "internal"}, "not_allowed"),
        ("tiiuae/falcon-180B", {"mode": "hosted_service", "product_type": "model_as_a_service"}, ASK),
        ("tiiuae/falcon-180B", {"mode": "hosted_service"}, ASK),
        ("tiiuae/falcon-180B", {"mode": "hosted_service", "product_type": "chatbot"}, "allowed"),
        ("moonshotai/Kimi-K3", OVER, ASK),
        ("moonshotai/Kimi-K3", {"mode": "internal", "annual_revenue_usd": 10**10}, "allowed"),
        ("Qwen/Qwen3.8-Flash-Next", {"mode": "hosted_service"}, "unclear"),
        ("Qwen/Qwen3.8-Flash-Next", {"mode": "hosted_service", "product_type": "coding_assistant"}, ASK),
        ("LiquidAI/LFM2-1.2B", {"annual_recurring_revenue_usd": 10**8}, ASK),
        ("Qwen/Qwen3.8-Flash-Next", {"serves_third_parties": True}, "unclear"),
        ("meta-llama/Llama-2-7b-hf", {"trains_models_on_outputs": True}, "not_allowed"),
        ("LiquidAI/LFM2-1.2B", {"mode": "internal", "annual_revenue_usd": 10_000_000}, "unclear"),
        ("ai21labs/AI21-Jamba-1.5-Mini", {"mode": "internal", "annual_revenue_usd": 60_000_000}, ASK),
        ("LGAI-EXAONE/K-EXAONE-236B-A23B", {"mode": "hosted_service"}, ASK),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", {"modification": "guardrails removed"}, "not_allowed"),
        ("bigscience/bloom", {"domain": "medical_advice", "human_review": True}, "not_allowed"),
        ("bigcode/starcoder2-15b", {"domain": "medical_advice", "human_review": True}, "allowed"),
        ("google/gemma-2-9b-it", {"domain": "automated_decision_credit", "human_review": True}, "allowed"),
        ("deepseek-ai/DeepSeek-V3", {"domain": "military"}, "not_allowed"),
        ("deepseek-ai/DeepSeek-R1", {"domain": "military"}, "allowed"),
        ("meta-llama/Llama-3.1-8B", {"litigation": "sued Meta over Llama outputs"}, "not_allowed"),
        ("01-ai/Yi-34B", {"mode": "internal", "obtained": "2024-01-10", "registered": True}, "allowed"),
    ],
)  # fmt: skip
def test_outcomes(model, use, outcome):
    assert ask(base(model), **use).outcome == outcome


def test_end_users_of_a_product_are_spared_what_binds_licensees():
    for model in ("meta-llama/Llama-4-Scout-17B-16E", "THUDM/chatglm3-6b", "baichuan-inc/Baichuan2-7B-Chat"):
        assert ask(base(model), mode="end_user_of_product", seat="DE").outcome == "allowed", model


def test_base_and_teacher_are_independent_gates():
    assert (
        ask(teacher("deepseek-ai/DeepSeek-R1"), base("Qwen/Qwen2.5-3B")).outcome == "needs_separate_license"
    )
    assert ask(teacher(LLAMA3), base("Qwen/Qwen2.5-7B")).outcome == "not_allowed"
    assert (
        ask(teacher(LLAMA3), base("answerdotai/ModernBERT-base"), purpose="classifier").outcome == "allowed"
    )
    assert ask(teacher("meta-llama/Llama-2-7b"), base("meta-llama/Llama-2-7b-hf")).outcome == "allowed"


def test_a_student_may_be_named_after_a_teacher_it_has_no_weights_of():
    ruling = ask(teacher(LLAMA31), base("Qwen/Qwen2.5-7B"), mode="distribute_weights")
    assert ("name_prefix", "Llama") in [(duty.key, duty.value) for duty in ruling.obligations]
    assert not [duty for duty in ruling.obligations if duty.key == "display_attribution"]


def test_a_similar_student_is_a_derivative_and_a_classifier_is_not():
    similar = ask(teacher("google/gemma-2-9b"), base("Qwen/Qwen2.5-7B"), mode="hosted_service")
    labels = ask(
        teacher("google/gemma-2-9b"), base("Qwen/Qwen2.5-7B"), mode="hosted_service", purpose="classifier"
    )
    assert "pass_through_use_restrictions" in {duty.key for duty in similar.obligations}
    assert labels.outcome == "allowed"


def test_a_tag_does_not_lift_a_duty_and_is_reported():
    tagged = LineageEdge(kind="fine_tune", model="(ours)", claimed_license="apache-2.0")
    ruling = ask(base(LLAMA31), tagged, mode="distribute_weights", derivative_name="Llama-Acme")
    assert ruling.outcome == "not_allowed"
    assert "relicensing" in ruling.violations
    assert "Apache-2.0" not in ruling.licenses


def test_an_open_model_through_a_host_brings_both_terms():
    ruling = ask(teacher("Llama 3.1 405B Instruct via Together"), base("Qwen/Qwen2.5-7B"))
    assert set(ruling.licenses) >= {
        "LicenseRef-scancode-llama-3.1-license-2024", "LicenseRef-freehold-together-terms"
    }  # fmt: skip


def test_data_under_share_alike_and_answers_others_published_are_unclear():
    data = LineageEdge(kind="trained_on", model="encyclopedia dump (CC-BY-SA-4.0)")
    assert ask(base("Qwen/Qwen2.5-7B"), data, mode="distribute_weights").outcome == "unclear"
    answers = LineageEdge(kind="trained_on", model="public data set of GPT-4 answers")
    assert ask(base("Qwen/Qwen2.5-7B"), answers, mode="internal").outcome == "unclear"


def test_a_profile_that_contradicts_itself_is_told_so():
    ruling = ask(base("Qwen/Qwen2.5-7B"), mode="internal", commercial=False, annual_revenue_usd=5)
    assert any("non-commercial although revenue" in text for text in ruling.assumptions)


@pytest.mark.parametrize(
    ("text", "license_id"),
    [
        ("model under OpenMDW-1.0", "OpenMDW-1.0"),
        ("Apache-2.0 model", "Apache-2.0"),
        ("MIT model", "MIT"),
        ("model under the Gemma terms", "LicenseRef-scancode-gemma-tou-2025-03-24"),
    ],
)
def test_a_text_that_names_a_licence_stands_for_a_model_under_it(text, license_id):
    assert ask(base(text), mode="internal").licenses == (license_id,)


@pytest.mark.parametrize(
    ("model", "purpose", "outcome"),
    [
        ("gpt-4o-2024-08-06", "general chat assistant", "unclear"),
        ("gpt-4o-2024-08-06", None, "unclear"),
        ("gpt-4o-2024-08-06", "classifier", "allowed"),
        ("claude-sonnet-4-5", "general chat assistant", "unclear"),
        ("meta-llama/Meta-Llama-3-70B-Instruct", None, "unclear"),
        ("meta-llama/Llama-3.3-70B-Instruct", None, "allowed"),
        ("Qwen/Qwen3-8B", None, "allowed"),
        ("a-model-nobody-knows", None, "unclear"),
    ],
)
def test_answers_shown_as_examples_are_never_allowed_in_silence(model, purpose, outcome):
    ruling = ask(base("Qwen/Qwen3-8B"), shown(model), purpose=purpose, mode="internal")
    assert ruling.outcome == outcome, ruling.reasons
    assert not any("(ours)" in duty.text or duty.key == "name_prefix" for duty in ruling.obligations)
    if outcome == "allowed" and model != "Qwen/Qwen3-8B":
        assert f"showing answers of {model} as examples is a use like training on them" in ruling.assumptions


def test_what_bars_training_leaves_showing_unsettled_and_names_the_way_out():
    asked = {"purpose": "general chat assistant", "mode": "internal"}
    trained = ask(base("Qwen/Qwen3-8B"), teacher("gpt-4o-2024-08-06"), **asked)
    ruling = ask(base("Qwen/Qwen3-8B"), shown("gpt-4o-2024-08-06"), **asked)
    assert (trained.outcome, ruling.outcome) == ("not_allowed", "unclear")
    (reason,) = [one for one in ruling.reasons if one.outcome == "unclear"]
    assert reason.code == "L105" and "an open question" in reason.text
    assert ruling.would_change == (
        "examples that people answered",
        "a letter from OpenAI on 3.3(e)",
    )
    assert ask(base("Qwen/Qwen3-8B"), mode="internal").outcome == "allowed", (
        "without examples it is not concerned"
    )


def assumed(ruling):
    return " | ".join(ruling.assumptions)


def test_a_bar_from_a_secondary_source_stays_a_bar_and_is_named():
    ruling = ask(base("ai21labs/AI21-Jamba-1.5-Mini"), mode="internal", annual_revenue_usd=60_000_000)
    assert ruling.outcome == ASK
    assert "at second hand" in assumed(
        ruling
    ) and "https://huggingface.co/ai21labs/AI21-Jamba-1.5-Mini" in assumed(ruling)


def test_a_permission_from_a_secondary_source_names_it_and_where_to_check():
    ruling = ask(base("google/gemma-4-31B-it"), mode="internal", commercial=True)
    assert ruling.outcome == "allowed"
    assert "second hand" in assumed(ruling) and "https://huggingface.co/google/gemma-4-31B-it" in assumed(
        ruling
    )


def test_a_mode_that_is_not_stated_is_an_assumption_and_the_other_ways_are_told():
    ruling = ask(base("google/gemma-3-270m"))
    assert ruling.outcome == "allowed"
    assert "how it is used is not stated" in assumed(ruling)
    told = " | ".join(ruling.would_change)
    assert "hosted for others: allowed with obligations" in told and "weights passed on:" in told
    stated = ask(base("google/gemma-3-270m"), mode="internal")
    assert "not stated: internal" not in assumed(stated)


@pytest.mark.parametrize("business", [None, "inference_api"])
def test_a_gate_on_revenue_that_is_not_stated_is_an_assumption(business):
    ruling = ask(base("moonshotai/Kimi-K3"), mode="hosted_service", commercial=True, business=business)
    assert "not above 20,000,000 annual revenue of the whole group" in assumed(ruling)
    assert not any("; below the line" in reason.text for reason in ruling.reasons)
    assert ("your business is not one of model as a service" in assumed(ruling)) == (business is None)


def test_users_of_today_say_nothing_of_a_frozen_month():
    model = base("meta-llama/Llama-3.3-70B-Instruct")
    many = ask(model, mode="internal", monthly_active_users=800_000_000)
    assert many.outcome == "unclear"
    assert any("today's 800,000,000 users say nothing of that month" in one.text for one in many.reasons)
    few = ask(model, mode="internal", monthly_active_users=8_000)
    assert few.outcome == "allowed" and "today's 8,000 users say nothing of that month" in assumed(few)


def test_a_field_of_use_that_is_not_stated_is_an_assumption():
    assert "you do not use it for" in assumed(ask(base("deepseek-ai/DeepSeek-V3"), mode="internal"))
    assert "field of use" not in assumed(ask(base("deepseek-ai/DeepSeek-R1"), mode="internal"))


def due(ruling):
    return {duty.key for duty in ruling.obligations if not (duty.recommended or duty.passive)}


def test_creative_commons_asks_for_credit_the_change_and_the_licence():
    edges = (
        LineageEdge(kind="base", model="model under CC-BY-4.0"),
        LineageEdge(kind="fine_tune", model="(ours)"),
    )
    assert due(ask(*edges, mode="distribute_weights", commercial=True)) == {
        "attribution", "license_copy", "state_changes"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "duties"),
    [
        ("mistralai/Ministral-8B-Instruct-2410", {"license_copy", "notice_file"}),
        ("Qwen/Qwen2.5-3B", {"license_copy", "notice_file"}),
        ("LGAI-EXAONE/EXAONE-3.5-2.4B-Instruct", {"license_copy"}),
    ],
)
def test_a_university_may_pass_on_what_is_for_research(model, duties):
    ruling = ask(base(model), mode="distribute_weights", commercial=False, nonprofit=True)
    assert ruling.outcome == "allowed_with_obligations" and due(ruling) == duties
    assert "passed on for research" in assumed(ruling)
    assert ask(base(model), mode="internal", commercial=True).outcome in (ASK, "not_allowed")


def test_a_student_of_cosmos_displays_the_phrase():
    edges = (
        LineageEdge(kind="base", model="Qwen/Qwen2.5-7B"),
        LineageEdge(kind="distilled_from", model="nvidia/Cosmos-Reason1-7B"),
    )
    ruling = ask(*edges, mode="train_other_model", then="distribute_weights", commercial=True)
    assert "Built on NVIDIA Cosmos" in [duty.value for duty in ruling.obligations]


@pytest.mark.parametrize(
    "teacher", ["Mistral API with web search", "Le Chat with web search", "Gemini with grounding"]
)
def test_answers_made_with_web_search_may_not_train(teacher):
    edges = (
        LineageEdge(kind="base", model="Qwen/Qwen2.5-7B"),
        LineageEdge(kind="distilled_from", model=teacher),
    )
    barred = ask(*edges, mode="train_other_model", then="internal", commercial=True, purpose="classifier")
    assert barred.outcome == "not_allowed", barred.licenses
    plain = (edges[0], LineageEdge(kind="distilled_from", model="Mistral API"))
    assert ask(*plain, mode="train_other_model", then="internal", commercial=True).outcome == "allowed"


@pytest.mark.parametrize(
    "other",
    ["Qwen/Qwen2.5-72B", "google/gemma-2-9b-it", "tencent/Hunyuan-A13B-Instruct", "model under CC-BY-NC-4.0"],
)
def test_share_alike_and_restrictions_do_not_merge(other):
    edges = (
        LineageEdge(kind="merge", model="model under CC-BY-SA-4.0"),
        LineageEdge(kind="merge", model=other),
    )
    ruling = ask(*edges, mode="distribute_weights", commercial=False, seat="US", regions=("US",))
    assert ruling.outcome == "not_allowed" and "share_alike" in ruling.violations
    assert any("share-alike allows no added terms" in text for text in ruling.details["violation_texts"])


def test_two_names_that_must_come_first_are_a_refusal_that_names_both():
    edges = (
        LineageEdge(kind="merge", model="meta-llama/Llama-3.1-8B"),
        LineageEdge(kind="merge", model="LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct"),
    )
    ruling = ask(*edges, mode="distribute_weights", commercial=False)
    assert ruling.outcome == "not_allowed"
    assert "the name must begin with both 'Llama' and 'EXAONE'" in ruling.details["violation_texts"]


def test_what_would_change_it_has_no_placeholder_and_the_deciding_reason_is_first():
    ruling = ask(base("Qwen/Qwen3.8-2.4T-A95B"), mode="hosted_service", commercial=True)
    assert not any("{" in text for text in ruling.would_change)
    barred = ask(base("meta-llama/Llama-4-Scout-17B-16E"), mode="internal", seat="DE")
    assert barred.reasons[0].outcome == "not_allowed" and "EU" in barred.reasons[0].text
    assert "USE_POLICY" in barred.reasons[0].source


@pytest.mark.parametrize(
    "edges",
    [
        (base("Qwen/Qwen3-8B"), teacher("gpt-4o-2024-08-06")),
        (base("Qwen/Qwen3-8B"), shown("claude-sonnet-4-5")),
        (base("Qwen/Qwen3-8B"), shown("gpt-4o-2024-08-06")),
        (base("Qwen/Qwen3-8B"), teacher("a-model-nobody-knows")),
        (base("a-model-nobody-knows"),),
    ],
)
def test_unclear_always_has_ways_out(edges):
    ruling = ask(*edges, mode="internal", purpose=None if len(edges) == 1 else "extraction")
    assert ruling.outcome == "unclear" and ruling.would_change


def test_heads_over_words_are_a_classifier_as_an_encoder_is():
    words = LineageEdge(kind="base", model="words", license_id="CC0-1.0")
    assert ask(words, teacher("gpt-4o-2024-08-06"), mode="internal").outcome == "allowed"
    assert ask(words, teacher("gpt-4o-2024-08-06"), mode="distribute_weights").outcome == "not_allowed"
