"""What is learned and how: LoRA, QLoRA and full fine-tuning, over one loop.

Full fine-tuning: weights, gradient and the optimizer's two moments are float32, 16 bytes a weight; products are
computed in the run's own precision (autocast). What is left is a model of its own, not an adapter: see
`freehold.training.export`.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from freehold.errors import TrainingError
from freehold.training import base as bases
from freehold.training import group, schedule
from freehold.training.base import Base
from freehold.training.compute.packing import Pack, pack
from freehold.training.formatting import Encoded
from freehold.training.trainer import Trainer, ValidationResult
from freehold.types.config import FinetuneConfig
from freehold.types.model import Weights
from freehold.visible import gib

if TYPE_CHECKING:
    import torch


SCALE = 2
"""The adapter counts this many times: `lora_alpha` is twice `r`, whatever `r`, so that one rate suits all ranks."""


def adapter_config(base: Base, config: FinetuneConfig) -> Any:
    """PEFT's configuration of the adapter: on every linear layer but the output head, which is what it takes to come as
    far as by training all weights (Dettmers et al. 2023, arXiv:2305.14314, section 4; Schulman et al. 2025, LoRA
    Without Regret: on attention alone it comes less far).

    Raises `TrainingError` for a rank no layer can hold.
    """
    import peft

    schedule.check_rank(config, _smallest_side(base.model))
    return peft.LoraConfig(
        task_type="CAUSAL_LM", r=config.r, lora_alpha=SCALE * config.r, target_modules="all-linear"
    )


@contextlib.contextmanager
def attaching() -> Iterator[None]:
    """What PEFT raises while it attaches an adapter, translated."""
    try:
        with warnings.catch_warnings():
            # PEFT asks transformers by a name that transformers 5 deprecates.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            yield
    except ValueError as error:
        raise TrainingError(
            f"the adapter cannot be attached: {str(error).splitlines()[0]}",
            hint='take a base with linear layers, or method = "full"',
        ) from error


def attach(base: Base, config: FinetuneConfig) -> Any:
    """Attach a fresh LoRA adapter to the base, initialised from the seed. Raises `TrainingError`."""
    import peft
    import torch

    torch.manual_seed(config.seed)
    with attaching():
        return peft.get_peft_model(base.model, adapter_config(base, config))


def checkpoint_layers(model: Any, layers: Iterable[Any]) -> None:
    """Let a model's layers compute their activations again in the backward pass.

    transformers does so in training mode only. The mode is set for the layers as such and not for what is in them, so
    that nothing else changes with it.
    """
    # The older name is what transformers 4 knows, and what 6 will not.
    name = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    getattr(model, f"{name}_checkpointing_enable")({"use_reentrant": False})
    for layer in layers:
        layer.training = True


def _smallest_side(model: Any) -> int:
    import torch

    head = model.get_output_embeddings()
    sides = [
        min(module.in_features, module.out_features)
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]
    return min(sides, default=1 << 30)


class LoraTrainer(Trainer):
    """Trains one adapter on one base. `model` is the PEFT model and may be saved at any time. Left of a run is the
    adapter that had most validation answers right."""

    keeps_best = True

    def __init__(self, base: Base, config: FinetuneConfig) -> None:
        from freehold.training.compute.fused import FusedDecoder

        self.base = base
        super().__init__(attach(base, config), base.device, config)
        self._decoder = self.model.base_model.model.get_decoder()
        self._head = self.model.get_output_embeddings().weight
        self._softcap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        self._fused = (
            FusedDecoder(self._decoder, self.parameters, base.dtype)
            if FusedDecoder.covers(self._decoder, config)
            else None
        )
        self.path = "modules" if self._fused is None else "fused"

    def _checkpoint_layers(self) -> None:
        if self._fused is not None:
            self._fused.recompute()
        else:
            checkpoint_layers(self.base.model, self._decoder.layers)

    def _hidden(self, packed: Pack) -> torch.Tensor:
        """Normed hidden states at the positions that predict a target, (targets, width)."""
        if self._fused is not None:
            hidden = self._fused.forward(packed).index_select(0, packed.predicted_at)
            normed: torch.Tensor = self._decoder.norm(hidden)
            return normed
        hidden = self._decoder(
            input_ids=packed.ids[None], position_ids=packed.positions[None], pack=packed, use_cache=False
        ).last_hidden_state[0]
        last: torch.Tensor = hidden.index_select(0, packed.predicted_at)
        return last

    def loss_sum(self, samples: Sequence[Encoded]) -> tuple[torch.Tensor, int, int]:
        """Summed loss of samples computed at once, the number of targets, and of tokens (unpacked)."""

        from freehold.training.compute.kernels import cross_entropy_sum

        packed = pack(samples, device=self.base.device)
        hidden = self._hidden(packed)
        total = cross_entropy_sum(hidden, self._head, packed.targets, softcap=self._softcap)
        return total, len(packed.targets), packed.plain_tokens

    def step(self, samples: Sequence[Encoded], rate: float) -> tuple[float, int]:
        """One optimizer step; returns the mean loss per target token and the tokens seen.

        Raises `TrainingError` naming the samples when loss or gradient is not a number.
        """
        import torch

        if self._fused is not None:
            self._fused.refresh()
        self.parameters.zero_gradient()
        loss, targets, tokens = 0.0, 0.0, 0.0
        for part in schedule.split_batch(samples, self.pack_tokens):
            total, count, size = self.loss_sum(part)
            torch.autograd.backward(total)
            loss += float(total.detach())
            targets += count
            tokens += size
        loss, targets, tokens = self.sum_over_workers(loss, targets, tokens)
        self.parameters.gradient.div_(targets)
        self.apply_gradient(loss, samples, rate)
        return loss / targets, int(tokens)

    def evaluate(self, samples: Sequence[Encoded]) -> ValidationResult:
        """How well samples are answered, without learning."""
        import torch

        from freehold.training.compute.kernels import judge

        if self._fused is not None:
            self._fused.refresh()
        loss, targets, exact = 0.0, 0.0, 0.0
        with torch.no_grad(), self._without_dropout():
            for part in schedule.split_batch(samples, self.pack_tokens):
                packed = pack(part, device=self.base.device)
                total, right = judge(self._hidden(packed), self._head, packed.targets, softcap=self._softcap)
                loss += total
                targets += len(packed.targets)
                wrong = len(set(packed.owners[~right].tolist()))
                exact += packed.samples - wrong
        loss, targets, exact, count = group.totals(loss, targets, exact, len(samples))
        return ValidationResult(loss / targets, exact / count)

    @contextlib.contextmanager
    def _without_dropout(self) -> Iterator[None]:
        """PEFT's dropout is on from the start, whatever the mode of the model around it."""
        import torch

        dropping = [one for one in self.model.modules() if isinstance(one, torch.nn.Dropout) and one.training]
        for one in dropping:
            one.training = False
        try:
            yield
        finally:
            for one in dropping:
                one.training = True

    def release(self) -> None:
        """Give back memory that is kept between steps."""
        if self._fused is not None:
            self._fused.release()


