"""Manifests: what they are of is told by how they were trained."""

import msgspec
import pytest
from tests.workflows.journey.rehearsal import trained

from freehold.types.config import FinetuneConfig
from freehold.types.training import Adapter, TrainingResult, WholeModel, as_made

RELEASED = {
    "id": "f" * 32, "name": "inbox", "path": "/a", "base_model": "org/base", "base_sha256": "b" * 64, "dataset_id": "d",
    "config": {"r": 8, "lora_alpha": 16}, "template_sha256": "t", "seed": 0, "steps": 1, "train_tokens": 1,
    "train_seconds": 1.0, "final_loss": 0.1, "peak_memory_bytes": None, "files": {"adapter.gguf": "e"}, "versions": {},
    "made_from": [],
}  # fmt: skip
"""A manifest as the first versions wrote it: no curve, no metadata, no method."""


@pytest.mark.parametrize(
    ("method", "kind"),
    [("lora", Adapter), ("qlora", Adapter), ("full", WholeModel)],
)
def test_a_manifest_is_of_an_adapter_or_of_whole_weights(method, kind):
    read = trained(TrainingResult, "/a", "x", FinetuneConfig(method=method))
    made = as_made(read)
    assert type(made) is kind and made.is_whole == (kind is WholeModel)
    assert msgspec.structs.asdict(made) == msgspec.structs.asdict(read)


def test_old_manifests_are_read():
    made = as_made(msgspec.json.decode(msgspec.json.encode(RELEASED), type=TrainingResult))
    assert isinstance(made, Adapter)
    assert (made.config.r, made.config.method, made.curve, made.metadata) == (8, "lora", (), {})


def test_a_manifest_survives_its_file():
    made = trained(WholeModel, "/a", "model.gguf", FinetuneConfig(method="full"))
    assert as_made(msgspec.json.decode(msgspec.json.encode(made), type=TrainingResult)) == made
