"""How the encoder itself is trained: to answer (`AnswerTrainer`), and to tell answers apart (`ContrastTrainer`).

Both run in `freehold.training.loop`, which keeps checkpoints, shortens the schedule and keeps the best weights. And
what they are quick by on a CPU: cheap dropout, a table of the words that are seen; and how a head learns which piece of
a text a field copies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import attention, functional

from freehold.encoders.folder import LinearHead
from freehold.encoders.pieces import NEVER, TAGS
from freehold.late import np
from freehold.training import base as formats
from freehold.training import schedule
from freehold.training.encoder.answers import TaughtForm
from freehold.training.encoder.base import Floats, TorchBase, pooled
from freehold.training.encoder.heads import Flags, Places, padded
from freehold.training.trainer import Trainer, ValidationResult
from freehold.types.config import FinetuneConfig
from freehold.types.encoder import FieldHead

HEAD_RATE = 20.0
"""How many times faster a head learns than the encoder: its rows are kept divided by it, which under Adam, whose steps
do not depend on a gradient's size, comes to the same."""
SMOOTHING = 0.1
PARTS = 2
"""Parts of a contrastive batch, by length, that are computed apart: little is padded then."""
TEMPERATURE = 0.05


class Item(NamedTuple):
    """One sample as a step needs it, with the names the loop asks for. `target` is of `AnswerTrainer`: for each field
    its place (or probabilities of each label), its flags, or its token marks; None teaches nothing. `group` is of
    `ContrastTrainer`: texts of one group belong together."""

    id: str
    ids: list[int]
    mask: list[bool]
    target: tuple[Any, ...] = ()
    group: int = 0
    other: list[int] | None = None
    """Another text of the same group."""
    context: tuple[list[int], ...] = ()
    """Of `AnswerTrainer`: the texts of the further views; empty where there is none."""


