"""An exported encoder is a whole folder, and says what it is."""

from pathlib import Path

import pytest
from tests.workflows.train.owned import owned_encoder

from freehold.errors import StorageError, UsageError, WeightsError
from freehold.types.progress import Silent
from freehold.workflows.project import open_project
from freehold.workflows.train import encoder_export
from freehold.workflows.train.encoder_export import export_encoder


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    monkeypatch.chdir(tmp_path)
    return open_project()


@pytest.fixture(autouse=True)
def _no_base(monkeypatch):
    def gone(model, *arguments, **more):
        raise WeightsError(f"weights of {model} are not here")

    monkeypatch.setattr(encoder_export, "ensure_weights", gone)


def test_the_folder_is_whole_and_its_card_says_what_the_records_say(project):
    encoder = owned_encoder(project)
    made = export_encoder(project, encoder, progress=Silent())
    folder = Path(made.path)
    assert folder == project.root / "exports" / "support-abcdef01-encoder"
    assert set(made.files) == {
        "encoder.json",
        "heads.safetensors",
        "model.onnx",
        "student.pyz",
        "tokenizer.json",
    }
    assert made.notes == ("it cannot be tuned on from here: weights of test/tiny are not here",)
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nbase_model: test/tiny\n")
    for words in ("one of `track`, `cancel`, `refund`, `other`", "37 of 40 samples left out right (92.5%)", "0.031",
                  "Ruling: **unclear**", encoder.id, made.usage,
                  "not been evaluated", "neither PyTorch nor an installed freehold"):  # fmt: skip
        assert words in card, words
    for name, digest in made.files.items():
        assert f"`{name}` sha256 `{digest}`" in card
    assert export_encoder(project, encoder, progress=Silent()).path == made.path


def test_what_is_not_an_export_is_not_replaced(project):
    encoder = owned_encoder(project)
    (project.root / "mine").mkdir()
    (project.root / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an export"):
        export_encoder(project, encoder, out=project.root / "mine", progress=Silent())
    (project.root / "file").write_text("")
    with pytest.raises((StorageError, UsageError)):
        export_encoder(project, encoder, out=project.root / "file" / "inner", progress=Silent())
    assert (project.root / "mine" / "notes.txt").read_text() == "mine"
