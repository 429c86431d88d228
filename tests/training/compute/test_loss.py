"""Cross-entropy in chunks, and attention in either way, against PyTorch's own."""

import pytest
import torch
from torch.nn import functional

from freehold.training.compute.attention import _Block, _explicit, _kernel
from freehold.training.compute.loss import _CHUNK_ROWS, cross_entropy_sum, judge

ROWS = _CHUNK_ROWS + 37  # a whole chunk and a part of one


@pytest.fixture
def numbers():
    torch.manual_seed(0)
    return torch.randn(ROWS, 16), torch.randn(50, 16), torch.randint(50, (ROWS,))


def logits_of(hidden, head, softcap):
    logits = hidden @ head.t()
    return logits if softcap is None else torch.tanh(logits / softcap) * softcap


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_chunks_have_the_loss_and_gradient_of_the_whole(numbers, softcap):
    hidden, head, targets = numbers
    ours, theirs = (hidden.clone().requires_grad_() for _ in range(2))
    loss = cross_entropy_sum(ours, head, targets, softcap=softcap)
    expected = functional.cross_entropy(logits_of(theirs, head, softcap), targets, reduction="sum")
    (2 * loss).backward()
    (2 * expected).backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_a_row_is_right_when_its_target_is_the_most_likely(numbers, softcap):
    hidden, head, targets = numbers
    best = logits_of(hidden, head, softcap).argmax(dim=1)
    targets = torch.where(torch.arange(ROWS) % 3 == 0, best, targets)
    total, right = judge(hidden, head, targets, softcap=softcap)
    expected = functional.cross_entropy(logits_of(hidden, head, softcap), targets, reduction="sum")
    assert total == pytest.approx(float(expected), rel=1e-5)
    assert right.tolist() == (best == targets).tolist()


@pytest.mark.parametrize("window", [None, 5])
def test_explicit_attention_equals_the_kernel(window):
    torch.manual_seed(0)
    block = _Block(torch.randn(3, 7, 4, 8), torch.randn(3, 11, 2, 8), torch.randn(3, 11, 2, 8))
    explicit, _ = _explicit(block, 0.3, window)
    torch.testing.assert_close(explicit, _kernel(block, 0.3, window), rtol=1e-4, atol=1e-5)
