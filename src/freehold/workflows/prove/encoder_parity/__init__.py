"""Whether an encoder is served as it was trained: `check` asks both sides, `judging` says what their answers mean."""

from freehold.workflows.prove.encoder_parity.check import MOST_MESSAGES, encoder_parity
from freehold.workflows.prove.encoder_parity.owned import encoder_meant, parity_of

__all__ = ["MOST_MESSAGES", "encoder_meant", "encoder_parity", "parity_of"]
