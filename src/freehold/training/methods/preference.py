"""Learning from preferences: TRL computes the loss (DPO, KTO), the loop is the one of every other method.

TRL's trainers bring a loop of their own. Here only their collators and `compute_loss` are used, so that a preference
run has the same schedule, checkpoints, resume after a kill, early stopping and events as an imitation run. The adapter
starts at zero, so the reference model is the base itself: the same weights with the adapter turned off.

DPO: Rafailov et al. 2023 (arXiv:2305.18290). KTO: Ethayarajh et al. 2024 (arXiv:2402.01306).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from freehold.errors import MissingExtraError, TrainingError
from freehold.training import group, schedule
from freehold.training.base import Base
from freehold.training.compute.trainer_base import TrainerBase
from freehold.training.methods import lora
from freehold.training.methods.preference_samples import JudgedAnswer, PreferencePair
from freehold.training.trainer import ValidationResult
from freehold.types.config import FinetuneConfig

if TYPE_CHECKING:
    import torch


def require() -> None:
    """Raise `MissingExtraError` when TRL is missing."""
    for module in ("trl", "datasets"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("learning from preferences", "train")


@contextlib.contextmanager
def _without_deprecations() -> Iterator[None]:
    """Hide deprecations that the libraries report about each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


class PreferenceTrainer(TrainerBase):
    """Trains an adapter on `PreferencePair`s (``dpo``) or `JudgedAnswer`s (``kto``). `model` is the PEFT model."""

    def __init__(self, base: Base, config: FinetuneConfig) -> None:
        import torch

        require()
        self.base = base
        self.path = f"modules, loss by TRL ({config.method})"
        base.model.set_attn_implementation("sdpa")
        torch.manual_seed(config.seed)
        with _without_deprecations(), lora.attaching():
            self._trl = _dpo(base, config) if config.method == "dpo" else _kto(base, config)
        self.model = self._trl.model
        super().__init__(self.model, base.device, config)
        if config.gradient_checkpointing:
            self.recompute()

    def _checkpoint_layers(self) -> None:
        lora.checkpoint_layers(self.base.model, ())  # `step` puts the whole model in training mode.

    def step(self, samples: Sequence[Any], rate: float) -> tuple[float, int]:
        """One optimizer step; returns the mean loss per sample and the tokens seen. Raises `TrainingError`."""
        import torch

        self.parameters.zero_gradient()
        self.model.train()
        loss, tokens = 0.0, 0.0
        for part in self._parts(samples):
            with _without_deprecations():
                computed = self._trl.compute_loss(self.model, self._inputs(part)) * len(part)
            torch.autograd.backward(computed)
            loss += float(computed.detach())
            tokens += sum(len(one.ids) for one in part)
        loss, count, tokens = self.sum_over_workers(loss, len(samples), tokens)
        self.parameters.gradient.div_(count)
        self.apply_gradient(loss, samples, rate)
        return loss / count, int(tokens)

    def evaluate(self, samples: Sequence[Any]) -> ValidationResult:
        """Mean loss, and the share judged as people did: the better answer, or the liked ones above zero, gained
        more on the base than the worse."""
        import torch

        self.model.eval()
        loss, right = 0.0, 0.0
        with torch.no_grad():
            for part in self._parts(samples):
                self._trl._metrics["eval"].clear()
                with _without_deprecations():
                    computed = self._trl.compute_loss(self.model, self._inputs(part))
                if not math.isfinite(float(computed)):
                    raise TrainingError(
                        f"the validation loss is {float(computed)}", hint="lower learning_rate"
                    )
                loss += float(computed) * len(part)
                right += self._right_count(part)
        loss, right, count = group.totals(loss, right, len(samples))
        return ValidationResult(loss / count, right / count)

    def _right_count(self, part: Sequence[Any]) -> float:
        metrics = self._trl._metrics["eval"]
        if self.config.method == "dpo":
            return float(metrics["rewards/accuracies"][-1]) * len(part)
        gains = self._gains(part)
        return float(sum((gain > 0) == one.liked for gain, one in zip(gains, part, strict=True)))

    def _gains(self, part: Sequence[JudgedAnswer]) -> list[float]:
        """How much likelier each answer is than to the base, in nats."""
        import torch

        inputs = self._inputs(part)
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        plain = {
            "input_ids": inputs["input_ids"],
            "attention_mask": inputs["attention_mask"],
            "use_cache": False,
        }
        with torch.no_grad():
            ours = self.model(**plain, labels=labels, fused_lm_head=True).log_probs.sum(-1)
            with self.model.disable_adapter():
                base = self.model(**plain, labels=labels, fused_lm_head=True).log_probs.sum(-1)
        return [float(gain) for gain in (ours - base).tolist()]

    def _inputs(self, part: Sequence[Any]) -> dict[str, Any]:
        if self.config.method == "dpo":
            rows = [_pair_row(one) for one in part]
        else:
            # The KL term is estimated on answers to other prompts: those of the batch, moved on by one.
            others = [part[-1].completion, *(one.completion for one in part[:-1])]
            rows = [_judged_row(one, other) for one, other in zip(part, others, strict=True)]
        found: dict[str, torch.Tensor] = self._trl.data_collator(rows)
        return {name: tensor.to(self.base.device) for name, tensor in found.items()}

    def _parts(self, samples: Sequence[Any]) -> list[list[Any]]:
        if self.config.method == "dpo":
            return schedule.split_batch(samples, self.pack_tokens)
        # KTO needs others in the batch for its KL term, so parts keep at least two.
        parts = schedule.split_batch(samples, self.pack_tokens)
        if len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [parts[-2] + parts[-1]]
        random.Random(self.config.seed).shuffle(parts)
        return parts


