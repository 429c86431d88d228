"""An exported encoder as others open it: with the real sentence-transformers and transformers."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("sentence_transformers")

from tests.training.encoder.conftest import base_at, label_samples
from tests.training.encoder.test_worker import made as trained

from freehold.encoders.folder import read_heads, read_manifest
from freehold.encoders.runner import load_runner
from freehold.progress import Silent
from freehold.workflows.project import open_project
from freehold.workflows.train import encoder_export

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]
TEXTS = ["where is my order now 4", "please cancel the rug order", "glass broken", "hello"]


def exported(tmp_path, monkeypatch, base, *, model_id, **config):
    base = msgspec.structs.replace(base, model_id=model_id)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(encoder_export, "ensure_weights", lambda *_, **__: base)
    encoder, _ = trained(tmp_path, base, label_samples(90), label_samples(45, 200), **config)
    return encoder, encoder_export.export_encoder(open_project(), encoder, progress=Silent())


@pytest.mark.parametrize(("stage", "model_id"), [("frozen", "test/e5-small"), ("tuned", "test/tiny")])
def test_the_same_embeddings_and_labels_and_it_learns_on(tmp_path, monkeypatch, stage, model_id):
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    base = base_at(tmp_path / "base")
    _, made = exported(tmp_path, monkeypatch, base, model_id=model_id, stage=stage)
    assert made.notes == ()
    folder = Path(made.path)
    manifest = read_manifest(folder)
    ours = load_runner(folder, threads=1).run(TEXTS)
    opened = SentenceTransformer(str(folder), device="cpu")
    theirs = opened.encode(TEXTS)
    for one, row in zip(ours, theirs, strict=True):
        assert one.embedding @ (row / np.linalg.norm(row)) >= 0.9999
    (head,) = read_heads(folder, manifest)
    logits = theirs @ head.weight.T + head.bias
    assert [row.argmax() for row in logits] == [one.logits[0].argmax() for one in ours]

    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        inputs = tokenizer([manifest.prefix + TEXTS[0]], return_tensors="pt")
        pooled = model(**inputs).last_hidden_state.mean(1)[0].numpy()
    assert ours[0].embedding @ (pooled / np.linalg.norm(pooled)) >= 0.9999

    opened(opened.preprocess(TEXTS))["sentence_embedding"][:, 0].sum().backward()
    assert all(one.grad is not None for name, one in opened.named_parameters() if "query" in name)


def test_weights_of_another_base_are_not_passed_off_as_its_own(tmp_path, monkeypatch):
    base = base_at(tmp_path / "base")
    encoder, made = exported(tmp_path, monkeypatch, base, model_id="test/tiny", stage="frozen")
    other = msgspec.structs.replace(base, sha256="0" * 64)
    monkeypatch.setattr(encoder_export, "ensure_weights", lambda *_, **__: other)
    again = encoder_export.export_encoder(open_project(), encoder, progress=Silent())
    assert "other weights here" in again.notes[0]
    assert "model.safetensors" in made.files and "model.safetensors" not in again.files
