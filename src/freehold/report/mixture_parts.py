"""A mixture's picture (what it risks over the share it answers here, with its band, and the line of a random split) and
its figures in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from freehold.report import words
from freehold.report.words import percent, points
from freehold.types.mixture import Mixture, MixtureCurve, ShareStep

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 320, 52, 16, 16, 44
_SHOWN = 10


def risk_over_share(mixture: Mixture, curve: MixtureCurve) -> str:
    """The picture as inline SVG: difference to the incumbent over the share answered here. What was tested on held-out
    samples stands in it as upright lines, the share that was taken with a dot."""
    if not curve.points:
        return ""
    rows = [
        (0.0, curve.rest, curve.rest, curve.rest),
        *((p.share, p.difference, p.low, p.high) for p in curve.points),
    ]
    tested = [one for one in mixture.tested if one.low is not None and one.high is not None]
    bottom = min(-2 * mixture.margin, *(row[2] for row in rows), *(one.low or 0.0 for one in tested))
    top = max(0.01, *(row[3] for row in rows), *(one.high or 0.0 for one in tested))
    # What lies far below the margin decides nothing, and would press the rest together.
    bottom, top = max(bottom, -12 * mixture.margin) - 0.004, min(top, 12 * mixture.margin) + 0.004

    def x(share: float) -> float:
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        place = (min(max(value, bottom), top) - bottom) / (top - bottom)
        return round(_TOP + (1 - place) * (_HEIGHT - _TOP - _BOTTOM), 1)

    def line(values: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x(share)},{y(value)}" for share, value in values)

    def level(value: float, kind: str, said: str) -> str:
        text = f'<text x="{_LEFT - 6}" y="{y(value) + 4}" class="end">{said}</text>'
        return f'<line x1="{_LEFT}" x2="{x(1)}" y1="{y(value)}" y2="{y(value)}" class="{kind}"/>{text}'

    band = [(row[0], row[3]) for row in rows] + [(row[0], row[2]) for row in reversed(rows)]
    shares = "".join(
        f'<text x="{x(share / 100)}" y="{y(bottom) + 16}" class="tick">{share}%</text>'
        for share in range(0, 101, 20)
    )
    upright = "".join(
        f'<line x1="{x(one.share)}" x2="{x(one.share)}" y1="{y(one.low or 0.0)}" y2="{y(one.high or 0.0)}" '
        f'class="interval {one.verdict}"/>'
        for one in tested
    )
    k, dot = mixture.comparison, ""
    if k is not None and k.difference is not None and mixture.share is not None:
        dot = f'<circle cx="{x(mixture.share)}" cy="{y(k.difference)}" r="6" class="dot {k.verdict}"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="picture" '
        f'aria-label="{escape(_said(mixture, curve))}">'
        f'<rect x="{_LEFT}" y="{y(top)}" width="{x(1) - _LEFT}" height="{y(-mixture.margin) - y(top)}" class="safe"/>'
        f"{level(top, 'axis', points(top))}{level(0.0, 'axis', '0')}{level(bottom, 'axis', points(bottom))}{shares}"
        f'<polyline points="{line([(0.0, curve.rest), (1.0, curve.whole)])}" '
        'style="fill:none;stroke:var(--p2);stroke-width:1.5;stroke-dasharray:5 4"/>'
        f'<polygon points="{line(band)}" style="fill:var(--accent);opacity:.18"/>'
        f'<polyline points="{line([row[:2] for row in rows])}" class="curve"/>'
        f"{level(-mixture.margin, 'margin', points(-mixture.margin))}{upright}{dot}"
        f'<text x="{x(1) - 6}" y="{y(-mixture.margin) - 5}" class="end">worst you accept</text>'
        f'<text x="{x(1)}" y="{_HEIGHT - 4}" class="end">share answered here · '
        '<tspan style="fill:var(--accent)">mixture</tspan> · '
        '<tspan style="fill:var(--p2)">random split</tspan></text></svg>'
    )


def _said(mixture: Mixture, curve: MixtureCurve) -> str:
    """The picture in words."""
    told = "; ".join(
        f"{percent(p.share)} here: {points(p.difference)} points, {points(p.low)} to {points(p.high)}, by lot "
        f"{points(curve.by_lot(p.share))}"
        for p in (curve.points[place] for place in sorted(_spread(len(curve.points), 6)))
    )
    return f"{mixture.sentence} Difference to the incumbent over the share answered here. {told}."


def shown_shares(mixture: Mixture) -> list[ShareStep]:
    """Some of the shares that were proven, evenly spread, the one in force among them."""
    proven = mixture.proven
    places = _spread(len(proven), _SHOWN)
    places |= {place for place, one in enumerate(proven) if is_taken(one, mixture)}
    return [proven[place] for place in sorted(places)]


def is_taken(one: ShareStep, mixture: Mixture) -> bool:
    """Whether this share is the one in force."""
    return mixture.rule is not None and one.threshold == mixture.rule.threshold


def _spread(count: int, most: int) -> set[int]:
    return {round(at * (count - 1) / max(1, most - 1)) for at in range(min(most, count))}


def curve_name(curve: MixtureCurve) -> str:
    """How it decides, in words."""
    if curve.signal == "router":
        return "By a router that reads the request"
    return f"By the answer's {curve.signal.replace('_', ' ')}"


def mixture_figures(mixture: Mixture) -> list[tuple[str, str]]:
    """Rows of names and values: share, difference, dollars. What is not known is said so."""
    rows: list[tuple[str, str]] = []
    k, rule, curve, cost = mixture.comparison, mixture.rule, mixture.curve, mixture.cost
    if rule is not None and curve is not None:
        rows.append(("decided", f"{curve_name(curve).lower()}, from a calibrated {rule.threshold:.3f} on"))
    if k is not None:
        low, high = percent(mixture.share_low), percent(mixture.share_high)
        rows.append(("answered here", f"{percent(mixture.share)}, between {low} and {high}"))
        told = f"{points(k.difference)} points, between {points(k.ci_low)} and {points(k.ci_high)}"
        rows.append(("difference", f"{told} (margin {points(-k.margin)}), n = {k.n:,}"))
    if mixture.proven:
        largest = percent(1.0 if mixture.alone else mixture.proven[-1].share)
        way = "for a smaller one: freehold defer plan --share S"
        rows.append(("proven", f"every share up to {largest}, all at once; {way}"))
    if cost is not None:
        month = cost.saved_per_month
        for name, usd in (("incumbent alone", cost.incumbent_usd), ("mixture", cost.mixture_usd)):
            rows.append((name, words.ABSENT if usd is None else f"${usd:,f} per 1,000 requests"))
        rows.append(("saved a month", words.ABSENT if month is None else f"${month:,.2f}"))
        rows += [("", why) for why in cost.why]
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
    if not mixture.is_proven:
        return f"none is proven: see the difference with {mixture.upper} above"
    kept = " but those declared always_incumbent" if mixture.rule.always_incumbent else ""
    share, rest = percent(mixture.share), percent(1 - (mixture.share or 0.0))
    return f"all requests{kept}: {share} by the candidate, {rest} by {mixture.upper}"
