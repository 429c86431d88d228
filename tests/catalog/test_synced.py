from datetime import date

import msgspec
import pytest
from tests.hardware.small_shapes import shape

from freehold.catalog import synced
from freehold.catalog.synced import SeenQuantization, SyncedModel
from freehold.errors import StorageError

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
