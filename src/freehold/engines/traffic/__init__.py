"""Traffic to measure an endpoint with: what is asked, and how hard."""

from freehold.engines.traffic.drive import drive, knee, refusal
from freehold.engines.traffic.workload import RequestBodies, from_bodies, synthetic

__all__ = ["RequestBodies", "drive", "from_bodies", "knee", "refusal", "synthetic"]
