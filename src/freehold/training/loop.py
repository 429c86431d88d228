"""The loop of a run: steps, evaluations, checkpoints, and when to end."""

from __future__ import annotations

import functools
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from freehold.errors import TrainingError
from freehold.late import np
from freehold.training import artefacts, schedule
from freehold.training.formatting import Encoded
from freehold.training.trainer import Trainer, ValidationResult
from freehold.types.training import TrainingEvent

if TYPE_CHECKING:
    import torch


Result = TypeVar("Result")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the machine or on its GPU."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # PyTorch's CPU allocator and oneDNN raise plain RuntimeErrors.
    said = str(error)
    return isinstance(error, RuntimeError) and any(
        words in said
        for words in ("can't allocate memory", "not enough memory", "bad_alloc", "could not create a memory")
    )


def retry_smaller(
    trainer: Trainer,
    work: Callable[[Sequence[Encoded]], Result],
    samples: Sequence[Encoded],
    warn: Callable[[str], None],
) -> Result:
    """Do `work` on `samples`; while memory runs out, halve what is computed at once and try again.

    With one sample at a time, activations are computed again in the backward pass instead of kept. The optimizer's
    batch stays what it is, and so does the gradient. Raises `TrainingError` when not even that fits.
    """
    while True:
        try:
            return work(samples)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        # Outside of the handler: the traceback kept the tensors of the failed pass alive.
        _release()
        longest = max(len(sample.ids) for sample in samples)
        at_once = min(trainer.pack_tokens, sum(len(sample.ids) for sample in samples))
        if at_once <= longest:
            if trainer.recompute():
                warn("out of memory: activations are computed again in the backward pass, which takes longer")
                continue
            raise TrainingError(
                f"out of memory with one sample of {longest} tokens at a time: {reason[:200]}",
                hint="lower max_tokens (longer samples are then left out and named), or take a smaller base",
            )
        trainer.pack_tokens = at_once // 2
        warn(f"out of memory: at most {trainer.pack_tokens:,} tokens are computed at once from now on")


def _release() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


Emit = Callable[[TrainingEvent], None]

# The first steps warm caches up; a speed measured over them would promise too little.
_WARM_STEPS = 4

SLACK = 0.02
"""Share of `max_minutes` by which a run may seem too long and is not shortened yet."""
_TOLD_AGAIN = 0.8
"""Of the steps that were told last: a schedule that is shortened by less is not worth a line."""


class Outcome(NamedTuple):
    """What a finished run knows about itself. `tokens` counts the samples' tokens, prefix included."""

    steps: int
    tokens: int
    seconds: float
    final_loss: float
    curve: tuple[tuple[int, float], ...]
    validation_loss: float | None
    validation_score: float | None = None


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
    run = _TrainingRun(
        trainer, samples, validation, job=job, folder=folder, emit=emit, peak_memory=peak_memory
    )
    run.announce()
    while run.step < run.steps:
        if should_stop():
            run.save_checkpoint()
            return None
        run.train_batch()
        run.shorten_schedule()
        if validation and (run.step % run.steps_per_epoch == 0 or run.step == run.steps):
            run.validate()
        if run.step % trainer.checkpoint_steps == 0 and run.step < run.steps:
            run.save_checkpoint()
    run.save_checkpoint()
    return run.outcome()


