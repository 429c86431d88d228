"""Whether an encoder is served as it was trained: `check` asks, `judging` says what the answers mean."""

from freehold.workflows.prove.encoder_parity.check import encoder_parity
from freehold.workflows.prove.encoder_parity.owned import encoder_meant, parity_of

__all__ = ["encoder_meant", "encoder_parity", "parity_of"]
