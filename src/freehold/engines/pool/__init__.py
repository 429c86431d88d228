"""Several models on one machine, and adapters that come and go: who is loaded, who waits, who leaves."""

from freehold.engines.pool.pool import Hosted, Pool, PoolBusyError

__all__ = ["Hosted", "Pool", "PoolBusyError"]
