"""Traffic to measure an endpoint with: what is asked, and how hard."""

from freehold.engines.traffic.drive import drive, knee, refusal
from freehold.engines.traffic.forms import forms
from freehold.engines.traffic.workload import RequestBodies, from_bodies, synthetic

__all__ = ["RequestBodies", "drive", "forms", "from_bodies", "knee", "refusal", "synthetic"]
