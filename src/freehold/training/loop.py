"""The loop of a run: steps, evaluations, checkpoints, and when to end."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from freehold.errors import TrainingError
from freehold.training import checkpoint, group, memory, schedule
from freehold.training.doubts import Doubts
from freehold.training.formatting import Encoded
from freehold.types.config import FinetuneConfig
from freehold.types.training import Learned, TrainingEvent

if TYPE_CHECKING:
    import torch

Emit = Callable[[TrainingEvent], None]

# The first steps warm caches up; a speed measured over them would promise too little.
_WARM_STEPS = 4


class Evaluation(NamedTuple):
    """How a set of samples is answered.

    `loss` is the mean per target token. `score` is the share of samples whose every target token is the most
    likely one after those before it: greedy decoding then writes exactly the target.
    """

    loss: float
    score: float


class Trainer(Protocol):
    """What the loop needs of a trainer. `pack_tokens` bounds what is computed at once; the loop may lower it."""

    pack_tokens: int

    @property
    def model(self) -> Any: ...

    @property
    def config(self) -> FinetuneConfig: ...

    @property
    def base(self) -> Any: ...

    @property
    def parameters(self) -> Any: ...

    @property
    def path(self) -> str: ...

    def step(self, samples: Sequence[Encoded], rate: float) -> tuple[float, int]: ...

    def evaluate(self, samples: Sequence[Encoded]) -> Evaluation: ...

    def tensors(self) -> dict[str, torch.Tensor]: ...

    def restore(self, tensors: dict[str, torch.Tensor]) -> None: ...


class Outcome(NamedTuple):
    """What a finished run knows about itself. `tokens` counts the samples' tokens, prefix included."""

    steps: int
    tokens: int
    seconds: float
    final_loss: float
    curve: tuple[tuple[int, float], ...]
    validation_loss: float | None
    validation_score: float | None = None
    learned: tuple[Learned, ...] = ()


