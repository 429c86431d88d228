"""What a model could do before it was taught one task: a probe set written for freehold, and how answers are judged."""

from freehold.evals.retained.checks import passes
from freehold.evals.retained.probes import Probe, probes

__all__ = ["Probe", "passes", "probes"]
