"""What a run computes, and how long that takes where nothing was measured."""

import msgspec
import pytest
import torch

from freehold.training import probe
from freehold.types.config import FinetuneConfig
from freehold.types.model import Shape

SHAPE = Shape(
    architecture="llama", layers=1, hidden=16, heads=2, kv_heads=2, head_dim=8, ffn=32, vocabulary=100,
    context_tokens=64, tied_embeddings=True, attention=("full",),
)  # fmt: skip
WORK = probe.TokenCounts(tokens=100.0, learned_tokens=10.0)


def operations(**options):
    return probe.operations(WORK, 1000.0, 500.0, 20.0, msgspec.structs.replace(FinetuneConfig(), **options))


def test_operations_are_two_a_weight_and_token_for_each_product():
    assert operations() == 100 * (4 * 1000 + 6 * 20) + 10 * 4 * 500
    assert (
        operations(method="full") == 100 * 6 * 1000 + 10 * 6 * 500
    )  # every weight has a gradient, none is added
    assert operations(gradient_checkpointing=True) == 100 * (6 * 1000 + 6 * 20) + 10 * 6 * 500


def test_written_out_layers_are_expected_sooner():
    fused, modules = (probe.seconds(1e12, 1e11, fused=one) for one in (True, False))
    assert 10 < fused[0] < fused[1] and 10 < modules[0] < modules[1]
    assert fused[0] < modules[0] and fused[1] < modules[1]


@pytest.mark.parametrize("bf16", [True, False])
def test_products_are_timed_and_the_threads_put_back(monkeypatch, bf16):
    monkeypatch.setattr(probe, "SECONDS", 0.01)
    before = torch.get_num_threads()
    assert probe.products_per_second(SHAPE, bf16=bf16, threads=1) > 0
    assert torch.get_num_threads() == before
