"""Rules over licence clauses: may I use this model for this, and what must I do? Pure."""

from freehold.licensing.comply import attribution_text
from freehold.licensing.identify import identify
from freehold.licensing.ruling import rule

__all__ = ["attribution_text", "identify", "rule"]
