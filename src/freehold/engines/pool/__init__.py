"""Several models on one machine, and adapters that come and go: what is loaded, what waits, what is unloaded."""

from freehold.engines.pool.model_slot import HostedModel, PoolBusyError
from freehold.engines.pool.policy import PoolLimits
from freehold.engines.pool.pool import Pool

__all__ = ["HostedModel", "Pool", "PoolBusyError", "PoolLimits"]
