"""What serves on more than one machine."""

from __future__ import annotations

from freehold.types.config.cluster import ClusterConfig
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.record import Record


class ClusterPlan(Record, frozen=True, kw_only=True):
    """A `ServePlan` and how often, where and with what it runs."""

    name: str
    serve: ServePlan
    config: ClusterConfig
    memory_bytes: int
    """Memory one replica needs."""


class Replica(Record, frozen=True, kw_only=True):
    """One replica as the cluster tells of it."""

    id: str
    node: str
    state: str


class ClusterState(Record, frozen=True, kw_only=True):
    """What runs on the cluster now."""

    status: str
    replicas: tuple[Replica, ...]
    nodes: int
    endpoint: Endpoint | None = None
    message: str = ""
