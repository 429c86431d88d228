"""Several models on one machine, and adapters that come and go: who is loaded, who waits, who leaves."""

from freehold.engines.pool.pool import Pool
from freehold.engines.pool.seat import Hosted, PoolBusyError

__all__ = ["Hosted", "Pool", "PoolBusyError"]