def train(
    trainer: Trainer,
    samples: Sequence[Encoded],
    validation: Sequence[Encoded],
    *,
    job: str,
    folder: Path,
    emit: Emit,
    peak_memory: Callable[[], int | None],
    should_stop: Callable[[], bool],
) -> Outcome | None:
    """Run to the end, from the last checkpoint where there is one; None when told to stop early."""
    config = trainer.config
    planned = schedule.total_steps(len(samples), config)
    each = schedule.steps_per_epoch(len(samples), config.batch_size)
    state = checkpoint.load(folder, job)
    step, tokens, seconds_before = 0, 0, 0.0
    curve: list[tuple[int, float]] = []
    best = _Best(config.patience)
    doubts = Doubts(samples)
    if state is not None:
        trainer.restore(state.tensors)
        position = state.position
        best.restore(position, state.tensors)
        doubts.restore(state.tensors)
        step, planned, tokens = position.step, position.steps, position.tokens
        seconds_before, curve = position.seconds, list(position.curve)
    emit(
        TrainingEvent(
            kind="start",
            step=step,
            steps=planned,
            tokens=tokens,
            message=f"{len(samples)} samples, {trainer.parameters.flat.numel():,} adapter weights, "
            f"{trainer.path} layers in {str(trainer.base.dtype).removeprefix('torch.')}"
            + (f", resumed at step {step}" if step else ""),
        )
    )
    begin = time.monotonic()
    warm: tuple[float, int, int] | None = None  # time, step and tokens once warm
    judged: Evaluation | None = None

    def warn(message: str) -> None:
        emit(TrainingEvent(kind="warning", step=step, steps=planned, message=message))

    def save() -> None:
        if group.rank():  # All workers hold the same; the first one writes it down.
            return
        checkpoint.save(
            folder,
            checkpoint.Position(
                job=job,
                step=step,
                steps=planned,
                tokens=tokens,
                seconds=seconds_before + time.monotonic() - begin,
                curve=tuple(curve),
                best_loss=None if best.at is None else best.at.loss,
                best_score=None if best.at is None else best.at.score,
                stale_evaluations=best.stale,
            ),
            trainer.tensors() | best.tensors() | doubts.tensors(),
        )
        emit(TrainingEvent(kind="checkpoint", step=step, steps=planned, tokens=tokens))

    started = step
    while step < planned:
        if group.totals(should_stop())[0]:
            save()
            return None
        indices = schedule.batch_indices(step, len(samples), config)
        batch = [samples[at] for at in indices]
        rate = schedule.learning_rate(step, planned, config)
        ours = group.share(batch)
        loss, seen = memory.spared(trainer, functools.partial(trainer.step, rate=rate), ours, warn)
        doubts.see(indices, getattr(trainer, "losses", {}), first=step < each)
        step += 1
        tokens += seen
        curve.append((step, loss))
        now = time.monotonic()
        if warm is None and step - started >= min(_WARM_STEPS, planned - started):
            warm = (now, step, tokens)
        speed = left = None
        if warm is not None and step > warm[1]:
            speed = (tokens - warm[2]) / (now - warm[0])
            left = (planned - step) * (now - warm[0]) / (step - warm[1])
        emit(
            TrainingEvent(
                kind="step",
                step=step,
                steps=planned,
                epoch=step / each,
                loss=loss,
                learning_rate=rate,
                tokens=tokens,
                tokens_per_second=speed,
                seconds=seconds_before + now - begin,
                seconds_left=left,
                peak_memory_bytes=peak_memory(),
            )
        )
        shorter = group.first_says(_shortened(config, seconds_before + now - begin, left, step, planned))
        if shorter is not None:
            shorter = int(shorter)
            warn(
                f"{config.max_minutes:g} minutes are enough for {shorter} of {planned} steps; "
                "the schedule is shortened"
            )
            planned = shorter
        if validation and (step % each == 0 or step == planned):
            judged = memory.spared(trainer, trainer.evaluate, group.share(validation), warn)
            emit(
                TrainingEvent(
                    kind="eval", step=step, steps=planned, epoch=step / each, loss=judged.loss,
                    score=judged.score,
                    message=f"{judged.score:.1%} of {len(validation)} validation samples right, loss",
                )
            )  # fmt: skip
            best.see(judged, trainer)
            if best.is_over and step < planned:
                warn(f"{best.stale} evaluations without a better one: stopping early")
                planned = step
        if step % config.checkpoint_steps == 0 and step < planned:
            save()
    save()
    if not curve:
        raise TrainingError("the run made no step")
    judged = best.keep(trainer, judged)
    tail = [loss for _, loss in curve[-max(1, min(10, each)) :]]
    return Outcome(
        steps=step,
        tokens=tokens,
        seconds=seconds_before + time.monotonic() - begin,
        final_loss=sum(tail) / len(tail),
        curve=tuple(curve),
        validation_loss=None if judged is None else judged.loss,
        validation_score=None if judged is None else judged.score,
        learned=tuple(doubts.found()),
    )


class _Best:
    """The adapter that did best on the validation split, remembered when a patience is set."""

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.at: Evaluation | None = None
        self.stale = 0
        self._weights: torch.Tensor | None = None

    @property
    def is_over(self) -> bool:
        return self.patience is not None and self.stale >= self.patience

    def see(self, judged: Evaluation, trainer: Trainer) -> None:
        if self.patience is None:
            return
        if self.at is None or (judged.score, -judged.loss) > (self.at.score, -self.at.loss):
            self.at, self.stale = judged, 0
            self._weights = trainer.parameters.flat.detach().clone()
        else:
            self.stale += 1

    def keep(self, trainer: Trainer, last: Evaluation | None) -> Evaluation | None:
        """Put the best weights back, if there are any; returns how well what is kept did."""
        if self._weights is None:
            return last
        trainer.parameters.flat.data.copy_(self._weights)
        return self.at

    def tensors(self) -> dict[str, torch.Tensor]:
        return {} if self._weights is None else {"best": self._weights}

    def restore(self, position: checkpoint.Position, tensors: dict[str, torch.Tensor]) -> None:
        self.stale = position.stale_evaluations
        if "best" in tensors and position.best_loss is not None:
            self.at = Evaluation(position.best_loss, position.best_score or 0.0)
            self._weights = tensors["best"].to(tensors["adapter"].device)


def _shortened(
    config: FinetuneConfig, seconds: float, left: float | None, step: int, planned: int
) -> int | None:
    """A smaller total when the time that is allowed runs out first, judged once a few steps are measured."""
    if config.max_minutes is None or left is None or step >= planned:
        return None
    allowed = config.max_minutes * 60
    # A little slack, so that noise in the speed does not shorten a run that fits.
    if seconds + left <= allowed * 1.02:
        return None
    per_step = left / (planned - step)
    return max(step + 1, step + int(max(0.0, allowed - seconds) / per_step))
