"""Fine-tuning in a child process, and the export of what it leaves."""

from freehold.training.job import Job, Together, make, read_samples
from freehold.training.run import finished, read_manifest, train

__all__ = ["Job", "Together", "finished", "make", "read_manifest", "read_samples", "train"]