BYTES_PER_WEIGHT = 16


class FullTrainer(LoraTrainer):
    """Trains all weights of a base that was loaded in float32. `model` is the model itself."""

    trained = "weights, all of the model's"

    def __init__(self, base: Base, config: FinetuneConfig) -> None:
        import torch

        self.base = base
        _check_room(base)
        torch.manual_seed(config.seed)
        base.model.requires_grad_(True)
        Trainer.__init__(self, base.model, base.device, config)
        self._decoder = self.model.get_decoder()
        self._head = self.model.get_output_embeddings().weight
        self._softcap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        self._fused = None
        self._half = bases.choose_precision(base.device).name == "bf16"

    def _hidden(self, packed: Any) -> torch.Tensor:
        with self._autocast():
            return super()._hidden(packed).to(self._head.dtype)

    def _autocast(self) -> Any:
        import torch

        if not self._half:
            return contextlib.nullcontext()
        return torch.autocast(self.base.device, dtype=torch.bfloat16)

    def loss_sum(self, samples: Sequence[Encoded]) -> tuple[torch.Tensor, int, int]:
        """Summed loss, differentiable in the head too, which moves here."""
        import torch
        from torch.nn import functional

        packed = pack(samples, device=self.base.device)
        hidden = self._hidden(packed)
        with self._autocast():
            logits = functional.linear(hidden, self._head)
        logits = logits.float()
        if self._softcap is not None:
            logits = torch.tanh(logits / self._softcap) * self._softcap
        total = functional.cross_entropy(logits, packed.targets, reduction="sum")
        return total, len(packed.targets), packed.plain_tokens


def _check_room(base: Base) -> None:
    """Raise `TrainingError` when 16 bytes a weight are more than is free."""
    import psutil
    import torch

    weights = sum(parameter.numel() for parameter in base.model.parameters())
    needed = weights * BYTES_PER_WEIGHT - base.weight_bytes
    free = torch.cuda.mem_get_info()[0] if base.device == "cuda" else psutil.virtual_memory().available
    if needed > free:
        raise TrainingError(
            f"training all {weights / 1e6:,.0f} million weights needs {gib(needed, 1)} more, "
            f"{gib(free, 1)} are free",
            hint='method = "lora" needs a fraction of that',
        )


def load(weights: Weights, config: FinetuneConfig) -> Trainer:
    """A base loaded as the method takes it, with its trainer. Full fine-tuning moves float32 weights.

    Raises what loading a base raises, and `TrainingError` for a rank no layer can hold.
    """
    if config.method == "full":
        return FullTrainer(bases.load(weights, config, exact=True), config)

    return LoraTrainer(bases.load(weights, config), config)
