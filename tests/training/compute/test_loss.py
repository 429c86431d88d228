"""Cross-entropy in chunks against PyTorch's own, and trained parameters as views of one vector."""

import pytest
import torch
from torch.nn import functional

from freehold.training.compute.kernels import _CHUNK_ROWS, Parameters, cross_entropy_sum, judge

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


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    model[0].bias.requires_grad_(False)
    return model


def test_a_model_computes_with_the_vector(model):
    x = torch.ones(1, 3)
    before = model(x)
    parameters = Parameters(model)
    assert parameters.names == ["0.weight", "1.weight", "1.bias"]
    assert parameters.flat.numel() == 6 + 4 + 2
    assert torch.equal(model(x), before)
    begin, end = parameters.slices["1.bias"]
    with torch.no_grad():
        parameters.flat[begin:end] += 5
    torch.testing.assert_close(model(x), before + 5)


def test_gradients_gather_in_one_vector_and_start_again_at_zero(model):
    parameters = Parameters(model)
    model(torch.ones(1, 3)).sum().backward()
    begin, end = parameters.slices["1.bias"]
    assert parameters.gradient[begin:end].tolist() == [1.0, 1.0]
    assert parameters.view(model[1].bias).gradient.tolist() == [1.0, 1.0]
    assert parameters.view(model[0].weight).shape == (2, 3)
    parameters.zero_gradient()
    assert not model[1].bias.grad.any()


def test_the_optimizer_moves_what_the_model_uses(model):
    parameters = Parameters(model)
    optimizer = torch.optim.SGD([parameters.flat], lr=1.0)
    before = model[1].bias.detach().clone()
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(model[1].bias.detach(), before - 1)
