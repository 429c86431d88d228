import pytest

from freehold.errors import TrainingError
from freehold.training.encoder import base as bases
from freehold.training.encoder import output
from freehold.types.encoder import EncoderManifest

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