class _TrainingRun:
    """A run from its last checkpoint on; `step` of `steps` are made."""

    def __init__(
        self,
        trainer: Trainer,
        samples: Sequence[Encoded],
        validation: Sequence[Encoded],
        *,
        job: str,
        folder: Path,
        emit: Emit,
        peak_memory: Callable[[], int | None],
    ) -> None:
        self._trainer, self._config = trainer, trainer.config
        self._samples, self._validation = samples, validation
        self._lengths = np.array([len(one.ids) for one in samples]) if trainer.like_lengths else None
        self._order, self._ordered = np.empty(0, dtype=np.int64), -1
        self._job, self._folder = job, folder
        self._emit, self._peak_memory = emit, peak_memory
        self.step, self.steps = 0, schedule.total_steps(len(samples), self._config)
        self.steps_per_epoch = schedule.steps_per_epoch(len(samples), self._config.batch_size)
        self._tokens, self._seconds_before = 0, 0.0
        self._curve: list[tuple[int, float]] = []
        self._best = BestWeights(trainer.keeps_best)
        self._told_steps = self.steps
        self._validated: ValidationResult | None = None
        state = artefacts.load(folder, job)
        if state is not None:
            self._restore(state)
        self._begin = time.monotonic()
        self._speed = _Speed(self.step)
        self._validation_seconds: float | None = None

    def _restore(self, state: artefacts.State) -> None:
        position = state.position
        self._trainer.restore(state.tensors)
        self._best.restore(position, state.tensors)
        self.step, self.steps, self._tokens = position.step, position.steps, position.tokens
        self._seconds_before, self._curve = position.seconds, list(position.curve)

    @property
    def _seconds(self) -> float:
        """Time spent on the run, in earlier processes as well."""
        return self._seconds_before + time.monotonic() - self._begin

    def announce(self) -> None:
        """Say what is trained, and from which step on."""
        weights = self._trainer.parameters.flat.numel()
        precision = str(self._trainer.base.dtype).removeprefix("torch.")
        resumed = f", resumed at step {self.step}" if self.step else ""
        self._emit(
            TrainingEvent(
                kind="start",
                step=self.step,
                steps=self.steps,
                tokens=self._tokens,
                message=f"{len(self._samples):,} samples, {weights:,} {self._trainer.trained}, in {precision}"
                f"{resumed}",
            )
        )

    def _warn(self, message: str) -> None:
        self._emit(TrainingEvent(kind="warning", step=self.step, steps=self.steps, message=message))

    def _indices(self) -> list[int]:
        """Of the samples of the next step."""
        epoch, at = divmod(self.step, self.steps_per_epoch)
        if epoch != self._ordered:
            self._order = schedule.epoch_order(epoch, len(self._samples), self._config, self._lengths)
            self._ordered = epoch
        size = self._config.batch_size
        return [int(index) for index in self._order[at * size : (at + 1) * size]]

    def train_batch(self) -> None:
        """One optimizer step over the next batch."""
        rate = schedule.learning_rate(self.step, self.steps, self._config.learning_rate, self._trainer.rates)
        batch = [self._samples[at] for at in self._indices()]
        make_step = functools.partial(self._trainer.step, rate=rate)
        loss, tokens = retry_smaller(self._trainer, make_step, batch, self._warn)
        self.step += 1
        self._tokens += tokens
        self._curve.append((self.step, loss))
        self._speed.measure(self.step, self.steps, self._tokens)
        left = self._seconds_to(self.steps)
        self._emit(
            TrainingEvent(
                kind="step",
                step=self.step,
                steps=self.steps,
                epoch=self.step / self.steps_per_epoch,
                loss=loss,
                learning_rate=rate,
                tokens=self._tokens,
                tokens_per_second=self._speed.tokens_per_second,
                seconds=self._seconds,
                seconds_left=left,
                peak_memory_bytes=self._peak_memory(),
            )
        )

    def _seconds_to(self, steps: int) -> float | None:
        """Seconds until a run of `steps` is done, its validations included; None while no speed is known."""
        each = self._speed.seconds_per_step
        if each is None:
            return None
        count = evaluations(self.step, steps, self.steps_per_epoch) if self._validation else 0
        validation = self._validation_seconds
        if validation is None:  # Only forward: a third of a training step's work for each sample.
            validation = each / 3 * len(self._validation) / min(self._config.batch_size, len(self._samples))
        return (steps - self.step) * each + count * validation

    def shorten_schedule(self) -> None:
        """Plan fewer steps when `max_minutes` would run out first."""
        if self._config.max_minutes is None or self._speed.seconds_per_step is None:
            return
        left = self._config.max_minutes * 60 - self._seconds
        slack = SLACK * self._config.max_minutes * 60
        steps = affordable_steps(self._seconds_to, left, slack, self.step, self.steps)
        if steps is None:
            return
        self.steps = steps
        if self.steps < _TOLD_AGAIN * self._told_steps:
            self._warn(
                f"{self._config.max_minutes:.2g} minutes are enough for {self.steps} of {self._told_steps} steps; "
                "the schedule is shortened"
            )
            self._told_steps = self.steps

    def validate(self) -> None:
        """Answer the validation split."""
        began = time.monotonic()
        result = retry_smaller(self._trainer, self._trainer.evaluate, self._validation, self._warn)
        self._validation_seconds = time.monotonic() - began
        self._speed.leave_out(self._validation_seconds)
        self._validated = result
        self._emit(
            TrainingEvent(
                kind="eval",
                step=self.step,
                steps=self.steps,
                epoch=self.step / self.steps_per_epoch,
                loss=result.loss,
                score=result.score,
                message=f"{result.score:.1%} of {len(self._validation)} validation samples right, loss",
            )
        )
        self._best.record(result, self._trainer)

    def save_checkpoint(self) -> None:
        """Write down everything a later process needs to go on from here."""
        best = self._best.result
        artefacts.save(
            self._folder,
            artefacts.Position(
                job=self._job,
                step=self.step,
                steps=self.steps,
                tokens=self._tokens,
                seconds=self._seconds,
                curve=tuple(self._curve),
                best_loss=None if best is None else best.loss,
                best_score=None if best is None else best.score,
            ),
            self._trainer.tensors() | self._best.tensors(),
        )
        self._emit(TrainingEvent(kind="checkpoint", step=self.step, steps=self.steps, tokens=self._tokens))

    def outcome(self) -> Outcome:
        """What the finished run knows; a trainer that `keeps_best` is left with that. Raises `TrainingError`."""
        if not self._curve:
            raise TrainingError("the run made no step")
        validated = self._best.give_back(self._trainer, self._validated)
        tail = [loss for _, loss in self._curve[-max(1, min(10, self.steps_per_epoch)) :]]
        return Outcome(
            steps=self.step,
            tokens=self._tokens,
            seconds=self._seconds,
            final_loss=sum(tail) / len(tail),
            curve=tuple(self._curve),
            validation_loss=None if validated is None else validated.loss,
            validation_score=None if validated is None else validated.score,
        )


