"""LoRA training: PEFT makes the adapter, a flat optimizer moves it, packed batches keep the machine busy."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from freehold.errors import TrainingError
from freehold.training import schedule
from freehold.training.base import Base
from freehold.training.formatting import Encoded
from freehold.training.loop import Evaluation
from freehold.training.packing import Pack, pack
from freehold.types.training import FinetuneConfig

if TYPE_CHECKING:
    import torch


def attach(base: Base, config: FinetuneConfig) -> Any:
    """Put a fresh LoRA adapter on the base, initialised from the seed. Raises `TrainingError`."""
    import peft
    import torch

    targets = config.target_modules
    smallest = _smallest_side(base.model, targets)
    if config.r > smallest:
        raise TrainingError(
            f"rank r={config.r} is larger than the smallest adapted layer ({smallest})",
            hint=f"choose r of at most {max(1, smallest // 4)}",
        )
    torch.manual_seed(config.seed)
    lora = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=config.r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_rslora=config.use_rslora,
        use_dora=config.use_dora,
    )
    try:
        with warnings.catch_warnings():
            # PEFT asks transformers by a name that transformers 5 deprecates.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            return peft.get_peft_model(base.model, lora)
    except ValueError as error:
        raise TrainingError(
            f"the adapter cannot be attached: {str(error).splitlines()[0]}",
            hint='target_modules is "all-linear" or names of linear layers of the base',
        ) from error


def _smallest_side(model: Any, targets: str | tuple[str, ...]) -> int:
    import torch

    head = model.get_output_embeddings()
    sides = [
        min(module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and module is not head
        and (isinstance(targets, str) or name.rpartition(".")[2] in targets)
    ]
    return min(sides, default=1 << 30)


class LoraTrainer:
    """Trains one adapter on one base. `model` is the PEFT model and may be saved at any time."""

    def __init__(self, base: Base, config: FinetuneConfig) -> None:
        import torch

        from freehold.training.fused import FusedDecoder
        from freehold.training.parameters import Parameters

        self.base = base
        self.config = config
        self.model = attach(base, config)
        self.parameters = Parameters(self.model)
        self.optimizer = torch.optim.AdamW(
            [self.parameters.flat],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=base.device in ("cpu", "cuda"),
        )
        self._decoder = self.model.base_model.model.get_decoder()
        self._head = self.model.get_output_embeddings().weight
        self._softcap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        self._fused = (
            FusedDecoder(self._decoder, self.parameters, base.dtype)
            if FusedDecoder.covers(self._decoder, config)
            else None
        )
        self.pack_tokens = config.pack_tokens

    @property
    def path(self) -> str:
        """Which code computes the layers: ``fused`` or ``modules``."""
        return "modules" if self._fused is None else "fused"

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

        if self._fused is not None:
            self._fused.refresh()
        self.parameters.zero_gradient()
        loss, targets, tokens = 0.0, 0, 0
        for part in schedule.split_batch(samples, self.pack_tokens):
            total, count, size = self.loss_sum(part)
            torch.autograd.backward(total)
            loss += float(total.detach())
            targets += count
            tokens += size
        gradient = self.parameters.gradient.div_(targets)
        norm = float(torch.linalg.vector_norm(gradient))
        if not math.isfinite(loss) or not math.isfinite(norm):
            names = ", ".join(sample.id for sample in samples[:4])
            more = f" and {len(samples) - 4} more" if len(samples) > 4 else ""
            raise TrainingError(
                f"loss is {loss}, gradient norm is {norm}: not a number; batch: samples {names}{more}",
                hint=f"lower learning_rate (now {self.config.learning_rate:g}), or look at these samples",
            )
        if self.config.max_grad_norm > 0 and norm > self.config.max_grad_norm:
            gradient.mul_(self.config.max_grad_norm / norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return loss / targets, tokens

    def evaluate(self, samples: Sequence[Encoded]) -> Evaluation:
        """How well samples are answered, without learning."""
        import torch

        from freehold.training.loss import judge

        if self._fused is not None:
            self._fused.refresh()
        loss, targets, exact = 0.0, 0, 0
        with torch.no_grad():
            for part in schedule.split_batch(samples, self.pack_tokens):
                packed = pack(part, device=self.base.device)
                total, right = judge(self._hidden(packed), self._head, packed.targets, softcap=self._softcap)
                loss += total
                targets += len(packed.targets)
                wrong = len(set(packed.owners[~right].tolist()))
                exact += packed.samples - wrong
        return Evaluation(loss / targets, exact / len(samples))

    def release(self) -> None:
        """Give back memory that is kept between steps."""
        if self._fused is not None:
            self._fused.release()

    def tensors(self) -> dict[str, torch.Tensor]:
        """State for a checkpoint."""
        import torch

        state = self.optimizer.state[self.parameters.flat]
        tensors = {"adapter": self.parameters.flat, "random": torch.get_rng_state()}
        for name in ("exp_avg", "exp_avg_sq", "step"):
            if name in state:
                tensors[f"adam.{name}"] = torch.as_tensor(state[name], dtype=torch.float32)
        return tensors

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go back to a checkpoint's state."""
        import torch

        flat = self.parameters.flat
        if tensors["adapter"].shape != flat.shape:
            raise TrainingError("the checkpoint has another number of adapter weights than this job")
        with torch.no_grad():
            flat.copy_(tensors["adapter"])
        torch.set_rng_state(tensors["random"])
        state = self.optimizer.state[flat]
        for name in ("exp_avg", "exp_avg_sq"):
            state[name] = tensors[f"adam.{name}"].to(flat.device)
        state["step"] = tensors["adam.step"].to(flat.device if flat.is_cuda else "cpu")
