"""A mixture's picture (what it risks over the share it answers here, with its band, and the line of a random split) and
its figures in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from freehold.report import words
from freehold.report.words import percent, points
from freehold.types.mixture import Mixture, MixtureCurve, MixturePoint

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 320, 52, 16, 16, 44
_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_TICKS = 8
Place = Callable[[float], float]
Interval = tuple[float, float, float, float]


def best_curve(mixture: Mixture) -> MixtureCurve | None:
    """The curve that the rule is from; else the one that tells best what is sure; None without any."""
    if mixture.best is not None:
        return mixture.curves[mixture.best]
    drawn = [one for one in mixture.curves if one.points]
    return max(drawn, key=lambda one: one.quality.auroc or 0.0, default=None)


def risk_over_share(mixture: Mixture, curve: MixtureCurve) -> str:
    """The picture as inline SVG: difference to the incumbent over the share answered here. The proof on held-out
    samples stands in it where it was looked at."""
    if not curve.points:
        return ""
    rest = curve.rest
    rows = [(0.0, rest, rest, rest), *((p.share, p.difference, p.low, p.high) for p in curve.points)]
    proof = _proof(mixture, curve)
    bottom = min(-2 * mixture.margin, *(row[2] for row in rows), *(proof[2:3] if proof else ()))
    top = max(0.01, *(row[3] for row in rows), *(proof[3:4] if proof else ()))
    # What lies far below the margin decides nothing, and would press the rest together.
    bottom, top = max(bottom, -12 * mixture.margin) - 0.004, min(top, 12 * mixture.margin) + 0.004

    def x(share: float) -> float:
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        place = (min(max(value, bottom), top) - bottom) / (top - bottom)
        return _TOP + (1 - place) * (_HEIGHT - _TOP - _BOTTOM)

    def line(values: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x(share):.1f},{y(value):.1f}" for share, value in values)

    band = [(row[0], row[3]) for row in rows] + [(row[0], row[2]) for row in reversed(rows)]
    last = rows[-1]
    by_lot = (curve.points[-1].random - rest) / last[0] if last[0] else 0.0
    lot_band = [
        (0.0, rest),
        (last[0], last[3] if last[0] == 1 else rest + by_lot * last[0]),
        (last[0], last[2] if last[0] == 1 else rest + by_lot * last[0]),
    ]
    axis, right, at_margin = y(bottom), x(1), y(-mixture.margin)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="picture" '
        f'aria-label="{escape(_said(mixture, curve))}">'
        f'<rect x="{_LEFT}" y="{y(top):.1f}" width="{right - _LEFT:.1f}" height="{at_margin - y(top):.1f}" '
        f'class="safe"/>{_grid(x, y, bottom, top, axis)}'
        f'<polygon points="{line(lot_band)}" style="fill:var(--p2);opacity:.16"/>'
        f'<polyline points="{line([(0.0, rest), (1.0, rest + by_lot)])}" '
        'style="fill:none;stroke:var(--p2);stroke-width:1.5;stroke-dasharray:5 4"/>'
        f'<polygon points="{line(band)}" style="fill:var(--accent);opacity:.18"/>'
        f'<polyline points="{line([row[:2] for row in rows])}" class="curve"/>'
        f'<line x1="{_LEFT}" x2="{right:.1f}" y1="{at_margin:.1f}" y2="{at_margin:.1f}" class="margin"/>'
        f'<text x="{right - 6:.1f}" y="{at_margin - 5:.1f}" class="end">worst you accept '
        f"({points(-mixture.margin).removesuffix('.0')})</text>"
        f"{_chosen(x, y, curve)}{_interval(x, y, proof, mixture)}"
        f'<text x="{right:.1f}" y="{_HEIGHT - 4}" class="end">share answered here · '
        '<tspan style="fill:var(--accent)">mixture</tspan> · '
        '<tspan style="fill:var(--p2)">random split</tspan></text></svg>'
    )


def _proof(mixture: Mixture, curve: MixtureCurve) -> Interval | None:
    k = mixture.comparison
    if (
        k is None
        or mixture.share is None
        or k.difference is None
        or k.ci_low is None
        or k.ci_high is None
        or mixture.best is None
        or mixture.curves[mixture.best] is not curve
    ):
        return None
    return mixture.share, k.difference, k.ci_low, k.ci_high


def _grid(x: Place, y: Place, bottom: float, top: float, axis: float) -> str:
    step = next((one for one in _STEPS if (top - bottom) / one <= _TICKS), 1.0)
    drawn, tick = [], -(-bottom // step) * step
    while tick <= top:
        text = points(round(tick, 6)).removesuffix(".0")
        drawn.append(
            f'<line x1="{_LEFT}" x2="{x(1):.1f}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="axis"/>'
            f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" class="end">{"0" if text in {"+0", "−0"} else text}</text>'
        )
        tick += step
    drawn += [
        f'<text x="{x(share / 100):.1f}" y="{axis + 16:.1f}" class="tick">{share}%</text>'
        for share in range(0, 101, 20)
    ]
    return "".join(drawn)


def _chosen(x: Place, y: Place, curve: MixtureCurve) -> str:
    if curve.chosen is None:
        return ""
    point = curve.points[curve.chosen]
    return f'<circle cx="{x(point.share):.1f}" cy="{y(point.difference):.1f}" r="5" class="dot chosen"/>'


def _interval(x: Place, y: Place, proof: Interval | None, mixture: Mixture) -> str:
    if proof is None:
        return ""
    share, middle, low, high = proof
    at, kind = f"{x(share):.1f}", mixture.outcome
    return (
        f'<line x1="{at}" x2="{at}" y1="{y(low):.1f}" y2="{y(high):.1f}" class="interval {kind}"/>'
        f'<circle cx="{at}" cy="{y(middle):.1f}" r="6" class="dot {kind}"/>'
    )


def _said(mixture: Mixture, curve: MixtureCurve) -> str:
    """The picture in words."""
    told = "; ".join(
        f"{percent(p.share)} here: {points(p.difference)} points, {points(p.low)} to {points(p.high)}, by lot "
        f"{points(p.random)}"
        for p in shown_points(curve, 6)
    )
    return f"{mixture.sentence} Difference to the incumbent over the share answered here. {told}."


def shown_points(curve: MixtureCurve, most: int = 10) -> list[MixturePoint]:
    """Some of the points, evenly spread, the chosen one among them."""
    count = len(curve.points)
    places = {round(at * (count - 1) / max(1, most - 1)) for at in range(min(most, count))}
    if curve.chosen is not None:
        places.add(curve.chosen)
    return [curve.points[place] for place in sorted(places)]


def curve_name(curve: MixtureCurve) -> str:
    """How it decides, in words."""
    if curve.way == "router":
        return "By a router that reads the request"
    return f"By the answer's {curve.signal.replace('_', ' ')}"


def mixture_figures(mixture: Mixture) -> list[tuple[str, str]]:
    """Rows of names and values: share, difference, dollars, times. What is not known is said so."""
    rows: list[tuple[str, str]] = []
    k, rule = mixture.comparison, mixture.rule
    if rule is not None:
        rows.append(
            (
                "decided by",
                f"{rule.signal.replace('_', ' ')} ({rule.way}), from a calibrated {rule.threshold:.3f} on",
            )
        )
    if k is not None:
        rows += [
            (
                "answered here",
                f"{words.percent(mixture.share)}, between {words.percent(mixture.share_low)} and "
                f"{words.percent(mixture.share_high)}",
            ),
            (
                "difference",
                f"{words.points(k.difference)} points, between {words.points(k.ci_low)} and {words.points(k.ci_high)} "
                f"(margin {words.points(-k.margin)}), n = {k.n:,}",
            ),
        ]
    cost = mixture.cost
    if cost is not None:
        rows += [
            (name, words.ABSENT if usd is None else f"${usd:,f} per 1,000 requests")
            for name, usd in (
                ("incumbent alone", cost.incumbent_usd),
                ("mixture", cost.mixture_usd),
                ("saved", cost.saved_usd),
            )
        ]
        month = mixture.usd_saved_per_month
        rows.append(("saved a month", words.ABSENT if month is None else f"${month:,.2f}"))
        rows += [("", why) for why in cost.why]
    times = mixture.latency
    if times is not None:
        rows += [
            (name, f"{words.milliseconds(p50)} for half, {words.milliseconds(p95)} for 95%")
            for name, p50, p95 in (
                ("router's decision", times.decided_p50_ms, times.decided_p95_ms),
                ("an answer from here", times.here_p50_ms, times.here_p95_ms),
                ("added to a deferred one", times.deferred_p50_ms, times.deferred_p95_ms),
                ("incumbent, as recorded", times.incumbent_p50_ms, times.incumbent_p95_ms),
            )
            if p50 is not None
        ]
    if mixture.incumbent_until is not None:
        rows.append(("incumbent until", f"{mixture.incumbent_until}"))
    rows.append(("open models alone", _by_open_models(mixture)))
    return rows


def _by_open_models(mixture: Mixture) -> str:
    """What share is answered if only models of one's own may be used."""
    if mixture.upper is None:
        return (
            f"not known: all that the candidate is not sure of is {mixture.incumbent}'s, and no larger model of your "
            "own was measured in its place ([defer] upper)"
        )
    if mixture.rule is None or mixture.comparison is None:
        return f"not known: the mixture with {mixture.upper} was not looked at"
    kept = " but those declared always_incumbent" if mixture.rule.always_incumbent else ""
    if not mixture.is_proven:
        return f"none is proven: see the difference with {mixture.upper} above"
    share, rest = words.percent(mixture.share), words.percent(1 - (mixture.share or 0.0))
    return f"all requests{kept}: {share} by the candidate, {rest} by {mixture.upper}"
