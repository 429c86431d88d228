"""Manifests: what they are of is told by how they were trained."""

import msgspec
import pytest
from tests.workflows.journey.rehearsal import trained

from freehold.types.config import FinetuneConfig
from freehold.types.training import Adapter, TrainingResult, WholeModel, as_made


@pytest.mark.parametrize(
    ("method", "kind"),
    [("lora", Adapter), ("qlora", Adapter), ("full", WholeModel)],
)
def test_a_manifest_is_of_an_adapter_or_of_whole_weights(method, kind):
    read = trained(TrainingResult, "/a", "x", FinetuneConfig(method=method))
    made = as_made(read)
    assert type(made) is kind and made.is_whole == (kind is WholeModel)
    assert msgspec.structs.asdict(made) == msgspec.structs.asdict(read)


def test_a_manifest_survives_its_file():
    made = trained(WholeModel, "/a", "model.gguf", FinetuneConfig(method="full"))
    assert as_made(msgspec.json.decode(msgspec.json.encode(made), type=TrainingResult)) == made
