"""Many samples in one row of tokens, with what they share computed once.

A training batch is laid out as ``prefix | rest of sample 1 | rest of sample 2 | …`` without any padding:
linear layers, norms and activations see only real tokens. The samples of a narrow task begin alike (system
prompt, instruction), so the longest common prefix of a batch is computed once and every sample attends to
it; the gradient through it is the sum over the samples, which is exactly what separate copies would give.
Only attention needs the samples apart; `Pack.groups` lays them out there in blocks of similar length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from freehold.hardware.training_memory import ROW_MULTIPLE
from freehold.late import np
from freehold.training.formatting import Encoded

if TYPE_CHECKING:
    import torch

# Rows are filled up to `ROW_MULTIPLE` and blocks to this. Matrix libraries build and keep a kernel for every shape
# they meet; without it a run would meet new shapes at every step.
_BLOCK_MULTIPLE = 16

# A sample joins a block when the block's padding stays under this share of its slots.
_PADDING_LIMIT = 0.25


class Group(NamedTuple):
    """Samples attended together: `at` (rows, longest) says which packed token fills a slot.

    Slots past a sample's end repeat its last token; being last, no real query ever sees them. `slots` are
    the flat positions of the real tokens in ``at``, in the order of `tokens`, their packed positions.
    """

    at: torch.Tensor
    slots: torch.Tensor
    tokens: torch.Tensor


class Pack(NamedTuple):
    """One row of packed tokens, ready for a model.

    `ids` and `positions` have shape (tokens,). `targets` are the tokens to be predicted and `predicted_at`
    the packed positions whose output predicts them. `prefix` tokens at the front belong to every sample.
    `owners` numbers the sample each target belongs to. `plain_tokens` counts what the samples hold unpacked
    (the prefix once per sample). The row is filled up with tokens that belong to no sample and that nothing
    sees.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    predicted_at: torch.Tensor
    targets: torch.Tensor
    owners: torch.Tensor
    prefix: int
    prefix_group: Group | None
    groups: tuple[Group, ...]
    plain_tokens: int
    samples: int

    def layout(self) -> Iterator[tuple[Group, int]]:
        """Groups and how many tokens of shared prefix each sees; the prefix comes first, as a group of its own."""
        if self.prefix_group is not None:
            yield self.prefix_group, 0
        for group in self.groups:
            yield group, self.prefix


def common_prefix(samples: Sequence[Encoded]) -> int:
    """Number of leading tokens that all samples share, short of the first token any of them is asked for."""
    longest = min(min(_first_target(sample), len(sample.ids) - 1) for sample in samples)
    first = np.asarray(samples[0].ids[:longest])
    for sample in samples[1:]:
        differs = np.nonzero(first != np.asarray(sample.ids[: len(first)]))[0]
        if differs.size:
            first = first[: differs[0]]
    # The token before a target predicts it and must stay apart per sample.
    return max(0, min(len(first), longest - 1))


def _first_target(sample: Encoded) -> int:
    return next((at for at, wanted in enumerate(sample.mask) if wanted), len(sample.ids))


def pack(samples: Sequence[Encoded], *, device: str = "cpu", share_prefix: bool = True) -> Pack:
    """Lay samples out as one row; see the module's docstring."""
    import torch

    samples = sorted(samples, key=lambda sample: len(sample.ids))
    prefix = common_prefix(samples) if share_prefix and len(samples) > 1 else 0
    ids: list[int] = list(samples[0].ids[:prefix])
    positions: list[int] = list(range(prefix))
    predicted_at: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    starts: list[int] = []
    for number, sample in enumerate(samples):
        start = len(ids)
        starts.append(start)
        ids.extend(sample.ids[prefix:])
        positions.extend(range(prefix, len(sample.ids)))
        for at, wanted in enumerate(sample.mask):
            if wanted:
                predicted_at.append(start + at - 1 - prefix)
                targets.append(sample.ids[at])
                owners.append(number)
    lengths = [len(sample.ids) - prefix for sample in samples]
    filling = -len(ids) % ROW_MULTIPLE
    ids += [0] * filling
    positions += [0] * filling
    return Pack(
        ids=torch.tensor(ids, device=device),
        positions=torch.tensor(positions, device=device),
        predicted_at=torch.tensor(predicted_at, device=device),
        targets=torch.tensor(targets, device=device),
        owners=torch.tensor(owners, device=device),
        prefix=prefix,
        prefix_group=_group(np.zeros(1, int), np.full(1, prefix), prefix, device) if prefix else None,
        groups=tuple(_groups(starts, lengths, prefix, device)),
        plain_tokens=sum(len(sample.ids) for sample in samples),
        samples=len(samples),
    )


def _groups(starts: list[int], lengths: list[int], prefix: int, device: str) -> list[Group]:
    groups: list[Group] = []
    first = 0
    while first < len(lengths):
        last = first + 1
        total = lengths[first]
        while last < len(lengths):
            slots = lengths[last] * (last + 1 - first)
            if 1 - (total + lengths[last]) / slots > _PADDING_LIMIT:
                break
            total += lengths[last]
            last += 1
        longest = lengths[last - 1] + -(prefix + lengths[last - 1]) % _BLOCK_MULTIPLE
        groups.append(
            _group(np.asarray(starts[first:last]), np.asarray(lengths[first:last]), longest, device)
        )
        first = last
    return groups


def _group(starts: np.ndarray, sizes: np.ndarray, longest: int, device: str) -> Group:
    import torch

    step = np.arange(longest)
    index = starts[:, None] + np.minimum(step, sizes[:, None] - 1)
    real = np.broadcast_to(step < sizes[:, None], index.shape)
    return Group(
        at=torch.from_numpy(index).to(device),
        slots=torch.from_numpy(np.nonzero(real.reshape(-1))[0]).to(device),
        tokens=torch.from_numpy(index[real]).to(device),
    )
