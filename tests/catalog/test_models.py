"""Models of the catalog, those synced from a hub, and published scores."""

from datetime import date

import msgspec
import pytest
from tests.hardware.small_shapes import shape

from freehold.catalog import models, synced, vendors
from freehold.catalog.synced import SeenQuantization, SyncedModel
from freehold.errors import InputError, StorageError
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
        ("meta-llama/Llama-3.1-8B-Instuct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("gemma3:4b", "google/gemma-3-4b-it"),
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
    owners = {owner.lower() for row in vendors.publishers() for owner in row.owners}
    missing = {model.id for model in models.all_models() if model.id.split("/")[0].lower() not in owners}
    assert missing <= {"TinyLlama/TinyLlama-1.1B-Chat-v1.0"}


def test_no_row_names_a_model_that_the_catalog_has():
    names = [name for row in models.unlisted_rows() for name in row.ids]
    assert len(names) == len(set(names)) > 20
    assert [name for name in names if models.find(name) is not None] == []


@pytest.mark.parametrize("name", ["mistral", "mistral-large", "Qwen/Qwen3.8-27B", "org/gone", ""])
def test_a_family_alone_is_not_enough(name):
    assert models.why_unlisted(name) is None


def test_tables_of_2025_and_later_say_their_month_and_cover_what_readers_ask_for():
    recent = [row for row in models.score_rows() if row.published and row.published >= "2025-01"]
    assert {"GPQA Diamond", "MMLU-Pro", "SWE-bench Verified", "BFCL-V4"} <= {row.task for row in recent}
    assert all(0 <= row.score <= 100 and row.metric == "%" for row in recent)
    assert len({(row.task, row.model, row.source) for row in recent}) == len(recent), (
        "none twice in one table"
    )


def test_a_models_scores_are_found_by_any_of_its_names():
    row = models.score_rows()[0]
    assert row in models.scores_of((row.model.upper(),)) and row in models.scores_of((f"maker/{row.model}",))
    assert models.scores_of(("no/such",)) == []


MODEL = SyncedModel(
    id="Org/Model-1B", commit="c1", publisher="Org", license="mit", gated=False, source="https://hub/Org/Model-1B",
    fetched=date(2026, 11, 1), shape=shape(),
    quantizations=(SeenQuantization(repo="Org/Model-GGUF", quantization="Q4_K_M", bytes=5, files=("a.gguf",)),),
)  # fmt: skip


def changed(**fields):
    return msgspec.structs.replace(MODEL, **fields)


def test_a_damaged_record_says_how_to_get_it_back(tmp_path):
    synced.keep(tmp_path, MODEL)
    (synced.folder(tmp_path) / "Org--Model-1B.json").write_text("{")
    with pytest.raises(StorageError, match="cannot be read") as caught:
        synced.all_synced(tmp_path)
    assert "freehold catalog sync" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"layers": 9}, "it has 9 layers, and attention names"),
        ({"kv_heads_by_layer": (1,)}, "and kv_heads_by_layer names 1"),
        ({"attention": ("recurrent",) * shape().layers}, "recurrent layers and not their sizes"),
        ({"context_tokens": 0}, "context_tokens is 0"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused_with_its_path(tmp_path, sizes, told):
    synced.keep(tmp_path, changed(shape=msgspec.structs.replace(shape(), **sizes)))
    with pytest.raises(StorageError) as caught:
        synced.find(tmp_path, "Org/Model-1B")
    assert told in caught.value.message and "Org--Model-1B.json" in caught.value.message