def _pair_row(one: PreferencePair) -> dict[str, Any]:
    return {
        "prompt_ids": list(one.prompt),
        "chosen_ids": list(one.chosen),
        "rejected_ids": list(one.rejected),
    }


def _judged_row(one: JudgedAnswer, other: tuple[int, ...]) -> dict[str, Any]:
    return {
        "prompt_ids": list(one.prompt),
        "completion_ids": list(one.completion),
        "KL_completion_ids": list(other),
        "label": one.liked,
    }


def _arguments(config: FinetuneConfig, base: Base) -> dict[str, Any]:
    """What TRL's configurations share here. Nothing is written: `output_dir` is never used."""
    return {
        "output_dir": str(Path(gettempdir()) / "freehold-unused"),
        "beta": config.beta,
        "max_length": None,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": [],
        "use_cpu": base.device == "cpu",
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": config.batch_size,
        "disable_tqdm": True,
    }


def _dpo(base: Base, config: FinetuneConfig) -> Any:
    from datasets import Dataset

    trl: Any = importlib.import_module("trl")

    class Dpo(trl.DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            return dataset  # the rows are tokens already

    row = _pair_row(PreferencePair("", (0,), (0,), (0,)))
    return Dpo(
        model=base.model,
        args=trl.DPOConfig(**_arguments(config, base)),
        train_dataset=Dataset.from_list([row]),
        processing_class=base.tokenizer,
        peft_config=lora.adapter_config(base, config),
    )


def _kto(base: Base, config: FinetuneConfig) -> Any:
    from datasets import Dataset

    trl: Any = importlib.import_module("trl")

    class Kto(trl.KTOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            return dataset  # the rows are tokens already

    row = _judged_row(JudgedAnswer("", (0,), (0,), True), (0,))
    return Kto(
        model=base.model,
        args=trl.KTOConfig(**_arguments(config, base)),
        train_dataset=Dataset.from_list([row]),
        processing_class=base.tokenizer,
        peft_config=lora.adapter_config(base, config),
    )
