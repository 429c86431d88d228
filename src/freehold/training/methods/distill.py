"""Distillation: the incumbent's words, and how likely it found other words, where that was recorded.

The loss of an aligned target (see `distill_samples`) is ``(1 − s) · −log q(word) + s · KL(p ‖ q)``,
where the divergence runs over the teacher's listed tokens and one rest (Hinton et al. 2015, arXiv:1503.02531, at
temperature 1: of a few listed probabilities no other temperature can be made). All other targets count by their word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from freehold.training.compute.loss import cross_entropy_sum
from freehold.training.compute.packing import pack
from freehold.training.formatting import TaughtSample
from freehold.training.methods.lora import LoraTrainer

if TYPE_CHECKING:
    import torch

_CHUNK_ROWS = 128


class DistillTrainer(LoraTrainer):
    """Trains an adapter on `TaughtSample`s."""

    def loss_sum(self, samples: Sequence[Any]) -> tuple[torch.Tensor, int, int]:
        """Summed loss of samples computed at once, the number of targets, and of tokens (unpacked)."""
        import torch

        packed = pack(samples, device=self.base.device)
        hidden = self._hidden(packed)
        each = hidden.new_empty(len(packed.targets), dtype=torch.float32)
        hard = cross_entropy_sum(hidden, self._head, packed.targets, softcap=self._softcap, each=each)
        self.record_losses(samples, packed, each)
        rows, soft = _soft_rows(samples)
        if not rows or self.config.soft_share == 0:
            return hard, len(packed.targets), packed.plain_tokens
        at = packed.targets.new_tensor(rows)
        aligned = hidden.index_select(0, at)
        words = cross_entropy_sum(
            aligned, self._head, packed.targets.index_select(0, at), softcap=self._softcap
        )
        divergence = self._divergence(aligned, soft)
        share = self.config.soft_share
        return hard - share * words + share * divergence, len(packed.targets), packed.plain_tokens

    def _divergence(self, hidden: torch.Tensor, soft: list[Any]) -> torch.Tensor:
        """Summed KL(p ‖ q) over the teacher's listed tokens and the rest, differentiable in `hidden`."""
        import torch

        total = hidden.new_zeros((), dtype=torch.float32)
        for begin in range(0, len(soft), _CHUNK_ROWS):
            part = soft[begin : begin + _CHUNK_ROWS]
            logits = (hidden[begin : begin + len(part)] @ self._head.t()).float()
            if self._softcap is not None:
                logits = torch.tanh(logits / self._softcap) * self._softcap
            logs = torch.log_softmax(logits, dim=-1)
            width = max(len(one.ids) for one in part)
            ids = torch.zeros(len(part), width, dtype=torch.long, device=hidden.device)
            told = torch.zeros(len(part), width, device=hidden.device)
            for row, one in enumerate(part):
                ids[row, : len(one.ids)] = torch.tensor(one.ids)
                told[row, : len(one.ids)] = torch.tensor(one.probabilities)
            ours = logs.gather(1, ids)
            listed = torch.where(told > 0, ours.exp(), 0.0).sum(1)
            total = total + (torch.special.xlogy(told, told) - told * ours).sum()
            rest = (1 - told.sum(1)).clamp_min(0)
            # Below this a rest is rounding, and log(1 − listed) of a sure student has no slope worth following.
            counts = rest > 1e-4
            left = (1 - listed).clamp_min(1e-6)
            total = (
                total + torch.where(counts, torch.special.xlogy(rest, rest) - rest * left.log(), 0.0).sum()
            )
        return total


def _soft_rows(samples: Sequence[TaughtSample]) -> tuple[list[int], list[Any]]:
    """Rows of the packed targets that have a teacher's distribution, in the order `pack` lays samples out."""
    rows: list[int] = []
    soft: list[Any] = []
    first = 0
    for sample in sorted(samples, key=lambda one: len(one.ids)):  # as `pack` sorts them, stable
        rows += [first + one.at for one in sample.soft]
        soft += list(sample.soft)
        first += sum(sample.mask)
    return rows, soft
