"""What a ruling says, and the texts that duties ask for."""

import yaml

from freehold.catalog.licenses import licenses
from freehold.licensing.comply import (
    annex_text,
    attribution_text,
    card_text,
    checklist_text,
    memo,
    notice_text,
)
from freehold.types.license import Lineage, LineageEdge
from freehold.types.use import UseProfile
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
