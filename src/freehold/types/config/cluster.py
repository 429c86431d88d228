"""`[cluster]`: serving and training on more than one machine."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from freehold.types.config.table import AtLeastOne, Table


class ClusterConfig(Table, frozen=True, kw_only=True):
    """`[cluster]`: the same plan on several machines, through Ray Serve."""

    address: str | None = None
    """Ray cluster to join: `HOST:6379`, or `auto` for one that runs here. Without it one is started on this machine."""
    replicas: AtLeastOne = 1
    """How many serve the plan."""
    workers: int = 1
    """Workers that train one adapter together, through Ray Train; `cpus` and `gpus` are each one's too."""
    cpus: float = 1.0
    """Cores of each replica."""
    gpus: float = 0.0
    """GPUs of each replica."""
    host: str = "127.0.0.1"
    """Address the cluster answers on: loopback of the head, unless you say otherwise (`0.0.0.0`: on every machine)."""
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    """Port of that address."""
