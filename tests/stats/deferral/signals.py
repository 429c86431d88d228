"""Signals with the differences that go with them, and their curve."""

import numpy as np

from freehold.stats.deferral import mixture_curve
from freehold.stats.rules import DecisionRule


def told(n=1000, seed=0, scale=0.4, win=0.01):
    """Signals, and differences whose losses thin out with the signal."""
    rng = np.random.default_rng(seed)
    raw, luck = rng.random(n), rng.random(n)
    return raw, (luck < win) * 1.0 - (luck > 1 - scale * (1 - raw) ** 3) * 1.0


def curve(raw, differences, **changed):
    fields = {
        "signal": "probability", "codes": None, "rule": DecisionRule(margin=0.03), "least_share": 0.2
    }  # fmt: skip
    return mixture_curve(raw=raw, differences=differences, **fields | changed)
