"""An exported encoder is a whole folder, and says what it is."""

from pathlib import Path

import numpy as np
from tests.workflows.train.owned import owned_encoder

from freehold.store import open_store
from freehold.types.progress import Silent
from freehold.types.report import CandidateReport
from freehold.workflows.train import export_records
from freehold.workflows.train.encoder_export import export_encoder
from freehold.workflows.train.export_records import candidate_of, dataset_of, rulings_of, stored_base


def test_the_folder_is_whole_and_its_card_says_what_the_records_say(project):
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
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nbase_model: test/tiny\n")
    for words in ("one of `track`, `cancel`, `refund`, `other`", "37 of 40 validation samples right (92.5%)", "0.031",
                  "Ruling: **unclear**", encoder.id, made.usage,
                  "not been evaluated", "neither PyTorch nor freehold"):  # fmt: skip
        assert words in card, words
    for name, digest in made.files.items():
        assert f"`{name}` sha256 `{digest}`" in card
    with np.load(folder / "heads.npz", allow_pickle=False) as heads:
        assert set(heads) == {"0.weight", "0.bias"}
    assert export_encoder(project, encoder, progress=Silent()).path == made.path


def test_what_nobody_recorded_is_absent(project):
    assert stored_base(project, "test/tiny") is None
    assert dataset_of(project, "d" * 32) is None
    assert candidate_of(project, "e" * 32) is None
    own, passing_on = rulings_of(project, "test/tiny", None, Silent())
    assert own is not None and passing_on is not None and own.outcome == "unclear"


def test_the_newest_lines_on_an_encoder_are_found(project, monkeypatch):
    encoder = owned_encoder(project)

    class Page:
        def __init__(self, score):
            self.candidates = (CandidateReport(model=score, encoder=encoder), CandidateReport(model="other"))

    with open_store(project.store_url):
        pass
    monkeypatch.setattr("freehold.store.Store.records", lambda self, kind: [Page("old"), Page("new")])
    assert candidate_of(project, encoder.id).model == "new"
    assert candidate_of(project, "none") is None
    assert export_records.ExportRulings(None, None).own is None
