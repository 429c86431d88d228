"""Several models on one machine, all loaded at the start, and adapters that come and go."""

from freehold.engines.pool.pool import ModelStatus, Pool

__all__ = ["ModelStatus", "Pool"]