class _EncoderTrainer(Trainer):
    """What both share: the base's weights as one vector, its autocast."""

    rates = schedule.LINEAR
    weight_decay = 0.01
    checkpoint_steps = 200
    keeps_best = True

    def __init__(self, base: TorchBase, config: FinetuneConfig, whole: Any, *, words: bool) -> None:
        self.base = _BaseNumbers(base)
        self._encoder = base
        whole.requires_grad_(True)
        if not words:
            base.model.get_input_embeddings().requires_grad_(False)
        super().__init__(whole, "cpu", config)
        with_byte_dropout(base.model)
        self._half = formats.choose_precision("cpu").name == "bf16"

    def _checkpoint_layers(self) -> None:
        self._encoder.model.gradient_checkpointing_enable()

    def _hidden(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token embeddings in float32, and the mask."""
        ids, mask = self._encoder.pad(rows)
        # The fused kernel's backward pass takes several times as long for messages of a few dozen words.
        with self._autocast(), attention.sdpa_kernel(attention.SDPBackend.MATH):
            hidden = self._encoder.hidden(ids, mask)
        return hidden.float(), mask

    def _autocast(self) -> Any:
        """bf16 products where the machine multiplies them fast. Around a whole step, weights are cast once."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self._half)


class _BaseNumbers(NamedTuple):
    """What the loop says of a base."""

    base: TorchBase

    @property
    def dtype(self) -> str:
        return formats.choose_precision("cpu").name


class AnswerTrainer(_EncoderTrainer):
    """Tunes the encoder together with a linear head for each field, over embeddings as they are (not of length 1).

    Cross entropy with smoothed labels; a yes or no for each label of a list; outside or inside for each token.
    """

    like_lengths = True
    trained = "weights, all of the encoder's and its heads'"

    def __init__(self, base: TorchBase, form: TaughtForm, config: FinetuneConfig, views: int = 1) -> None:
        torch.manual_seed(config.seed)
        whole: Any = torch.nn.Module()
        whole.encoder = base.model
        whole.heads = torch.nn.ModuleList(
            torch.nn.Linear(base.width, TAGS)
            if field.kind == "copied"
            else torch.nn.Linear(base.width * views, len(field.labels))
            for field in form.fields
        )
        for head in whole.heads:
            torch.nn.init.normal_(head.weight, std=0.02 / HEAD_RATE)
            torch.nn.init.zeros_(head.bias)
        self._form, self._views = form, views
        super().__init__(base, config, whole, words=True)

    def heads(self) -> list[LinearHead]:
        """The heads as they are served."""
        return [
            LinearHead(
                field,
                (head.weight.detach() * HEAD_RATE).numpy().copy(),
                (head.bias.detach() * HEAD_RATE).numpy().copy(),
            )
            for field, head in zip(self._form.fields, self.model.heads, strict=True)
        ]

    def step(self, samples: Sequence[Item], rate: float) -> tuple[float, int]:
        """One optimizer step; returns the mean loss and the tokens seen."""
        self.model.train()
        self.parameters.zero_gradient()
        with self._autocast():
            loss, _ = self._loss(samples)
            share: Any = loss / len(samples)
            share.backward()
        mean = float(share.detach())
        self.apply_gradient(mean, samples, rate)
        return mean, sum(len(one.ids) for one in samples)

    def evaluate(self, samples: Sequence[Item]) -> ValidationResult:
        """Mean loss, and the share of samples whose every field is right."""
        self.model.eval()
        total, right = 0.0, 0
        with torch.inference_mode():
            for part in _parts(samples, max(1, len(samples) // 64)):
                loss, correct = self._loss(part)
                total, right = total + float(loss), right + int(correct.sum())
        return ValidationResult(loss=total / len(samples), score=right / len(samples))

    def _loss(self, part: Sequence[Item]) -> tuple[torch.Tensor, torch.Tensor]:
        """The summed loss, and which samples are right in all fields (lists by 0.5, tokens by the likelier)."""
        context = [(row, view) for row, one in enumerate(part) for view, ids in enumerate(one.context) if ids]
        hidden, mask = self._hidden(
            [*(one.ids for one in part), *(part[row].context[view] for row, view in context)]
        )
        with torch.autocast("cpu", enabled=False):
            embedding = pooled(hidden, mask, self._encoder.pooling)
            last, further = embedding[: len(part)], embedding[len(part) :]
            others = last.new_zeros(len(part), self._views - 1, last.shape[1])
            if context:
                rows, views = (torch.tensor(one) for one in zip(*context, strict=True))
                others = others.index_put((rows, views), further)
            embedding = torch.cat([last, others.flatten(1)], 1)
            return self._judged(part, embedding, hidden[: len(part)], mask[: len(part)])

    def _judged(
        self, part: Sequence[Item], embedding: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same of embeddings, and of the last message's tokens."""
        loss = embedding.new_zeros(())
        correct = torch.ones(len(part), dtype=torch.bool)
        for at, (field, head) in enumerate(zip(self._form.fields, self.model.heads, strict=True)):
            wanted = [one.target[at] for one in part]
            if field.kind == "found":
                continue
            if field.kind == "copied":
                logits = head(hidden) * HEAD_RATE
                marks = torch.from_numpy(padded(wanted))
                each, right = losses_of_pieces(logits[:, : marks.shape[2]], marks)
                loss = loss + each.sum()
                correct &= right
                continue
            logits = head(embedding) * HEAD_RATE
            if field.kind == "several":
                flags = torch.from_numpy(np.stack(wanted))
                loss = (
                    loss
                    + functional.binary_cross_entropy_with_logits(logits, flags.float(), reduction="sum")
                    / flags.shape[1]
                )
                correct &= ((logits > 0) == flags).all(1)
                continue
            goal, known = _goals(wanted, logits)
            loss = loss + functional.cross_entropy(logits, goal, reduction="sum", label_smoothing=SMOOTHING)
            correct &= known & (logits.argmax(1) == goal.argmax(1))
        return loss, correct


class ContrastTrainer(_EncoderTrainer):
    """Tunes the encoder so that texts of one group lie together and others apart.

    Source: Khosla et al., Supervised Contrastive Learning, 2020 (L_out). A batch is of pairs from one group each, in
    random order of groups; its loss needs all of them at once. The embeddings of words stay: few texts hold few of
    them, and those that moved would no longer fit the others.
    """

    trained = "weights, all of the encoder's but its word embeddings"

    def __init__(self, base: TorchBase, config: FinetuneConfig) -> None:
        super().__init__(base, config, base.model, words=False)

    def step(self, samples: Sequence[Item], rate: float) -> tuple[float, int]:
        self.model.train()
        self.parameters.zero_gradient()
        rows = [one.ids for one in samples] + [one.other or one.ids for one in samples]
        groups = [one.group for one in samples] * 2
        loss: Any = self._loss(rows, groups)
        loss.backward()
        self.apply_gradient(float(loss.detach()), samples, rate)
        return float(loss.detach()), sum(map(len, rows))

    def evaluate(self, samples: Sequence[Item]) -> ValidationResult:
        """Not asked: what the pairs come to is judged by heads."""
        return ValidationResult(loss=0.0, score=0.0)

    def _loss(self, rows: Sequence[list[int]], groups: Sequence[int]) -> torch.Tensor:
        made: list[torch.Tensor] = [torch.empty(0)] * len(rows)
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        size = -(-len(rows) // PARTS)
        for start in range(0, len(order), size):
            places = order[start : start + size]
            hidden, mask = self._hidden([rows[at] for at in places])
            for at, one in zip(places, pooled(hidden, mask, self._encoder.pooling), strict=True):
                made[at] = one
        unit = functional.normalize(torch.stack(made), dim=1)
        own = torch.eye(len(rows), dtype=torch.bool)
        similar = (unit @ unit.T / TEMPERATURE).masked_fill(own, -1e9)
        label = torch.tensor(groups)
        together = (label[:, None] == label[None, :]) & ~own
        log_share = similar - torch.logsumexp(similar, 1, keepdim=True)
        each = -(log_share * together).sum(1) / together.sum(1).clamp(min=1)
        return each.mean()


def items_of(ids: Sequence[list[int]], targets: Sequence[tuple[Any, ...]], *, first: int = 0) -> list[Item]:
    """Samples for `AnswerTrainer`."""
    return [
        Item(id=f"{first + at}", ids=row, mask=[True], target=target)
        for at, (row, target) in enumerate(zip(ids, targets, strict=True))
    ]


def pairs_of(ids: Sequence[list[int]], groups: Places, count: int, seed: int) -> list[Item]:
    """`count` pairs for `ContrastTrainer`: groups take turns, so that each comes as often; the texts of one are drawn
    without giving one back before all are. A group of one text is paired with itself: dropout tells the two apart."""
    random = np.random.default_rng(seed)
    members = {int(group): np.flatnonzero(groups == group) for group in np.unique(groups[groups >= 0])}
    queues: dict[int, list[int]] = {group: [] for group in members}

    def draw(group: int) -> int:
        if not queues[group]:
            queues[group] = [int(at) for at in random.permutation(members[group])]
        return queues[group].pop()

    made: list[Item] = []
    while len(made) < count:
        for group in random.permutation(list(members)):
            one, other = draw(int(group)), draw(int(group))
            made.append(
                Item(id=str(len(made)), ids=ids[one], mask=[True], group=int(group), other=ids[other])
            )
    return made[:count]


def _parts(samples: Sequence[Item], count: int) -> list[list[Item]]:
    ordered = sorted(samples, key=lambda one: len(one.ids))
    size = max(1, -(-len(ordered) // count))
    return [ordered[at : at + size] for at in range(0, len(ordered), size)]


def _goals(wanted: Sequence[Any], logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of labels [samples, labels] to learn, and which samples have a label that is taught."""
    goal = torch.zeros_like(logits)
    known = torch.ones(len(wanted), dtype=torch.bool)
    for row, one in enumerate(wanted):
        if isinstance(one, np.ndarray):
            goal[row] = torch.from_numpy(one)
        elif one >= 0:
            goal[row, int(one)] = 1.0
        else:
            known[row] = False
    return goal, known


_STEPS = 60


class ByteDropout(torch.nn.Module):
    """Sets each value to 0 with probability `p`, to the nearest 256th, and scales the others to the same mean.

    PyTorch draws each of its numbers from a Mersenne twister, one after the other: a sixth of a training step of a
    small encoder. A byte each from a generator that is made for speed does as well. It is seeded by PyTorch's, so that
    a run that goes on draws what it would have drawn.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._below = round(p * 256)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if not self.training or self._below == 0:
            return values
        seed = int(torch.randint(2**62, ()))
        drawn = np.random.Generator(np.random.SFC64(seed)).bytes(values.numel())
        kept = torch.frombuffer(bytearray(drawn), dtype=torch.uint8).view(values.shape) >= self._below
        return values * kept.to(values.dtype).mul_(256 / (256 - self._below))


def with_byte_dropout(model: torch.nn.Module) -> None:
    """Put `ByteDropout` in place of every dropout of a model."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Dropout):
                setattr(module, name, ByteDropout(child.p))


class SeenWords(torch.nn.Module):
    """Looks up token ids among the `seen` ones (ascending); another id is an error of the caller."""

    def __init__(self, whole: torch.nn.Embedding, seen: torch.Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(whole.weight.detach()[seen].clone())
        places = torch.full((whole.num_embeddings,), len(seen), dtype=torch.long)
        places[seen] = torch.arange(len(seen))
        self._places = places

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return functional.embedding(self._places[ids], self.weight)


@contextlib.contextmanager
def seen_only(model: Any, rows: Sequence[Sequence[int]], always: Sequence[int]) -> Iterator[None]:
    """Within, the model has embeddings of the token ids in `rows` and of those that are `always` needed (padding);
    after, all of them again, with what was learned. A model without a plain table of words is left as it is."""
    whole = model.get_input_embeddings()
    if type(whole) is not torch.nn.Embedding:
        yield
        return
    seen = torch.tensor(sorted({*always, *(one for row in rows for one in row)}), dtype=torch.long)
    part = SeenWords(whole, seen)
    model.set_input_embeddings(part)
    try:
        yield
    finally:
        with torch.no_grad():
            whole.weight[seen] = part.weight.detach()
        model.set_input_embeddings(whole)


def losses_of_pieces(logits: torch.Tensor, marks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What each text loses by its answer's improbability, and whether its answer is the likeliest; of logits [texts,
    tokens, TAGS] and `heads.marks_of`. The scores are those of `freehold.encoders.pieces`."""
    going_on = logits[..., 1].cumsum(1)
    first = (logits[..., 0] - going_on).masked_fill(~marks[:, 0], NEVER)
    last = (going_on + logits[..., 2]).masked_fill(~marks[:, 1], NEVER)
    none = first.new_zeros(len(first))
    total = torch.logaddexp(none, torch.logsumexp(first.logcumsumexp(1) + last, 1))
    wanted = (first * marks[:, 2]).sum(1) + (last * marks[:, 3]).sum(1)
    best = torch.maximum(none, (first.cummax(1).values + last).amax(1))
    return total - wanted, wanted >= best - 1e-4


def fit_pieces(
    field: FieldHead, tokens: Sequence[Floats], marks: Sequence[Flags], strength: float
) -> LinearHead:
    """A head over token embeddings as they are. `strength` as in `heads.fit_one`."""
    every, right = torch.from_numpy(np.concatenate(tokens)), torch.from_numpy(padded(marks))
    held = torch.arange(right.shape[2]) < torch.tensor([len(rows) for rows in tokens])[:, None]
    head = torch.nn.Linear(every.shape[1], TAGS)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    optimizer: Any = torch.optim.LBFGS(head.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimizer.zero_grad()
        logits = every.new_zeros((*held.shape, TAGS)).masked_scatter(held[..., None], head(every))
        made: Any = losses_of_pieces(logits, right)[0].sum() + head.weight.square().sum() / (2 * strength)
        made.backward()
        return made

    optimizer.step(loss)
    return LinearHead(field, head.weight.detach().numpy(), head.bias.detach().numpy())
