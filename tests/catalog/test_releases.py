import pytest

from freehold.catalog import models
from freehold.catalog.licenses import licenses
from freehold.catalog.releases import (
    families,
    family_of,
    release_mentioned,
    release_on,
    releases,
    releases_of,
)


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


def test_every_model_with_a_shape_is_an_exact_release():
    assert not [model.id for model in models.all_models() if not releases_of(model.id)]


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
