from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.training.encoder.conftest import json_samples, label_samples, write_dataset

from freehold.training import encoder
from freehold.training.encoder.worker import run_job
from freehold.types.encoder import EncoderConfig, EncoderManifest

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


def made(tmp_path, base, train, validation, **config):
    events = []
    dataset = write_dataset(tmp_path / "data", train, validation)
    job = encoder.make(
        config=EncoderConfig(threads=1, **config),
        dataset=dataset,
        base=base,
        out_dir=tmp_path / "out",
        name="shop",
    )
    assert run_job(job, events.append, lambda: False)
    return encoder.finished(job), events


def answered(folder, texts):
    """Answers by the files alone, as the README of the folder says."""
    import onnxruntime
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    manifest = msgspec.json.decode((folder / "encoder.json").read_bytes(), type=EncoderManifest)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    rows = tokenizer.encode_batch([manifest.prefix + text for text in texts])
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    outputs = session.run(
        None,
        {
            "input_ids": np.array([row.ids for row in rows]),
            "attention_mask": np.array([row.attention_mask for row in rows]),
        },
    )
    named = dict(zip([one.name for one in session.get_outputs()], outputs, strict=True))
    embedding = named["embedding"]
    if manifest.normalize:
        embedding = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    heads = load_file(folder / "heads.safetensors")
    logits = [embedding @ heads[f"{at}.weight"].T + heads[f"{at}.bias"] for at in range(len(manifest.fields))]
    return manifest, logits, named


def test_labels(tmp_path, base_weights):
    model, events = made(tmp_path, base_weights, label_samples(60), label_samples(45, 100))
    assert model is not None
    assert model.validation_asked == 45
    assert model.validation_right >= 43
    assert not model.by_folds
    assert {event.kind for event in events} >= {"start", "step", "eval", "end"}
    held = label_samples(9, 500)
    manifest, logits, _ = answered(Path(model.path), [one.messages[1].content for one in held])
    given = [manifest.fields[0].labels[at] for at in logits[0].argmax(axis=1)]
    assert given == [one.gold for one in held]


def test_fields_lists_and_copies(tmp_path, base_weights):
    model, _ = made(tmp_path, base_weights, json_samples(120), json_samples(60, 300))
    assert [field.kind for field in model.manifest.fields] == ["one", "copied", "several"]
    assert model.manifest.separators == (", ", ": ")
    assert model.validation_right >= 50
    manifest, logits, named = answered(Path(model.path), ["where is my order now number 1234"])
    assert manifest.fields[0].labels[logits[0].argmax()] == "order_status"
    assert named["token_embeddings"].shape[2] == manifest.width


def test_folds_judge_where_nothing_is_left_for_validation(tmp_path, base_weights):
    model, _ = made(tmp_path, base_weights, label_samples(60), [])
    assert model.by_folds
    assert model.validation_asked == 60
    assert "did not see" in (Path(model.path) / "README.md").read_text()
