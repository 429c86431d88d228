import pytest

from freehold.catalog import models
from freehold.errors import InputError, UnknownModelError
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
    assert unknown == TOOLS_NOT_LOOKED_UP  # freehold catalog status names them


def test_found_by_id_alias_or_short_name():
    assert models.get("google/gemma-3-270m") is models.get("GEMMA-3-270M-it")


def test_misspelt_id_names_the_nearest():
    with pytest.raises(UnknownModelError) as caught:
        models.get("google/gema-3-270m")
    assert "did you mean google/gemma-3-270m?" in caught.value.hint


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
    ("said", "first"),
    [
        ("Qwen 2.5 7B", "Qwen/Qwen2.5-7B-Instruct"),
        ("llama-3.1", "meta-llama/Llama-3.1-8B-Instruct"),
        ("gemma 3 27b", "google/gemma-3-27b-it"),
        ("meta-llama/Llama-3.1-8B-Instuct", "meta-llama/Llama-3.1-8B-Instruct"),
    ],
)
def test_what_was_meant_holds_every_word_or_is_spelt_alike(said, first):
    assert models.nearest_all(said)[0] == first


def test_what_is_like_nothing_has_no_neighbour():
    assert models.nearest_all("zzzz") == () == models.nearest_all("")


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
