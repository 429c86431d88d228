"""The two ways attention is computed, against each other."""

import pytest
import torch

from freehold.training.compute.attention import _Block, _explicit, _kernel


@pytest.mark.parametrize("window", [None, 5])
def test_explicit_attention_equals_the_kernel(window):
    torch.manual_seed(0)
    block = _Block(torch.randn(3, 7, 4, 8), torch.randn(3, 11, 2, 8), torch.randn(3, 11, 2, 8))
    explicit, _ = _explicit(block, 0.3, window)
    torch.testing.assert_close(explicit, _kernel(block, 0.3, window), rtol=1e-4, atol=1e-5)
