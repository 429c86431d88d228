"""What the texts say, rule by rule, on releases the catalog knows."""

import pytest

from freehold.types.config import UseProfile
from freehold.types.ruling import Lineage, LineageEdge
from freehold.workflows.license.rule import rule_for_model

ASK = "needs_separate_license"
LLAMA3, LLAMA31 = "meta-llama/Meta-Llama-3-8B", "meta-llama/Llama-3.1-8B"


def base(model):
    return LineageEdge(kind="base", model=model)


def teacher(model):
    return LineageEdge(kind="distilled_from", model=model)


def shown(model):
    return LineageEdge(kind="prompted_with", model=model)


OURS = LineageEdge(kind="fine_tune", model="(ours)")


def ask(*edges, **use):
    given = UseProfile(**{"commercial": True, **use})
    return rule_for_model("ours", given, lineage=Lineage(model="ours", edges=edges))


@pytest.mark.parametrize(
    ("model", "use", "outcome"),
    [
        ("tencent/Hunyuan-A13B-Instruct", {"mode": "hosted_service", "seat": "US", "regions": ("KR",)}, "not_allowed"),
        ("tencent/Hunyuan-A13B-Instruct", {"mode": "internal", "seat": "US"}, "allowed"),
        ("meta-llama/Llama-3.3-70B-Instruct", {"mode": "internal", "seat": "DE"}, "allowed"),
        ("meta-llama/Llama-4-Scout-17B-16E", {"mode": "internal", "seat": "DE"}, "not_allowed"),
        ("mistralai/Codestral-22B-v0.1", {"mode": "internal"}, ASK),
        ("mistralai/Codestral-22B-v0.1", {"mode": "internal", "purpose": "evaluation"}, "allowed"),
        ("mistralai/Ministral-8B-Instruct-2410", {"purpose": "proof_of_concept"}, ASK),
        ("apple/FastVLM-7B", {"mode": "internal"}, "not_allowed"),
        ("tiiuae/falcon-180B", {"mode": "hosted_service", "product_type": "model_as_a_service"}, ASK),
        ("tiiuae/falcon-180B", {"mode": "hosted_service"}, ASK),
        ("tiiuae/falcon-180B", {"mode": "hosted_service", "product_type": "chatbot"}, "allowed"),
        ("moonshotai/Kimi-K3", {"mode": "internal", "annual_revenue_usd": 10**10}, "allowed"),
        ("Qwen/Qwen3.8-Flash-Next", {"mode": "hosted_service"}, "unclear"),
        ("Qwen/Qwen3.8-Flash-Next", {"mode": "hosted_service", "product_type": "coding_assistant"}, ASK),
        ("LiquidAI/LFM2-1.2B", {"mode": "internal", "annual_revenue_usd": 10_000_000}, "unclear"),
        ("ai21labs/AI21-Jamba-1.5-Mini", {"mode": "internal", "annual_revenue_usd": 60_000_000}, "unclear"),
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


def test_two_names_that_must_both_come_first_are_a_contradiction():
    ruling = ask(
        base(LLAMA31),
        teacher("naver-hyperclovax/HyperCLOVAX-SEED-Think-14B"),
        OURS,
        mode="distribute_weights",
    )
    assert (ruling.outcome, ruling.violations) == ("not_allowed", ("name_prefix",))


def test_llama_3_satisfies_llama_in_a_merge():
    merge = [LineageEdge(kind="merge", model=model) for model in (LLAMA3, LLAMA31)]
    ruling = ask(*merge, mode="distribute_weights", derivative_name="Llama-3-Acme")
    assert ruling.outcome == "allowed_with_obligations"


def test_a_tag_does_not_lift_a_duty_and_is_reported():
    tagged = LineageEdge(kind="fine_tune", model="(ours)", claimed_license="apache-2.0")
    ruling = ask(base(LLAMA31), tagged, mode="distribute_weights", derivative_name="Llama-Acme")
    assert ruling.outcome == "not_allowed"
    assert "relicensing" in ruling.violations
    assert "Apache-2.0" not in ruling.licenses


def test_ancestors_of_a_known_release_are_added():
    ruling = ask(
        base("deepseek-ai/DeepSeek-R1-Distill-Llama-70B"), mau_group_month_before_release=750_000_000
    )
    assert ruling.outcome == "needs_separate_license"
    assert any(reason.section == "2" for reason in ruling.reasons if reason.outcome)


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


def test_one_id_may_stand_for_two_releases():
    assert "MIT" in ask(base("deepseek-ai/DeepSeek-V3"), release="2025-03-24").licenses
    assert "MIT" not in ask(base("deepseek-ai/DeepSeek-V3"), release="2024-12-26").licenses


def test_a_profile_that_contradicts_itself_is_told_so():
    ruling = ask(base("Qwen/Qwen2.5-7B"), mode="internal", commercial=False, annual_revenue_usd=5)
    assert any("non-commercial although revenue" in text for text in ruling.assumptions)


@pytest.mark.parametrize(
    "text", ["qwen", "gemma", "deepseek", "llama", "my-org/model", "us/model", "internal/x"]
)
def test_a_family_word_or_a_strangers_id_decides_nothing(text):
    assert ask(base(text), mode="internal").outcome == "unclear"
    assert ask(base("Qwen/Qwen2.5-7B"), LineageEdge(kind="merge", model=text)).outcome == "unclear"


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
    assert reason.code == "L105" and "is not settled" in reason.text
    assert ruling.would_change == (
        "examples whose answers people gave, instead of those of gpt-4o-2024-08-06",
    )
    assert ask(base("Qwen/Qwen3-8B"), mode="internal").outcome == "allowed", (
        "without examples it is not concerned"
    )
