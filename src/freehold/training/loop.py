"""The loop of a run: steps, evaluations, checkpoints, and when to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from freehold.errors import TrainingError
from freehold.training import checkpoint, schedule
from freehold.training.formatting import Encoded
from freehold.training.lora import LoraTrainer
from freehold.types.training import FinetuneConfig, TrainingEvent

if TYPE_CHECKING:
    import torch

Emit = Callable[[TrainingEvent], None]

# The first steps warm caches up; a speed measured over them would promise too little.
_WARM_STEPS = 4


class Outcome(NamedTuple):
    """What a finished run knows about itself. `tokens` counts the samples' tokens, prefix included."""

    steps: int
    tokens: int
    seconds: float
    final_loss: float
    curve: tuple[tuple[int, float], ...]
    validation_loss: float | None


def train(
    trainer: LoraTrainer,
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
    if state is not None:
        trainer.restore(state.tensors)
        position = state.position
        best.restore(position, state.tensors)
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
    validation_loss: float | None = None

    def save() -> None:
        checkpoint.save(
            folder,
            checkpoint.Position(
                job=job,
                step=step,
                steps=planned,
                tokens=tokens,
                seconds=seconds_before + time.monotonic() - begin,
                curve=tuple(curve),
                best_loss=best.loss,
                stale_evaluations=best.stale,
            ),
            trainer.tensors() | best.tensors(),
        )
        emit(TrainingEvent(kind="checkpoint", step=step, steps=planned, tokens=tokens))

    started = step
    while step < planned:
        if should_stop():
            save()
            return None
        batch = [samples[at] for at in schedule.batch_indices(step, len(samples), config)]
        rate = schedule.learning_rate(step, planned, config)
        loss, seen = trainer.step(batch, rate)
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
        shorter = _shortened(config, seconds_before + now - begin, left, step, planned)
        if shorter is not None:
            emit(
                TrainingEvent(
                    kind="warning",
                    step=step,
                    steps=shorter,
                    message=f"{config.max_minutes:g} minutes are enough for {shorter} of {planned} steps; "
                    "the schedule is shortened",
                )
            )
            planned = shorter
        if validation and (step % each == 0 or step == planned):
            validation_loss = trainer.evaluate(validation)
            emit(
                TrainingEvent(
                    kind="eval", step=step, steps=planned, epoch=step / each, loss=validation_loss,
                    message=f"validation loss on {len(validation)} samples",
                )
            )  # fmt: skip
            best.see(validation_loss, trainer)
            if best.is_over and step < planned:
                emit(
                    TrainingEvent(
                        kind="warning",
                        step=step,
                        steps=step,
                        message=f"no lower validation loss in {best.stale} evaluations: stopping early",
                    )
                )
                planned = step
        if step % config.checkpoint_steps == 0 and step < planned:
            save()
    save()
    if not curve:
        raise TrainingError("the run made no step")
    validation_loss = best.keep(trainer, validation_loss)
    tail = [loss for _, loss in curve[-max(1, min(10, each)) :]]
    return Outcome(
        steps=step,
        tokens=tokens,
        seconds=seconds_before + time.monotonic() - begin,
        final_loss=sum(tail) / len(tail),
        curve=tuple(curve),
        validation_loss=validation_loss,
    )


class _Best:
    """The adapter with the lowest validation loss, remembered when a patience is set."""

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.loss: float | None = None
        self.stale = 0
        self._weights: torch.Tensor | None = None

    @property
    def is_over(self) -> bool:
        return self.patience is not None and self.stale >= self.patience

    def see(self, loss: float, trainer: LoraTrainer) -> None:
        if self.patience is None:
            return
        if self.loss is None or loss < self.loss:
            self.loss, self.stale = loss, 0
            self._weights = trainer.parameters.flat.detach().clone()
        else:
            self.stale += 1

    def keep(self, trainer: LoraTrainer, last: float | None) -> float | None:
        """Put the best weights back, if there are any; returns the validation loss of what is kept."""
        if self._weights is None:
            return last
        trainer.parameters.flat.data.copy_(self._weights)
        return self.loss

    def tensors(self) -> dict[str, torch.Tensor]:
        return {} if self._weights is None else {"best": self._weights}

    def restore(self, position: checkpoint.Position, tensors: dict[str, torch.Tensor]) -> None:
        self.loss, self.stale = position.best_loss, position.stale_evaluations
        if "best" in tensors:
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
