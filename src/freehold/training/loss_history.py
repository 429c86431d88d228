"""How unlikely a model found each answer while it was taught them: hints at labels that are wrong.

At each pass a sample's −log p(answer) is noted before the model learns from it. In the first pass nearly every answer
is unlikely; from the second on, what the other samples teach is known, and an answer that stays unlikely disagrees with
it (training dynamics: Swayamdipta et al. 2020, arXiv:2009.10795; Pleiss et al. 2020, arXiv:2001.10528).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from freehold.training import group
from freehold.training.formatting import Encoded
from freehold.types.training import Learned

if TYPE_CHECKING:
    import torch

FILE = "learned.jsonl"
MOST = 20_000
"""The least likely answers that are kept."""


class LossHistory:
    """Gathers losses by sample over the passes of a run."""

    def __init__(self, samples: Sequence[Encoded]) -> None:
        import torch

        self._samples = samples
        # First pass, and the sum over and the number of later ones.
        self._first = torch.full((len(samples),), torch.nan)
        self._later = torch.zeros(len(samples))
        self._looks = torch.zeros(len(samples))

    def record(self, indices: Sequence[int], losses: Mapping[str, float], *, first: bool) -> None:
        """Note the losses of a step over the samples at `indices`; those of other workers are not among them."""
        for at in indices:
            loss = losses.get(self._samples[at].id)
            if loss is None:
                continue
            if first:
                self._first[at] = loss
            else:
                self._later[at] += loss
                self._looks[at] += 1

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"learned.first": self._first, "learned.later": self._later, "learned.looks": self._looks}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go back to a checkpoint's state; one of other samples is left out."""
        saved = [tensors.get(f"learned.{name}") for name in ("first", "later", "looks")]
        if all(one is not None and len(one) == len(self._samples) for one in saved):
            self._first, self._later, self._looks = (one.clone() for one in saved if one is not None)

    def learned(self) -> list[Learned]:
        """All samples that were seen, the least likely answer first, at most `MOST`."""
        group.all_reduce(self._later)
        group.all_reduce(self._looks)
        return sorted(self._each(), key=lambda one: (-one.loss, one.sample_id))[:MOST]

    def _each(self) -> Iterator[Learned]:
        rows = zip(
            self._samples, self._first.tolist(), self._later.tolist(), self._looks.tolist(), strict=True
        )
        for sample, first, later, looks in rows:
            loss = later / looks if looks else first
            if math.isfinite(loss):  # else it was never seen, or the method takes no notes
                yield Learned(sample_id=sample.id, loss=loss, tokens=sum(sample.mask), looks=int(looks))


def write(folder: Path, learned: Sequence[Learned]) -> None:
    """One line a sample, next to the adapter. A full disk costs this file and nothing else."""
    path = folder / FILE
    try:
        path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in learned))
    except OSError:
        path.unlink(missing_ok=True)


def read(folder: Path) -> list[Learned] | None:
    """What `write` wrote; None where nothing readable is there."""
    decoder = msgspec.json.Decoder(Learned)
    try:
        return [decoder.decode(line) for line in (folder / FILE).read_bytes().splitlines()]
    except (OSError, msgspec.DecodeError):
        return None
