"""An exported encoder is a whole folder, and says what it is."""

from pathlib import Path

import numpy as np
from tests.workflows.train.owned import owned_encoder

from freehold.errors import WeightsError
from freehold.progress import Silent
from freehold.workflows.train import encoder_export
from freehold.workflows.train.encoder_export import export_encoder


def test_the_folder_is_whole_and_its_card_says_what_the_records_say(project, monkeypatch):
    def gone(model, *arguments, **more):
        raise WeightsError(f"weights of {model} are not here")

    monkeypatch.setattr(encoder_export, "ensure_weights", gone)
    encoder = owned_encoder(project)
    made = export_encoder(project, encoder, progress=Silent())
    folder = Path(made.path)
    assert folder == project.root / "exports" / "support-abcdef01-encoder"
    assert set(made.files) == {
        "ask.py",
        "encoder.json",
        "heads.npz",
        "heads.safetensors",
        "model.onnx",
        "tokenizer.json",
    }
    assert made.notes == ("it cannot be tuned on from here: weights of test/tiny are not here",)
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nbase_model: test/tiny\n")
    for words in ("one of `track`, `cancel`, `refund`, `other`", "37 of 40 samples left out right (92.5%)", "0.031",
                  "Ruling: **unclear**", encoder.id, made.usage,
                  "not been evaluated", "neither PyTorch nor freehold"):  # fmt: skip
        assert words in card, words
    for name, digest in made.files.items():
        assert f"`{name}` sha256 `{digest}`" in card
    with np.load(folder / "heads.npz", allow_pickle=False) as heads:
        assert set(heads) == {"0.weight", "0.bias"}
    assert export_encoder(project, encoder, progress=Silent()).path == made.path
