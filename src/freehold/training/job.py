"""A training job as files: what the parent asks for, where the worker reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from freehold.errors import UsageError
from freehold.hardware.training_memory import PACK_TOKENS
from freehold.rows.reading import records
from freehold.training import schedule
from freehold.types.config import FinetuneConfig
from freehold.types.config_file import usable_name
from freehold.types.dataset import Dataset, Sample, SplitName
from freehold.types.model import Weights
from freehold.types.record import Record, content_id

JOB = "job.json"
EVENTS = "events.jsonl"
REJECTS = "rejects.jsonl"
LOG = "worker.txt"
MANIFEST = "adapter.json"

# Part of every job's id: raise it when the same job would train differently.
_FORMAT = 2

# With fewer tokens at once than this, it is the model that does not fit.
_FEWEST_PACK_TOKENS = 256


class Job(Record, frozen=True, kw_only=True):
    """All a worker needs. Two jobs with the same `id` leave the same adapter."""

    id: str
    name: str
    config: FinetuneConfig
    dataset: Dataset
    base: Weights
    adapter_dir: str
    run_dir: str
    threads: int | None = None
    """CPU threads; None: all."""
    pack_tokens: int = PACK_TOKENS
    """Most tokens computed at once; a batch over it is split, with the same gradient."""
    recompute: bool = False
    """Compute activations again on the way back instead of keeping them: less memory, more time."""

    @property
    def program(self) -> str:
        """The module that trains it."""
        return "freehold.training.worker"

    def with_less_memory(self) -> tuple[Job, str] | None:
        """The same run with fewer tokens at once, then with activations computed twice, and how it is said; None at
        the end of it."""
        if self.pack_tokens // 2 >= _FEWEST_PACK_TOKENS:
            changed = msgspec.structs.replace(self, pack_tokens=self.pack_tokens // 2)
        elif not self.recompute:
            changed = msgspec.structs.replace(self, recompute=True)
        else:
            return None
        how = f"with at most {changed.pack_tokens:,} tokens at once"
        if changed.recompute:
            how += ", activations computed again instead of kept"
        return changed, how


def job_id(config: FinetuneConfig, dataset: Dataset, base: Weights) -> str:
    """Content id of what decides the result; threads, memory and places do not."""
    decisive = msgspec.to_builtins(config)
    for name in ("probe", "probe_logs", "retain"):
        del decisive[name]
    return content_id([_FORMAT, decisive, dataset.id, base.sha256, base.model_id, base.chat_template])


def make(
    *,
    config: FinetuneConfig,
    dataset: Dataset,
    base: Weights,
    out_dir: Path,
    name: str,
    threads: int | None = None,
) -> Job:
    """A job whose folder is named by the adapter and the job, so that nothing is ever overwritten.

    Options left to freehold are chosen here, so the manifest says what was trained with. Raises `UsageError` for a
    name that would lead to another folder.
    """
    train = next((split.samples for split in dataset.splits if split.name == "train"), 0)
    check_name(name)
    config = schedule.resolved(config, base, train)
    identity = job_id(config, dataset, base)
    folder = out_dir / f"{name}-{identity[:8]}"
    return Job(
        id=identity,
        name=name,
        config=config,
        dataset=dataset,
        base=base,
        adapter_dir=str(folder.resolve()),
        run_dir=str((folder / "run").resolve()),
        threads=threads,
    )


def check_name(name: str, what: str = "an adapter") -> None:
    """Raises `UsageError` for a name that cannot be a folder's, or would lead to another one."""
    if usable_name(name) != name:
        raise UsageError(
            f"{name!r} cannot name {what}",
            hint="its folder is named by it: a name without slashes and control characters, and no dot before it",
        )


def read_samples(dataset: Dataset, name: SplitName) -> Iterator[Sample]:
    """Samples of one split. Raises `InputError` with file and line."""
    split = next((split for split in dataset.splits if split.name == name), None)
    if split is None:
        return
    lines = records(Path(dataset.path) / split.file, Sample, "a sample", container="json lines")
    yield from (sample for _, sample in lines)
