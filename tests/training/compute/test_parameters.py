"""Trained parameters as views of one vector."""

import pytest
import torch

from freehold.training.compute.parameters import Parameters


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
