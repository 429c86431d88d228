"""One training run on several GPUs or machines, through Ray Train.

::

    python -m freehold.training.cluster RUNDIR

Takes the place of `freehold.training.worker` for a job with more than one worker, and tells the same way: the first
worker appends to ``events.jsonl``, keeps the checkpoint and writes the adapter. Ray Train starts the workers, joins
them to one `torch.distributed` group and starts them again when a machine is lost; they then go on from the checkpoint.
Each holds the whole base and computes its share of every batch (see `freehold.training.group`).

Covered: data parallel LoRA and all other methods, CPUs (gloo) and GPUs (nccl), a folder all workers see.
Not covered: a base that does not fit on one worker (it is not sharded).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from freehold import logs
from freehold.errors import FreeholdError, MissingExtraError
from freehold.training import job as jobs
from freehold.training.worker import STOPPED, Events, run_job
from freehold.types.training import TrainingEvent

STOP = "stop"
"""A file in the run's folder: while it is there, workers write a checkpoint and end."""
RAY = "ray"

# How often a lost worker or machine is replaced; the run goes on from its checkpoint.
_REPLACED = 2


def main(arguments: list[str]) -> int:
    """Run the job of a run directory on its workers; the exit codes are `freehold.training.worker`'s."""
    logs.configure()
    run_dir = Path(arguments[0])
    events = Events(run_dir / jobs.EVENTS)
    stop = run_dir / STOP
    stop.unlink(missing_ok=True)
    said_before = (run_dir / jobs.EVENTS).stat().st_size

    def ask(number: int, frame: FrameType | None) -> None:
        stop.touch()

    _listen(ask)
    threading.Thread(target=_watch_parent, args=(stop, os.getppid()), daemon=True).start()
    try:
        job = msgspec.json.decode((run_dir / jobs.JOB).read_bytes(), type=jobs.Job)
        _require()
        _fit(job, ask)
    except FreeholdError as error:
        events(TrainingEvent(kind="error", message=_text(error)))
        return 1
    except Exception as error:  # noqa: BLE001 - Ray wraps what a worker raised in classes of its own
        with (run_dir / jobs.EVENTS).open("rb") as lines:
            lines.seek(said_before)
            if b'"kind":"error"' not in lines.read():
                first = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                events(TrainingEvent(kind="error", message=f"the cluster's run ended: {first[:300]}"))
        return 1
    return STOPPED if stop.exists() else 0


def _listen(ask: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)


def _require() -> None:
    """Raise `MissingExtraError` without Ray Train."""
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("training on several workers", "cluster")


def _watch_parent(stop: Path, parent: int) -> None:
    """Ask the workers to stop when the process that wanted the run is gone."""
    waiting = threading.Event()
    while not waiting.wait(1.0):
        if os.getppid() != parent:
            stop.touch()
            return


def _fit(job: jobs.Job, ask: Callable[[int, FrameType | None], None]) -> None:
    ray: Any = importlib.import_module("ray")
    train: Any = importlib.import_module("ray.train")
    torch_train: Any = importlib.import_module("ray.train.torch")
    cluster = job.cluster
    assert cluster is not None
    local: dict[str, Any] = {
        "num_cpus": max(os.cpu_count() or 1, cluster.workers),
        "include_dashboard": False,
    }
    start = functools.partial(
        ray.init,
        address=cluster.address,
        log_to_driver=False,
        configure_logging=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "HF_HUB_OFFLINE": "1"}},
        **({} if cluster.address else local),
    )
    try:
        start()
    except Exception as error:
        # Ray ends a node of its own whose agent isn't up after 15 s, as on a busy machine (ray-project/ray#65983).
        if cluster.address or "timed out during startup" not in str(error):
            raise
        ray.shutdown()
        start()
    _listen(ask)  # Ray has put a handler of its own in its place, which ends without a checkpoint
    try:
        torch_train.TorchTrainer(
            _loop,
            train_loop_config={"run_dir": job.run_dir},
            scaling_config=train.ScalingConfig(
                num_workers=cluster.workers,
                use_gpu=cluster.gpus > 0,
                resources_per_worker={"CPU": cluster.cpus, **({"GPU": cluster.gpus} if cluster.gpus else {})},
            ),
            run_config=train.RunConfig(
                name=job.id[:12],
                storage_path=str(Path(job.run_dir) / RAY),
                failure_config=train.FailureConfig(max_failures=_REPLACED),
            ),
        ).fit()
    finally:
        ray.shutdown()


def _loop(options: dict[str, Any]) -> None:
    """What each worker does. Runs in a thread of Ray's, so signals cannot be handled here."""
    from freehold.training import group

    run_dir = Path(options["run_dir"])
    job = msgspec.json.decode((run_dir / jobs.JOB).read_bytes(), type=jobs.Job)
    first = group.rank() == 0

    def should_stop() -> bool:
        return (run_dir / STOP).exists()

    with contextlib.closing(Events(run_dir / jobs.EVENTS)) as events:

        def emit(event: TrainingEvent) -> None:
            if first:
                events(event)

        try:
            run_job(job, emit, should_stop)
        except FreeholdError as error:
            # What freehold foresees would happen again: told once, and not tried again.
            emit(TrainingEvent(kind="error", message=_text(error)))
            with contextlib.suppress(OSError):
                (run_dir / STOP).touch()


def _text(error: FreeholdError) -> str:
    return error.message if error.hint is None else f"{error.message}\n{error.hint}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
