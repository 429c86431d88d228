import pytest

from freehold.errors import TrainingError
from freehold.training.methods.checks import FEWEST_SAMPLES, check_count, check_rank
from freehold.types.config import FinetuneConfig


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
