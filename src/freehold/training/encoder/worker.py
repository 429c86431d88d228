"""The child process that trains an encoder: ``python -m freehold.training.encoder.worker RUNDIR``.

As `freehold.training.worker`: it reads ``job.json``, appends to ``events.jsonl``, and ends with 0 when the encoder is
there, 3 when it was asked to stop, 1 with an ``error`` event.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from freehold.training import job as jobs
from freehold.training.encoder import base as bases
from freehold.training.encoder import stages
from freehold.training.encoder.job import RECORD, EncoderJob
from freehold.training.worker import run_child
from freehold.types.training import TrainingEvent


def run_job(job: EncoderJob, emit: Callable[[TrainingEvent], None], stop: Callable[[], bool]) -> bool:
    """Load, train, write; False when it was asked to stop first. Raises what freehold foresees."""
    bases.require(job.base)
    made = stages.run(job, emit, stop)
    if made is None:
        return False
    emit(
        TrainingEvent(
            kind="end",
            seconds=made.train_seconds,
            peak_memory_bytes=made.peak_memory_bytes,
            score=made.validation_right / made.validation_asked if made.validation_asked else None,
            message=str(Path(job.folder) / RECORD),
        )
    )
    return True


def main(arguments: list[str]) -> int:
    """Run the job of a run directory; returns the exit code."""
    raw = (Path(arguments[0]) / jobs.JOB).read_bytes()
    job = msgspec.json.decode(raw, type=EncoderJob)
    return run_child(Path(arguments[0]), lambda emit, stop: run_job(job, emit, stop))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
