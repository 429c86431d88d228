import pytest

from freehold.errors import TrainingError
from freehold.training.encoder import base as bases
from freehold.training.encoder import output
from freehold.training.encoder.output import card_of
from freehold.types.encoder import EncoderManifest, EncoderModel, FieldHead

MANIFEST = EncoderManifest(base_model="b", base_sha256="0", width=32, answer="label", fields=())


@pytest.mark.timeout(600)
def test_the_graph_computes_what_the_trainer_does_or_is_refused(base_weights, tmp_path):
    import torch

    base = bases.load(base_weights)
    output.export(base, tmp_path, tokens=True)
    output._check(base, MANIFEST, tmp_path, ["where is my order now", "lamp"])
    with torch.no_grad():
        base.model.encoder.layer[0].output.dense.weight.mul_(3)
    with pytest.raises(TrainingError, match="embeds 2 texts otherwise than PyTorch"):
        output._check(base, MANIFEST, tmp_path, ["where is my order now", "lamp"])


def test_two_values_of_one_name_are_told_apart():
    class Value:
        def __init__(self, name):
            self.name = name

    class Node:
        def __init__(self, *outputs):
            self.outputs = outputs

    result, inner = Value("embedding"), Value("embedding")

    class Graph(list):
        outputs = (result,)

    output._rename_inner(Graph([Node(inner), Node(result)]))
    assert (result.name, inner.name) == ("embedding", "inner_embedding")


def made(**changes):
    manifest = EncoderManifest(
        base_model="org/base", base_sha256="b", width=4, answer="json",
        fields=(FieldHead(name="intent", kind="one", labels=("a", "b")),
                FieldHead(name="order", kind="copied", copied_as="digits")),
    )  # fmt: skip
    return EncoderModel(
        **{
            "id": "e", "name": "shop", "path": "/x", "base_model": "org/base", "base_sha256": "b", "dataset_id": "d",
            "manifest": manifest, "stage": "tuned", "seed": 0, "train_samples": 1200, "train_seconds": 9.0,
            "validation_right": 45, "validation_asked": 50, "calibration_error": 0.021, "peak_memory_bytes": None,
            "files": {}, "versions": {"torch": "2"}, "made_from": (), **changes,
        }
    )  # fmt: skip


def test_the_card_says_what_it_is_and_how_good():
    card = card_of(made())
    assert "base_model: org/base" in card
    assert "taught to answer from closed sets by 1,200 samples" in card
    assert "- intent: one of 2 labels" in card
    assert "- order: copied from the message (digits)" in card
    assert "45 of 50 validation samples right; expected calibration error 0.021" in card


def test_what_was_not_measured_is_not_said():
    card = card_of(made(validation_right=0, validation_asked=0, calibration_error=None))
    assert "not validated: there were too few samples" in card
    assert "each by heads that did not see it" in card_of(made(by_folds=True))
