"""What the loop needs of a trainer, and what all share: parameters as one vector, clipping, the optimizer's step, state
for a checkpoint."""

from __future__ import annotations

import importlib
import importlib.util
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from freehold.errors import MissingExtraError, TrainingError
from freehold.hardware.training_memory import PACK_TOKENS
from freehold.training import schedule
from freehold.types.config import FinetuneConfig

if TYPE_CHECKING:
    import torch

# An optimizer's state by what it calls it: PyTorch's AdamW, and bitsandbytes'.
_STATE = ("exp_avg", "exp_avg_sq", "state1", "state2", "step")
MAX_GRAD_NORM = 1.0
"""Gradients are clipped to this length."""


class ValidationResult(NamedTuple):
    """How a set of samples is answered.

    `loss` is the mean per target token. `score` is the share of samples whose every target token is the most
    likely one after those before it: greedy decoding then writes exactly the target.
    """

    loss: float
    score: float


class Parameters:
    """All trainable parameters of a model, moved into `flat`; their gradients gather in `gradient`.

    One vector makes the optimizer, the clipping of gradients and the checkpoint one operation each instead of
    hundreds. PEFT's own parameters become views, so PEFT saves what was trained without a copy.
    """

    def __init__(self, model: Any) -> None:
        import torch

        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        total = sum(parameter.numel() for parameter in trained)
        self.flat = torch.nn.Parameter(torch.empty(total, dtype=torch.float32, device=trained[0].device))
        self.gradient = torch.zeros_like(self.flat)
        self.flat.grad = self.gradient
        at = 0
        for parameter in trained:
            end = at + parameter.numel()
            value = self.flat.detach()[at:end].view(parameter.shape)
            value.copy_(parameter.detach())
            parameter.data = value
            parameter.grad = self.gradient[at:end].view(parameter.shape)
            at = end

    def zero_gradient(self) -> None:
        self.gradient.zero_()


class Trainer(ABC):
    """One method of training on one loaded base: the trainable parameters of `model`, and their optimizer."""

    base: Any
    like_lengths = False
    """Whether the samples of a batch are of like length. Not where a step is made of parts of like length anyway."""
    trained = "adapter weights"
    """What the trained weights are, after their number."""
    rates = schedule.COSINE
    weight_decay = 0.0
    """Of AdamW; 0 is what transformers and TRL take unless told otherwise."""
    checkpoint_steps = 50
    """Steps between checkpoints that a killed run goes on from."""
    keeps_best = False
    """Whether the weights of the best evaluation are what is left of a run, in place of the last."""
    pack_tokens = PACK_TOKENS
    """Bounds what is computed at once; lowered where memory runs out. The gradient stays the same."""

    def __init__(self, model: Any, device: str, config: FinetuneConfig) -> None:
        self.model, self.config = model, config
        self.parameters = Parameters(model)
        self.optimizer = make_optimizer(self.parameters.flat, device, config, self.weight_decay)
        self._recomputes = False

    @abstractmethod
    def step(self, samples: Sequence[Any], rate: float) -> tuple[float, int]:
        """One optimizer step; returns the mean loss and the tokens seen."""

    @abstractmethod
    def evaluate(self, samples: Sequence[Any]) -> ValidationResult:
        """How well samples are answered, without learning."""

    def recompute(self) -> bool:
        """Keep one input per layer from now on and compute the rest again in the backward pass; the gradient is the
        same. False when that was done before."""
        if self._recomputes:
            return False
        self._recomputes = True
        self._checkpoint_layers()
        return True

    @abstractmethod
    def _checkpoint_layers(self) -> None: ...

    def apply_gradient(self, loss: float, samples: Sequence[Any], rate: float) -> None:
        """One optimizer step along the accumulated gradient.

        Raises `TrainingError` naming the samples when loss or gradient is not a number.
        """
        import torch

        gradient = self.parameters.gradient
        norm = float(torch.linalg.vector_norm(gradient))
        if not math.isfinite(loss) or not math.isfinite(norm):
            names = ", ".join(sample.id for sample in samples[:4])
            more = f" and {len(samples) - 4} more" if len(samples) > 4 else ""
            raise TrainingError(
                f"loss is {loss}, gradient norm is {norm}: not a number; batch: samples {names}{more}",
                hint=f"lower learning_rate (now {self.config.learning_rate:g}), or look at these samples",
            )
        if norm > MAX_GRAD_NORM:
            gradient.mul_(MAX_GRAD_NORM / norm)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        self.optimizer.step()

    def tensors(self) -> dict[str, torch.Tensor]:
        """State for a checkpoint."""
        import torch

        state = self.optimizer.state[self.parameters.flat]
        tensors = {"adapter": self.parameters.flat, "random": torch.get_rng_state()}
        for name in _STATE:
            if name in state:
                kind = torch.float32 if name == "step" else None
                tensors[f"adam.{name}"] = torch.as_tensor(state[name], dtype=kind)
        return tensors

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go back to a checkpoint's state."""
        import torch

        flat = self.parameters.flat
        if tensors["adapter"].shape != flat.shape:
            raise TrainingError("the checkpoint has another number of trained weights than this job")
        with torch.no_grad():
            flat.copy_(tensors["adapter"])
        torch.set_rng_state(tensors["random"])
        if "adam.step" not in tensors:
            return  # Stopped before its first step: the optimizer has no state yet.
        state = self.optimizer.state[flat]
        for name in _STATE:
            kept = tensors.get(f"adam.{name}")
            if kept is not None and name != "step":
                state[name] = kept.to(flat.device)
        if "state1" in state:  # bitsandbytes counts in a plain number
            state["step"] = int(tensors["adam.step"])
        else:
            state["step"] = tensors["adam.step"].to(flat.device if flat.is_cuda else "cpu")


def make_optimizer(flat: Any, device: str, config: FinetuneConfig, weight_decay: float) -> Any:
    """AdamW over one vector, paged for QLoRA on CUDA. Raises `MissingExtraError`.

    The paged optimizer keeps its state in memory that moves off a full GPU (Dettmers et al. 2023).
    """
    import torch

    if config.method != "qlora" or device != "cuda":
        return torch.optim.AdamW(
            [flat], lr=config.learning_rate, weight_decay=weight_decay, fused=device in ("cpu", "cuda")
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError("the paged optimizer", "qlora")
    optimizers: Any = importlib.import_module("bitsandbytes.optim")
    return optimizers.PagedAdamW32bit([flat], lr=config.learning_rate, weight_decay=weight_decay)
