import msgspec
import pytest

from freehold.training.defaults import resolved, weight_count
from freehold.types.config import FinetuneConfig
from freehold.types.model import Weights


def base(gigabytes: float, quantization: str = "Q4_K_M") -> Weights:
    return Weights(
        model_id="a/b", format="gguf", quantization=quantization, bytes=int(gigabytes * 1e9), sha256="0",
        source="x", path=None,
    )  # fmt: skip


@pytest.mark.parametrize(("samples", "epochs"), [(0, 15), (500, 12), (10_000, 4)])
def test_small_sets_are_gone_through_more_often(samples, epochs):
    assert resolved(FinetuneConfig(batch_size=32), base(0.1), samples).epochs == epochs


@pytest.mark.parametrize(("size", "rate"), [(0.1, 1e-3), (0.8, 5e-4), (4.4, 2e-4)])
def test_larger_bases_learn_at_a_lower_rate(size, rate):
    assert resolved(FinetuneConfig(), base(size), 1000).learning_rate == rate


def test_what_is_given_stays():
    config = FinetuneConfig(epochs=0.5, learning_rate=3e-4)
    assert resolved(config, base(4.4), 10) == config
    assert msgspec.structs.replace(
        resolved(FinetuneConfig(), base(1), 10), epochs=0.0, learning_rate=0.0
    ) == (FinetuneConfig())


@pytest.mark.parametrize(
    ("size", "quantization", "count"),
    [(0.098, "Q4_1", 0.163e9), (0.27, "BF16", 0.135e9), (0.54, "F32", 0.135e9)],
)
def test_weights_are_counted_by_their_format(size, quantization, count):
    assert weight_count(base(size, quantization)) == pytest.approx(count, rel=0.01)
