"""Licences, their texts, the releases that carry them, and what a lineage resolves to."""

import re

import pytest

from freehold.catalog.ancestry import resolve
from freehold.catalog.licenses import (
    families,
    family_of,
    fingerprints,
    license_named,
    licenses,
    licenses_mentioned,
    names,
    release_mentioned,
    release_on,
    releases,
    releases_of,
)
from freehold.types.license import DutyClause, Lineage, LineageEdge, NoteClause, ThresholdClause
from freehold.types.use import UseProfile


def test_names_are_unambiguous_and_clauses_carry_sections():
    assert names().exact
    for license in licenses().values():
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", license.date), license.id
        for clause in license.clauses:
            assert clause.section and clause.text, license.id
            if isinstance(clause, ThresholdClause):
                assert clause.any_of, license.id


@pytest.mark.parametrize(
    "license_id", [key for key, value in licenses().items() if value.confidence != "secondary"]
)
def test_a_read_licence_has_clauses(license_id):
    assert any(not isinstance(clause, NoteClause) for clause in licenses()[license_id].clauses)


def test_display_duties_carry_their_phrase():
    for license in licenses().values():
        for clause in license.clauses:
            if isinstance(clause, DutyClause) and clause.key in ("display_attribution", "name_prefix"):
                assert clause.value, license.id


def test_a_text_names_a_licence_by_title_or_mention():
    assert license_named("apache-2.0").id == "Apache-2.0"
    assert license_named("who knows") is None
    found = licenses_mentioned("model under the NVIDIA Open Model License of 28 Apr 2025")
    assert [license.id for license in found] == ["LicenseRef-scancode-nvidia-open-model-2025-04-28"]


def test_every_fingerprint_is_of_a_licence_of_the_catalog():
    assert {one.license_id for one in fingerprints()} <= set(licenses())


def test_every_release_names_a_licence_of_the_catalog():
    for release in releases():
        for license_id in (release.license, *release.also):
            assert license_id in licenses(), (release.models[0], license_id)


def test_every_known_ancestor_is_a_release_itself():
    bases = [base for release in releases() for base in release.bases]
    assert bases
    for base in bases:
        assert releases_of(base), base


def test_no_id_has_two_licences_at_one_time():
    for release in releases():
        for model in release.models:
            entries = releases_of(model)
            assert len(entries) == 1 or any(e.until or e.since or e.released_since for e in entries), model


@pytest.mark.parametrize(
    ("model", "license_id"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "Apache-2.0"),
        ("Qwen/Qwen2.5-3B", "LicenseRef-freehold-qwen-research-2024"),
        ("Qwen/Qwen2.5-72B-Instruct", "LicenseRef-scancode-qwen-2024"),
        ("mistralai/Ministral-8B-Instruct-2410", "LicenseRef-freehold-mrl-0.1"),
        ("mistralai/Ministral-3-8B-Instruct-2512", "Apache-2.0"),
        ("deepseek-ai/DeepSeek-V3", "LicenseRef-scancode-deepseek-la-1.0"),
        ("deepseek-ai/DeepSeek-V3-0324", "MIT"),
        ("zai-org/GLM-5.3-Flash", "MIT"),
        ("zai-org/GLM-5.3", "LicenseRef-freehold-glm-5.3"),
        ("LGAI-EXAONE/K-EXAONE-236B-A23B", "LicenseRef-freehold-k-exaone"),
    ],
)
def test_the_release_decides_not_the_family(model, license_id):
    release = release_on(releases_of(model), None)
    assert release is not None
    assert release.license == license_id


def test_the_date_of_the_copy_decides_where_a_licence_changed():
    entries = releases_of("01-ai/Yi-34B")
    assert release_on(entries, "2024-01-10").license == "LicenseRef-freehold-yi-2.1"
    assert release_on(entries, "2024-05-30").license == "Apache-2.0"
    assert release_on(entries, None).license == "Apache-2.0"


def test_releases_are_exact_ids_and_each_says_where_its_licence_is_stated():
    for release in releases():
        assert release.models, release
        assert not any(set("*?[") & set(model) for model in release.models), release.models
        assert len(release.source) > 10 and "general knowledge" not in release.source, release.models[0]
        assert release.source not in ("reported", "rumour"), release.models[0]
        if release.checked is not None:
            assert len(release.checked.split("-")) == 3


def test_a_family_is_told_but_is_no_release():
    for family in families():
        assert family.license in licenses()
    family = family_of("ibm-granite/granite-9")
    assert family is not None and family.license == "Apache-2.0"
    assert releases_of("ibm-granite/granite-9") == ()
    assert family_of("ibm-granite/granite-3.3-2b-instruct") is None


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("DeepSeek V3 via Together", "deepseek-ai/DeepSeek-V3"),
        ("answers of gemma-2-9b-it, filtered", "google/gemma-2-9b-it"),
        ("DeepSeek-V3-Banana", None),
        ("DeepSeek V3 Banana", None),
        ("Llama-3.3-70B-Instruct-uncensored", None),
    ],
)
def test_a_name_in_a_text_ends_where_it_ends(text, model):
    assert release_mentioned(text) == model


def sources(*edges, **use):
    lineage = Lineage(model="mine", edges=tuple(LineageEdge(**edge) for edge in edges))
    return resolve(lineage, UseProfile(**use))


def ids(source):
    return [license.id for license in source.licenses]


def test_ancestors_of_a_release_come_before_it_and_once():
    edge = {"kind": "base", "model": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"}
    found = sources(edge)
    assert len(found) > 1 and found[-1].edge.model == edge["model"]
    base = {"kind": "base", "model": found[0].edge.model}
    assert len(sources(base, edge)) == len(found)


@pytest.mark.parametrize("model", ["ours", "our own logs", "in-house data"])
def test_what_is_ours_needs_no_licence(model):
    found = sources(
        {"kind": "base", "model": "Qwen/Qwen2.5-0.5B-Instruct"}, {"kind": "trained_on", "model": model}
    )
    assert found[-1].own and ids(found[-1]) == []


def test_a_declared_licence_is_taken_where_the_model_is_unknown():
    (found,) = sources({"kind": "base", "model": "org/private", "license_id": "mit"})
    assert ids(found) == ["MIT"]


def test_an_adapter_of_a_third_party_without_a_tag_is_unknown():
    base = {"kind": "base", "model": "Qwen/Qwen2.5-0.5B-Instruct"}
    adapter = {"kind": "adapter", "model": "someone/adapter"}
    assert ids(sources(base, adapter)[-1]) == []
    tagged = sources(base, {**adapter, "claimed_license": "mit"})[-1]
    assert ids(tagged) == ["MIT"] and "published under the tag" in (tagged.note or "")
