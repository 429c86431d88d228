"""A tiny encoder as a project owns it: folder and record, made without training."""

from tests.engines.encoder.tiny import tiny_encoder

from freehold.encoders.folder import read_manifest
from freehold.files import write_json
from freehold.training.output.artefacts import sha256_of
from freehold.types.encoder import EncoderModel


def owned_encoder(project, name="support", **more):
    """An encoder in the project's state."""
    number = len(list((project.state / "encoders").glob("*")))
    folder = tiny_encoder(project.state / "encoders" / f"{name}-1a2b3c4{number}", **more)
    record = EncoderModel(
        id=f"abcdef012345678{number}", name=name, path=str(folder), base_model="test/tiny", base_sha256="b" * 64,
        dataset_id="d" * 32, manifest=read_manifest(folder), stage="frozen", seed=0, train_samples=120,
        train_seconds=3.0, validation_right=37, validation_asked=40, calibration_error=0.031,
        peak_memory_bytes=200 << 20, files={one.name: sha256_of(one) for one in sorted(folder.iterdir())},
        versions={"onnx": "1"}, made_from=(),
    )  # fmt: skip
    write_json(folder / "encoder_model.json", record)
    return record
