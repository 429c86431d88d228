import math

import msgspec
import pytest

from freehold.errors import TrainingError
from freehold.training.schedule import FEWEST_SAMPLES, check, check_count, check_rank, resolved, weight_count
from freehold.types.config import FinetuneConfig
from freehold.types.model import Weights


def base(gigabytes: float, quantization: str = "Q4_K_M") -> Weights:
    return Weights(
        model_id="a/b", format="gguf", quantization=quantization, bytes=int(gigabytes * 1e9), sha256="0",
        source="x", path=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("samples", "epochs"), [(50, 15), (100, 15), (500, 12), (2000, 4), (10_000, 4), (0, 15)]
)
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


def test_a_rank_fits_into_the_narrowest_layer():
    check_rank(FinetuneConfig(r=32), 32)
    check_rank(FinetuneConfig(r=64, method="full"), 32)  # no rank is used
    with pytest.raises(TrainingError, match=r"rank r=33 is larger .* \(32\)") as caught:
        check_rank(FinetuneConfig(r=33), 32)
    assert caught.value.hint == "choose r of at most 8"


def test_too_few_samples_say_what_is_needed_and_why_the_first_was_left_out():
    check_count(FEWEST_SAMPLES, None)
    with pytest.raises(TrainingError, match=r"3 samples can be trained on, at least 4 are needed$") as caught:
        check_count(3, None)
    assert caught.value.hint.startswith("add samples")
    with pytest.raises(TrainingError, match="first reject: too long"):
        check_count(0, "too long")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"method": "magic"}, "method"), ({"learning_rate": math.inf}, "learning_rate is inf")],
)
def test_options_that_cannot_work_are_refused_before_anything_is_loaded(changes, message):
    with pytest.raises(TrainingError, match=message):
        check(msgspec.structs.replace(FinetuneConfig(), **changes))
