"""The compiled loops against PyTorch's operations, in bfloat16."""

import pytest
import torch
from tests.training.conftest import task_samples
from tests.training.runs import trainer_for

from freehold.training.compute import kernels
from freehold.training.formatting import format_samples

pytestmark = pytest.mark.skipif(
    kernels.load() is None, reason="no C compiler that the loops can be built with"
)


@pytest.fixture
def both_ways(monkeypatch):
    torch.manual_seed(0)

    def run(work):
        native = work()
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "load", lambda: None)
            plain = work()
        return native, plain

    return run


def normal(*shape):
    return torch.randn(*shape).bfloat16()


def test_cross_entropy():
    torch.manual_seed(0)
    logits, targets = normal(9, 1003) * 5, torch.randint(1003, (9,))
    logits[0, targets[0]] = 60.0  # as good as certain
    logits[1, 7] = logits[1, targets[1]] = 70.0  # two that are equally likely
    exact = logits.double().requires_grad_()
    expected = torch.nn.functional.cross_entropy(exact, targets, reduction="none")
    expected.sum().backward()
    slope = logits.clone()
    loss, right = kernels.cross_entropy_(slope, targets)
    torch.testing.assert_close(loss, expected.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(slope.double(), exact.grad, rtol=0.01, atol=1e-6)
    assert right.tolist() == (logits.argmax(dim=1) == targets).tolist()


@pytest.mark.parametrize("where", ["swiglu", "cross_entropy"])
def test_not_a_number_stays_not_a_number(where):
    x = normal(2, 64)
    x[1, 3] = float("nan")
    if where == "swiglu":
        assert kernels.swiglu(x).isnan().sum() == 1
    else:
        assert kernels.cross_entropy_(x, torch.tensor([1, 2]))[0].isnan().tolist() == [False, True]


def test_a_step_has_the_same_loss_and_gradient(tiny, tokenizer, both_ways, request):
    samples = format_samples(tokenizer, task_samples(9), max_tokens=512).samples
    exact = trainer_for(tiny)
    request.getfixturevalue("bf16")
    trainer = trainer_for(tiny)

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
