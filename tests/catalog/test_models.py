"""Rows of models, of their publishers, and of models that have none."""

import pytest

from freehold.catalog import models, publishers, unlisted
from freehold.errors import InputError
from freehold.hardware.tensors import parameter_count


def test_parameter_counts_follow_from_the_shapes_exactly_where_published():
    counted = [model for model in models.all_models() if model.published_parameters]
    assert counted
    wrong = {
        model.id: parameter_count(model.shape) - model.published_parameters
        for model in counted
        if parameter_count(model.shape) != model.published_parameters
    }
    assert not wrong


def test_every_row_has_source_and_date_and_one_name():
    seen = set()
    for model in models.all_models():
        assert model.source
        assert model.checked.year >= 2026
        assert len(model.shape.attention) == model.shape.layers
        for name in (model.id, *model.aliases):
            assert name.lower() not in seen, f"{name} is named twice"
            seen.add(name.lower())


TOOLS_NOT_LOOKED_UP = {
    "moonshotai/Kimi-Linear-48B-A3B-Instruct",
    "LGAI-EXAONE/EXAONE-3.5-2.4B-Instruct",
    "LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct",
    "LGAI-EXAONE/EXAONE-3.5-32B-Instruct",
}


def test_every_row_says_when_it_came_and_whether_its_template_renders_tools():
    for model in models.all_models():
        assert model.released, model.id
    unknown = {model.id for model in models.all_models() if model.instruct and model.tools is None}
    assert unknown == TOOLS_NOT_LOOKED_UP


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("Qwen/Qwen3.9-27B", "of its family it has Qwen/Qwen3.8-27B (2026-08)"),
        ("deepseek-ai/DeepSeek-V5", "of its family it has deepseek-ai/DeepSeek-V4-"),
        ("Qwen/Qwen3-Coder-35B-A3B", "of its family it has Qwen/Qwen3-Coder-Next"),
        ("Qwen/Qwen3-Omni-30B-A3B", "of its family it has Qwen/"),
        ("Qwen/Qwen3.8-Flash-Next", "it is known and has no row: its config.json (model_type qwen4_exp"),
        ("org/gone", "does not know it: a later release, or another name."),
    ],
)
def test_another_version_is_never_what_was_meant(asked, says):
    hint = models.hint(asked)
    assert says.lower() in hint.lower() and "did you mean" not in hint
    assert f"freehold fit PATH; from a hub: freehold catalog sync {asked}" in hint


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("qwen3.8-27b-instruct", "Qwen/Qwen3.8-27B"),
        ("meta-llama/Llama-3.1-8B-Instuct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("gemma3:4b", "google/gemma-3-4b-it"),
        ("llama-3.1", "meta-llama/Llama-3.1-8B-Instruct"),
    ],
)
def test_a_misspelling_is_what_was_meant(asked, meant):
    assert models.hint(asked).startswith(f"did you mean {meant}?")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("family = 1", "family"),
        ('family = "F"\npublisher = "P"\nmodels = []\nextra = 1', "extra"),
        (
            'family = "F"\npublisher = "P"\n[[models]]\nid = "a/b"\nsource = "s"\nchecked = 2026-11-25\n'
            'shape = { layers = 2, attention = ["full"], lairs = 3 }',
            "shape|layers|required|lairs",
        ),
    ],
)
def test_wrong_family_file_names_the_file_and_the_place(text, says):
    with pytest.raises(InputError, match=says):
        models.read_family(text, "wrong.toml")


def test_a_release_with_an_id_of_its_own_is_found_with_its_form():
    [model] = models.read_family(_RELEASES, "made_up.toml")
    assert models.published(model, "acme/Made-1B-FP8").form == "FP8"
    assert models.published(model, "made-1b-fp8").form == "FP8"
    own = models.published(model, "acme/Made-1B")
    assert (own.form, own.dense, own.bytes) == ("INT4", "BF16", 700)


def test_a_form_that_weights_do_not_have_is_refused():
    with pytest.raises(InputError, match="Q4_K_M"):
        models.read_family(_RELEASES.replace('"FP8"', '"Q4_K_M"'), "made_up.toml")


def test_every_release_has_a_source_and_an_id_that_no_other_row_has():
    names = [name.lower() for model in models.all_models() for name in (model.id, *model.aliases)]
    for model in models.all_models():
        assert sum(one.id is None for one in model.published) <= 1
        for one in model.published:
            assert one.source
            assert one.checked.year >= 2026
            if one.id is not None:
                assert one.id.lower() not in names
                assert models.find(one.id) is model
                names.append(one.id.lower())


_RELEASES = """
family = "Made"
publisher = "Acme"

[shape]
architecture = "qwen3"
layers = 2
hidden = 64
heads = 4
kv_heads = 2
head_dim = 16
ffn = 128
vocabulary = 512
context_tokens = 4096
tied_embeddings = true

[[models]]
id = "acme/Made-1B"
shape = {}
published = [
  { form = "INT4", dense = "BF16", bytes = 700, source = "made up", checked = 2026-11-27 },
  { id = "acme/Made-1B-FP8", form = "FP8", source = "made up", checked = 2026-11-27 },
]
source = "made up"
checked = 2026-11-27
"""


def test_every_family_has_its_publisher():
    owners = {owner.lower() for row in publishers.rows() for owner in row.owners}
    missing = {model.id for model in models.all_models() if model.id.split("/")[0].lower() not in owners}
    assert missing <= {"TinyLlama/TinyLlama-1.1B-Chat-v1.0"}


def test_no_row_names_a_model_that_the_catalog_has():
    names = [name for row in unlisted.rows() for name in row.ids]
    assert len(names) == len(set(names)) > 20
    assert [name for name in names if models.find(name) is not None] == []


def test_each_says_why_from_where_and_when():
    for row in unlisted.rows():
        assert row.why and row.source and row.released >= "2025-01" and row.checked.year >= 2026, row.ids


@pytest.mark.parametrize("name", ["Qwen/Qwen3.8-Flash-Next", "qwen3.8-flash-next", "Mistral Large 4"])
def test_a_row_is_found_by_its_id_or_by_how_people_call_it(name):
    assert unlisted.why(name) is not None


@pytest.mark.parametrize("name", ["mistral", "mistral-large", "Qwen/Qwen3.8-27B", "org/gone", ""])
def test_a_family_alone_is_not_enough(name):
    assert unlisted.why(name) is None
