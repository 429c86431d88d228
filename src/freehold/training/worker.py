"""The child process that trains: ``python -m freehold.training.worker RUNDIR``.

It reads ``job.json``, appends to ``events.jsonl``, keeps a checkpoint, and leaves the adapter with its
manifest. It ends with 0 when the adapter is there, 3 when it was asked to stop (with a checkpoint, once it learns),
1 with an ``error`` event for everything freehold foresees.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import msgspec

from freehold import files, logs
from freehold.errors import FreeholdError
from freehold.training import export, methods, schedule
from freehold.training import job as jobs
from freehold.training.formatting import TAGGED_NOTE, EncodedSamples, choose_calls, format_samples
from freehold.types.dataset import SplitName
from freehold.types.training import TrainingEvent, WrittenCalls

log = logging.getLogger("freehold.training.worker")

STOPPED = 3

_VALIDATION_LIMIT = 256


class Events:
    """Appends events, each a line written at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def close(self) -> None:
        self._file.close()

    def __call__(self, event: TrainingEvent) -> None:
        self._file.write(msgspec.json.encode(event) + b"\n")


class _Stop:
    """True once a signal asked to stop, or the parent is gone.

    Until it is looked at for the first time there is nothing to keep, and libraries and weights are loaded for half a
    minute: a signal ends the process at once.
    """

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._asked = self._looked_at = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if not self._looked_at:
            os._exit(STOPPED)
        self._asked = True

    def __call__(self) -> bool:
        self._looked_at = True
        return self._asked or os.getppid() != self._parent


def peak_memory() -> int | None:
    """Largest resident memory of this process so far, in bytes (plus the GPU's, where one is used)."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0)) or None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(arguments: list[str]) -> int:
    """Run the job of a run directory; returns the exit code."""
    run_dir = Path(arguments[0])

    def work(emit: Callable[[TrainingEvent], None], stop: Callable[[], bool]) -> bool:
        job = msgspec.json.decode((run_dir / jobs.JOB).read_bytes(), type=jobs.Job)
        return run_job(job, emit, stop)

    return run_child(run_dir, work)


def run_child(
    run_dir: Path, work: Callable[[Callable[[TrainingEvent], None], Callable[[], bool]], bool]
) -> int:
    """Do the work of a training process and return its exit code. `work` gets what tells an event and what says that
    it is to stop, and returns whether it came to its end."""
    files.keep_private()
    logs.configure()
    stop = _Stop()
    with contextlib.closing(Events(run_dir / jobs.EVENTS)) as events:
        try:
            finished = work(events, stop)
        except FreeholdError as error:
            text = error.message if error.hint is None else f"{error.message}\n{error.hint}"
            events(TrainingEvent(kind="error", message=text))
            return 1
        except MemoryError as error:
            events(TrainingEvent(kind="error", message=f"out of memory: {error}"))
            return 1
    return 0 if finished else STOPPED


def run_job(job: jobs.Job, emit: Callable[[TrainingEvent], None], stop: Callable[[], bool]) -> bool:
    """Load, train, write; False when it was asked to stop first. Raises what freehold foresees."""
    from freehold.training import base as bases
    from freehold.training import loop

    config = job.config
    run_dir = Path(job.run_dir)
    bases.require()
    schedule.check(config)
    bases.check_method(job.base, config)
    import torch

    if job.threads is not None:
        torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    begin = time.monotonic()
    log.info("training %s by %s in %s", job.base.model_id, config.method, run_dir)
    trainer = methods.load(job.base, config)
    trainer.pack_tokens = job.pack_tokens
    if job.recompute:
        trainer.recompute()
    base = trainer.base
    data = _format(job, base.tokenizer, emit)
    outcome = loop.train(
        trainer,
        data.train,
        data.validation,
        job=job.id,
        folder=run_dir,
        emit=emit,
        peak_memory=peak_memory,
        should_stop=stop,
    )
    if outcome is None:
        return False
    adapter = export.write(
        job,
        base,
        trainer.model,
        outcome,
        peak_memory_bytes=peak_memory(),
        metadata={
            "precision": bases.choose_precision(base.device)._asdict(),
            "device": base.device,
            "threads": torch.get_num_threads(),
            "base_weight_bytes": base.weight_bytes,
            "base_weights": {
                "format": job.base.format,
                "quantization": job.base.quantization,
                "source": job.base.source,
            },
            "samples": len(data.train),
            "rejected": data.rejected,
            "validation_loss": outcome.validation_loss,
            "validation_score": outcome.validation_score,
            "validation_samples": len(data.validation),
            "wall_seconds_of_last_process": time.monotonic() - begin,
        },
        calls=data.calls,
    )
    emit(
        TrainingEvent(
            kind="end",
            step=outcome.steps,
            steps=outcome.steps,
            loss=outcome.final_loss,
            tokens=outcome.tokens,
            seconds=outcome.seconds,
            tokens_per_second=outcome.tokens / outcome.seconds if outcome.seconds else None,
            peak_memory_bytes=adapter.peak_memory_bytes,
            message=str(Path(job.adapter_dir) / jobs.MANIFEST),
        )
    )
    with contextlib.suppress(OSError):  # The adapter is there; the checkpoint has served its purpose.
        (run_dir / "checkpoint.safetensors").unlink()
    return True


def read_split(job: jobs.Job, tokenizer: Any, split: SplitName) -> EncodedSamples:
    """A split of the job's dataset, tokenized."""
    return format_samples(tokenizer, jobs.read_samples(job.dataset, split), max_tokens=job.config.max_tokens)


class _Data(NamedTuple):
    train: Sequence[Any]
    validation: Sequence[Any]
    rejected: dict[str, int]
    calls: WrittenCalls


def _format(job: jobs.Job, tokenizer: Any, emit: Callable[[TrainingEvent], None]) -> _Data:
    calls = choose_calls(tokenizer, jobs.read_samples(job.dataset, "train"))
    if calls == "tagged":
        emit(TrainingEvent(kind="warning", message=TAGGED_NOTE))
    train, validation = (read_split(job, tokenizer, split) for split in ("train", "validation"))
    rejects = train.rejects + validation.rejects
    counts: dict[str, int] = {}
    for reject in rejects:
        counts[reject.code] = counts.get(reject.code, 0) + 1
    path = Path(job.run_dir) / jobs.REJECTS
    path.write_bytes(b"".join(msgspec.json.encode(reject) + b"\n" for reject in rejects))
    if rejects:
        listed = ", ".join(f"{count} {code}" for code, count in sorted(counts.items()))
        emit(
            TrainingEvent(
                kind="warning",
                message=f"{len(rejects)} samples are not trained on ({listed}); first: "
                f"{rejects[0].sample_id}: {rejects[0].reason}; all in {path}",
            )
        )
    first = train.rejects[0].reason if train.rejects else None
    schedule.check_count(len(train.samples), first)
    if len({tuple(one.ids[one.mask.index(True) :]) for one in train.samples}) == 1:
        emit(
            TrainingEvent(
                kind="warning",
                message=f"all {len(train.samples)} samples have the same answer: the adapter will learn to give "
                "it whatever is asked",
            )
        )
    judged = validation.samples[:_VALIDATION_LIMIT]
    if len(judged) < schedule.FEWEST_VALIDATION:
        # One answer more or less would be an eighth of all and more: no figure is better than that one.
        emit(
            TrainingEvent(
                kind="warning",
                message=f"not validated: {len(judged)} validation samples can be used, "
                f"{schedule.FEWEST_VALIDATION} are needed; raise [data] validation, then freehold dataset build",
            )
        )
        judged = []
    return _Data(train.samples, judged, counts, calls)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
