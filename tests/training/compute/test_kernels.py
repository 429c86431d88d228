"""The compiled loops against PyTorch's operations, in bfloat16."""

import pytest
import torch
from tests.training.conftest import task_samples

from freehold.training.compute import kernels
from freehold.training.formatting import format_samples

pytestmark = pytest.mark.skipif(
    kernels.load() is None, reason="no C compiler that the loops can be built with"
)


def test_a_step_has_the_same_loss_and_gradient(tiny, tokenizer, both_ways):
    from tests.training.compute.test_fused import trainer_for

    samples = format_samples(tokenizer, task_samples(9), max_tokens=512).samples
    trainer = trainer_for(tiny, precision="bf16")
    exact = trainer_for(tiny)

    def gradient(trainer=trainer):
        trainer._fused.refresh()
        trainer.parameters.zero_gradient()
        loss, _, _ = trainer.loss_sum(samples)
        loss.backward()
        return loss.detach(), trainer.parameters.gradient.clone()

    (loss, native), (plain_loss, plain) = both_ways(gradient)
    true_loss, true = gradient(exact)
    torch.testing.assert_close(loss, true_loss, rtol=0.02, atol=0.0)
    torch.testing.assert_close(loss, plain_loss, rtol=0.02, atol=0.0)
    off, plain_off = ((found - true).norm() / true.norm() for found in (native, plain))
    assert off < 0.05
    assert off < 1.5 * plain_off
