"""Pairs of scores by their counts, compared."""

from freehold.stats.compare import ScoreContext, compare_scores
from freehold.stats.rules import DecisionRule


def run(pairs, **options):
    a, b = [p[0] for p in pairs], [p[1] for p in pairs]
    rule = {name: options.pop(name) for name in ("margin", "slice_margin", "lo", "hi") if name in options}
    known = {name: options.pop(name) for name in ("self_noise", "looks", "whole_units") if name in options}
    return compare_scores(
        options.pop("ids", None) or [str(i) for i in range(len(pairs))],
        a,
        b,
        DecisionRule(**{"margin": 0.05, **rule}),
        context=ScoreContext(**known),
        **options,
    )


def counted(both=0, wins=0, losses=0, neither=0):
    return [(1.0, 1.0)] * both + [(0.0, 1.0)] * wins + [(1.0, 0.0)] * losses + [(0.0, 0.0)] * neither