class _Speed:
    """How fast steps are made once the first are over; None until then. Time spent otherwise is left out."""

    def __init__(self, step: int) -> None:
        self._started = step
        self._warm: tuple[float, int, int] | None = None  # time, step and tokens once warm
        self.tokens_per_second: float | None = None
        self.seconds_per_step: float | None = None

    def leave_out(self, seconds: float) -> None:
        """Count these seconds not as training."""
        if self._warm is not None:
            began, step, tokens = self._warm
            self._warm = (began + seconds, step, tokens)

    def measure(self, step: int, steps: int, tokens: int) -> None:
        """Take the time at which `step` was made, with `tokens` since the run began."""
        now = time.monotonic()
        if self._warm is None:
            if step - self._started >= min(_WARM_STEPS, steps - self._started):
                self._warm = (now, step, tokens)
            return
        began, first_step, first_tokens = self._warm
        self.tokens_per_second = (tokens - first_tokens) / (now - began)
        self.seconds_per_step = (now - began) / (step - first_step)


def evaluations(step: int, steps: int, steps_per_epoch: int) -> int:
    """Validations left in a run of `steps` of which `step` was just made: one an epoch, and one at the end."""
    return steps // steps_per_epoch - (step - 1) // steps_per_epoch + (steps % steps_per_epoch > 0)


def affordable_steps(
    seconds_to: Callable[[int], float | None], left: float, slack: float, step: int, steps: int
) -> int | None:
    """The largest total of steps that ends in the `left` seconds, at least one more; None where all of them do.

    `seconds_to` gives the seconds until a run of that many steps is done. With `slack` seconds more a run is left as it
    is, so that noise in the speed does not shorten one that fits.
    """
    if step >= steps or (seconds_to(steps) or 0.0) <= left + slack:
        return None
    return next(
        (total for total in range(steps - 1, step, -1) if (seconds_to(total) or 0.0) <= left), step + 1
    )


class BestWeights:
    """Remembers the weights of the best evaluation, where they are kept: of a higher score, or of the same with a lower
    loss."""

    def __init__(self, kept: bool) -> None:
        self._kept = kept
        self.result: ValidationResult | None = None
        self._weights: torch.Tensor | None = None

    def record(self, result: ValidationResult, trainer: Trainer) -> None:
        """Take an evaluation into account."""
        if self._kept and (
            self.result is None or (result.score, -result.loss) > (self.result.score, -self.result.loss)
        ):
            self.result = result
            self._weights = trainer.parameters.flat.detach().clone()

    def give_back(self, trainer: Trainer, last: ValidationResult | None) -> ValidationResult | None:
        """Give the trainer its best weights back, where there are any; returns the result of those it ends with."""
        if self._weights is None:
            return last
        trainer.parameters.flat.data.copy_(self._weights)
        return self.result

    def tensors(self) -> dict[str, torch.Tensor]:
        """State for a checkpoint."""
        return {} if self._weights is None else {"best": self._weights}

    def restore(self, position: artefacts.Position, tensors: dict[str, torch.Tensor]) -> None:
        """Go back to a checkpoint's state."""
        if "best" in tensors and position.best_loss is not None:
            self.result = ValidationResult(position.best_loss, position.best_score or 0.0)
            self._weights = tensors["best"].to(tensors["adapter"].device)
