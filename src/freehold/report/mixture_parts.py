"""A mixture's picture (what it risks over the share it answers here, with its band, and the line of a random split) and
its figures in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from freehold.report import words
from freehold.report.words import percent, points
from freehold.types.evaluation import VerdictOutcome
from freehold.types.mixture import Mixture, MixtureCurve, MixturePoint, ShareStep

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 320, 52, 16, 16, 44
_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_TICKS = 8
Place = Callable[[float], float]


def risk_over_share(mixture: Mixture, curve: MixtureCurve) -> str:
    """The picture as inline SVG: difference to the incumbent over the share answered here. What was tested on held-out
    samples stands in it as upright lines, the share that was taken with a dot."""
    if not curve.points:
        return ""
    rest = curve.rest
    rows = [(0.0, rest, rest, rest), *((p.share, p.difference, p.low, p.high) for p in curve.points)]
    bottom = min(-2 * mixture.margin, *(row[2] for row in rows), *(one.low or 0.0 for one in mixture.tested))
    top = max(0.01, *(row[3] for row in rows), *(one.high or 0.0 for one in mixture.tested))
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
    axis, right, at_margin = y(bottom), x(1), y(-mixture.margin)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="picture" '
        f'aria-label="{escape(_said(mixture, curve))}">'
        f'<rect x="{_LEFT}" y="{y(top):.1f}" width="{right - _LEFT:.1f}" height="{at_margin - y(top):.1f}" '
        f'class="safe"/>{_grid(x, y, bottom, top, axis)}'
        f'<polyline points="{line([(0.0, rest), (1.0, curve.whole)])}" '
        'style="fill:none;stroke:var(--p2);stroke-width:1.5;stroke-dasharray:5 4"/>'
        f'<polygon points="{line(band)}" style="fill:var(--accent);opacity:.18"/>'
        f'<polyline points="{line([row[:2] for row in rows])}" class="curve"/>'
        f'<line x1="{_LEFT}" x2="{right:.1f}" y1="{at_margin:.1f}" y2="{at_margin:.1f}" class="margin"/>'
        f'<text x="{right - 6:.1f}" y="{at_margin - 5:.1f}" class="end">worst you accept '
        f"({points(-mixture.margin).removesuffix('.0')})</text>"
        f"{_tested(x, y, mixture)}"
        f'<text x="{right:.1f}" y="{_HEIGHT - 4}" class="end">share answered here · '
        '<tspan style="fill:var(--accent)">mixture</tspan> · '
        '<tspan style="fill:var(--p2)">random split</tspan></text></svg>'
    )


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


def _tested(x: Place, y: Place, mixture: Mixture) -> str:
    """The intervals of all tested shares, and a dot at the one that is in force."""
    drawn = [_interval(x, y, one.share, (one.low, one.high), one.verdict) for one in mixture.tested]
    k = mixture.comparison
    if k is not None and k.difference is not None and mixture.share is not None:
        drawn.append(_interval(x, y, mixture.share, (k.ci_low, k.ci_high), k.verdict))
        drawn.append(
            f'<circle cx="{x(mixture.share):.1f}" cy="{y(k.difference):.1f}" r="6" class="dot {k.verdict}"/>'
        )
    return "".join(drawn)


def _interval(
    x: Place, y: Place, share: float, limits: tuple[float | None, float | None], kind: VerdictOutcome
) -> str:
    low, high = limits
    if low is None or high is None:
        return ""
    at = f"{x(share):.1f}"
    return f'<line x1="{at}" x2="{at}" y1="{y(low):.1f}" y2="{y(high):.1f}" class="interval {kind}"/>'


def _said(mixture: Mixture, curve: MixtureCurve) -> str:
    """The picture in words."""
    told = "; ".join(
        f"{percent(p.share)} here: {points(p.difference)} points, {points(p.low)} to {points(p.high)}, by lot "
        f"{points(curve.by_lot(p.share))}"
        for p in shown_points(curve, 6)
    )
    return f"{mixture.sentence} Difference to the incumbent over the share answered here. {told}."


def shown_points(curve: MixtureCurve, most: int = 10) -> list[MixturePoint]:
    """Some of the points, evenly spread."""
    return [curve.points[place] for place in sorted(_spread(len(curve.points), most))]


def shown_shares(mixture: Mixture, most: int = 10) -> list[ShareStep]:
    """Some of the shares that were proven, evenly spread, the one in force among them."""
    proven = mixture.proven
    places = _spread(len(proven), most)
    places |= {place for place, one in enumerate(proven) if is_taken(one, mixture)}
    return [proven[place] for place in sorted(places)]


def is_taken(one: ShareStep, mixture: Mixture) -> bool:
    """Whether this share is the one in force."""
    return mixture.rule is not None and one.threshold == mixture.rule.threshold


def _spread(count: int, most: int) -> set[int]:
    return {round(at * (count - 1) / max(1, most - 1)) for at in range(min(most, count))}


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
    if mixture.proven:
        largest = 1.0 if mixture.alone else mixture.proven[-1].share
        rows.append(
            (
                "proven",
                f"every share up to {words.percent(largest)}, all at once; for a smaller one: "
                "freehold defer plan --share S",
            )
        )
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
    waits = mixture.latency
    if waits is not None:
        rows += [
            (name, f"{words.milliseconds(one.p50_ms)} for half, {words.milliseconds(one.p95_ms)} for 95%")
            for name, one in (
                ("router's decision", waits.decided),
                ("an answer from here", waits.here),
                ("added to a deferred one", waits.deferred),
                ("incumbent, as recorded", waits.incumbent),
            )
            if one.p50_ms is not None
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
