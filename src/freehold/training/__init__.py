"""Fine-tuning in a child process, and the export of what it leaves."""

from freehold.training.job import Job, make, read_samples
from freehold.training.run import finished_adapter, read_manifest, train

__all__ = ["Job", "finished_adapter", "make", "read_manifest", "read_samples", "train"]
