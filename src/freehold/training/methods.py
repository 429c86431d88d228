"""What is learned and how: an adapter by LoRA or QLoRA, through the model's own layers as PEFT wraps them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from freehold.errors import TrainingError
from freehold.training import base as bases
from freehold.training import schedule
from freehold.training.base import Base
from freehold.training.formatting import Encoded
from freehold.training.packing import Pack, pack
from freehold.training.trainer import Trainer, ValidationResult
from freehold.types.config import FinetuneConfig
from freehold.types.model import Weights

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
            hint="take a base with linear layers",
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
        self.base = base
        super().__init__(attach(base, config), base.device, config)
        self._decoder = self.model.base_model.model.get_decoder()
        self._head = self.model.get_output_embeddings().weight
        self._softcap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)

    def _checkpoint_layers(self) -> None:
        checkpoint_layers(self.base.model, self._decoder.layers)

    def _hidden(self, packed: Pack) -> torch.Tensor:
        """Normed hidden states at the positions that predict a target, (targets, width)."""
        hidden = self._decoder(
            input_ids=packed.ids[None], position_ids=packed.positions[None], pack=packed, use_cache=False
        ).last_hidden_state[0]
        last: torch.Tensor = hidden.index_select(0, packed.predicted_at)
        return last

    def loss_sum(self, samples: Sequence[Encoded]) -> tuple[torch.Tensor, int, int]:
        """Summed loss of samples computed at once, the number of targets, and of tokens (unpacked)."""

        from freehold.training.loss import cross_entropy_sum

        packed = pack(samples, device=self.base.device)
        hidden = self._hidden(packed)
        total = cross_entropy_sum(hidden, self._head, packed.targets, softcap=self._softcap)
        return total, len(packed.targets), packed.plain_tokens

    def step(self, samples: Sequence[Encoded], rate: float) -> tuple[float, int]:
        """One optimizer step; returns the mean loss per target token and the tokens seen.

        Raises `TrainingError` naming the samples when loss or gradient is not a number.
        """
        import torch

        self.parameters.zero_gradient()
        loss, targets, tokens = 0.0, 0.0, 0.0
        for part in schedule.split_batch(samples, self.pack_tokens):
            total, count, size = self.loss_sum(part)
            torch.autograd.backward(total)
            loss += float(total.detach())
            targets += count
            tokens += size
        self.parameters.gradient.div_(targets)
        self.apply_gradient(loss, samples, rate)
        return loss / targets, int(tokens)

    def evaluate(self, samples: Sequence[Encoded]) -> ValidationResult:
        """How well samples are answered, without learning."""
        import torch

        from freehold.training.loss import judge

        loss, targets, exact = 0.0, 0.0, 0.0
        with torch.no_grad(), self._without_dropout():
            for part in schedule.split_batch(samples, self.pack_tokens):
                packed = pack(part, device=self.base.device)
                total, right = judge(self._hidden(packed), self._head, packed.targets, softcap=self._softcap)
                loss += total
                targets += len(packed.targets)
                wrong = len(set(packed.owners[~right].tolist()))
                exact += packed.samples - wrong
        return ValidationResult(loss / targets, exact / len(samples))

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


def load(weights: Weights, config: FinetuneConfig) -> Trainer:
    """A base loaded as the method takes it, with its trainer.

    Raises what loading a base raises, and `TrainingError` for a rank no layer can hold.
    """
    return LoraTrainer(bases.load(weights, config), config)
