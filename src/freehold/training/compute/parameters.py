"""The trained parameters as one flat float32 vector, with each parameter a view of it.

One vector makes the optimizer, the clipping of gradients and the checkpoint one operation each instead of
hundreds. PEFT's own parameters become views, so PEFT saves what was trained without a copy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch


def differentiable(function: Any, *arguments: Any) -> torch.Tensor:
    """Apply an `autograd.Function` that has one result (PyTorch leaves `apply` without types)."""
    result: torch.Tensor = function.apply(*arguments)
    return result


class View(NamedTuple):
    """One parameter: its value and its gradient, views of the flat vectors."""

    value: torch.Tensor
    gradient: torch.Tensor

    @property
    def shape(self) -> torch.Size:
        return self.value.shape


class Parameters:
    """All trainable parameters of a model, moved into `flat`; their gradients gather in `gradient`."""

    def __init__(self, model: Any) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.names = [name for name, _ in named]
        total = sum(p.numel() for _, p in named)
        device = named[0][1].device
        self.flat = torch.nn.Parameter(torch.empty(total, dtype=torch.float32, device=device))
        self.gradient = torch.zeros_like(self.flat)
        self.flat.grad = self.gradient
        self._views: dict[int, View] = {}
        self.slices: dict[str, tuple[int, int]] = {}
        at = 0
        for name, parameter in named:
            end = at + parameter.numel()
            view = View(
                self.flat.detach()[at:end].view(parameter.shape), self.gradient[at:end].view(parameter.shape)
            )
            view.value.copy_(parameter.detach())
            parameter.data = view.value
            parameter.grad = view.gradient
            self._views[id(parameter)] = view
            self.slices[name] = (at, end)
            at = end

    def view(self, parameter: Any) -> View:
        return self._views[id(parameter)]

    def zero_gradient(self) -> None:
        self.gradient.zero_()
