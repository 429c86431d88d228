"""A mixture with its curve and its one look, made as the real one is."""

from datetime import date
from decimal import Decimal

import numpy as np
from tests.deferral_rules import one_tier

from freehold.stats.compare import compare_scores
from freehold.stats.deferral import mixture_curve
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import Comparison
from freehold.types.mixture import Mixture, MixtureCost, ShareStep


def curve_and_calibration(*, informative=True, n=600):
    """A candidate that is right where it is sure, and wrong on the less sure half of the time."""
    random = np.random.default_rng(1)
    raw = random.random(n)
    wrong = random.random(n) < (np.where(raw > 0.5, 0.0, 0.8) if informative else 0.4)
    return mixture_curve(
        "probability",
        raw,
        np.where(wrong, -1.0, 0.0),
        codes=None,
        rule=DecisionRule(margin=0.03),
        least_share=0.1,
    )


def mixture(*, losses=4, share=0.5, n=500, **changes):
    """A mixture that loses `losses` of `n` held-out samples."""
    curve, calibration = curve_and_calibration()
    rule = one_tier(
        model="small:app", identity="c" * 32, calibration=calibration, threshold=curve.points[20].threshold,
        incumbent="rented-1",
    )  # fmt: skip
    found = compare_scores(
        [str(one) for one in range(n)],
        [1.0] * n,
        [0.0] * losses + [1.0] * (n - losses),
        DecisionRule(margin=0.03),
        slices={"language": ["de" if one < n // 5 else "en" for one in range(n)]},
    )
    compared = Comparison.of(found, id="k" * 32, task="app", incumbent="rented-1", candidate="small:app")
    tested = [
        ShareStep(threshold=point.threshold, share=point.share, expected=point.difference, difference=-0.008, low=-0.02,
                  high=0.0, here=-0.016, verdict="promote")
        for point in curve.points[:21]
    ]  # fmt: skip
    fields = {
        "id": "m" * 32,
        "candidate": "small:app",
        "label": "org/small · encoder",
        "incumbent": "rented-1",
        "dataset_id": "d" * 32,
        "margin": 0.03,
        "selection_samples": 600,
        "curves": (curve,),
        "best": 0,
        "rule": rule,
        "comparison": compared,
        "tested": tuple(tested) if compared.verdict == "promote" else (),
        "share": share,
        "share_low": None if share is None else share - 0.04,
        "share_high": None if share is None else share + 0.04,
        "cost": MixtureCost(
            incumbent_usd=Decimal("2.5"),
            mixture_usd=Decimal("1.27"),
            requests_per_month=Decimal(100_325),
            why=("rented-1: as stated",),
        ),
        "incumbent_until": date(2027, 3, 1),
        "notes": ("A note <of> ours.",),
    }
    return Mixture(**{**fields, **changes})


def refused():
    """One that could not be planned."""
    return mixture(
        rule=None, best=None, comparison=None, share=None, share_low=None, share_high=None, cost=None,
        curves=(curve_and_calibration(informative=False)[0],), tested=(),
        refused="the signal tells nothing", way_out="more traffic",
    )  # fmt: skip
