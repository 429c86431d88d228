"""What a model could do before it was taught one task: a probe set written for freehold, and the log's other tasks."""

from freehold.evals.retained.checks import passes
from freehold.evals.retained.other_tasks import AnsweredTask, OtherTask, kept_tasks
from freehold.evals.retained.probes import Probe, probes

__all__ = ["AnsweredTask", "OtherTask", "Probe", "kept_tasks", "passes", "probes"]
