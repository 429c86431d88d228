"""Rules of deferral from plain fields: those of the first tier beside those of the rule."""

from freehold.types.deferral import Calibration, DeferralRule, Tier

LEVEL = Calibration(raw=(0.0, 1.0), probability=(0.0, 1.0))
"""A signal that is a probability already."""


def one_tier(*, upper=None, **fields):
    """A rule of one tier, and of an upper model behind it."""
    first = {name: fields.pop(name) for name in list(fields) if name in Tier.__struct_fields__}
    tier = Tier(**{"model": "small", "identity": "c1", "signal": "probability", "calibration": LEVEL} | first)
    tiers = (tier,) if upper is None else (tier, upper)
    return DeferralRule.of(**{"tiers": tiers, "threshold": 0.8, "incumbent": "gpt-4o"} | fields)
