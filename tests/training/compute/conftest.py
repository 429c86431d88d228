"""Runs a computation with the compiled loops, and with PyTorch's operations alone."""

import pytest
import torch

from freehold.training.compute import kernels


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
