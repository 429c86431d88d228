"""What a project owns, made without training: a tiny encoder, and the record of an adapter."""

import msgspec
from tests.engines.encoder.tiny import tiny_encoder

from freehold.encoders.folder import read_manifest
from freehold.files import write_json
from freehold.training.artefacts import sha256_of
from freehold.types.config import FinetuneConfig
from freehold.types.encoder import EncoderModel
from freehold.types.training import Adapter


def owned_encoder(project, name="support", stage="frozen", **more):
    """An encoder in the project's state."""
    number = len(list((project.state / "encoders").glob("*")))
    folder = tiny_encoder(project.state / "encoders" / f"{name}-1a2b3c4{number}", **more)
    if stage == "words":
        (folder / "words.json").write_text('{"known": [], "weights": []}')
    base = "words" if stage == "words" else "test/tiny"
    record = EncoderModel(
        id=f"abcdef012345678{number}", name=name, path=str(folder), base_model=base, base_sha256="b" * 64,
        dataset_id="d" * 32, manifest=read_manifest(folder), stage=stage, seed=0, train_samples=120,
        train_seconds=3.0, validation_right=37, validation_asked=40, calibration_error=0.031,
        peak_memory_bytes=200 << 20, files={one.name: sha256_of(one) for one in sorted(folder.iterdir())},
        versions={"onnx": "1"}, made_from=(),
    )  # fmt: skip
    write_json(folder / "encoder_model.json", record)
    return record


def manifest(path, **changes):
    fields = {
        "id": "a" * 32, "name": "support", "path": str(path), "base_model": "test/tiny",
        "base_sha256": "b" * 64, "dataset_id": "d" * 32, "config": FinetuneConfig(r=16),
        "template_sha256": "t" * 64, "seed": 0, "steps": 10, "train_tokens": 1000, "train_seconds": 2.0,
        "final_loss": 0.25, "peak_memory_bytes": 2**30, "files": {}, "versions": {}, "made_from": (),
        "curve": ((1, 2.0), (2, 0.25)),
    }  # fmt: skip
    adapter = Adapter(**{**fields, **changes})
    path.mkdir(parents=True)
    (path / "adapter.json").write_bytes(msgspec.json.encode(adapter))
    return adapter
