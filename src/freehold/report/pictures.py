"""Inline SVG pictures. Colours come from the page's design tokens, so light and dark both work.

Each picture has a title and a description for people who cannot see it; every figure in it also stands in a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape

from freehold.report import words
from freehold.report.first_screen import SelectionPictureRow
from freehold.report.words import gib, percent, points
from freehold.types.evaluation import PairedResult
from freehold.types.machine import Fit
from freehold.types.mixture import Mixture, MixtureCurve, ShareStep
from freehold.visible import one_line

LONGEST_LABEL, SHORT_LABEL = 48, 28
"""Characters of a name in a picture, and of one that leaves room for words behind it, on a phone too."""
_ORGANISATION = re.compile(r"^[^/\s]+/")


def interval(comparison: PairedResult) -> str:
    """The paired difference with its interval, against the margin: the picture the verdict is read from."""
    low, high, middle = comparison.ci_low, comparison.ci_high, comparison.difference
    if low is None or high is None or middle is None:
        return ""
    left = min(low, -comparison.margin) - 0.02
    right = max(high, 0.0) + 0.02
    width, height, pad = 640, 132, 18
    span = right - left

    def x(value: float) -> float:
        return pad + (value - left) / span * (width - 2 * pad)

    axis = 84
    at_margin = x(-comparison.margin)
    anchor = "start" if at_margin < 90 else "middle"
    label = f"worst you accept ({points(-comparison.margin).replace('.0', '')})"
    told = f"Difference {points(middle)} points, interval {points(low)} to {points(high)}, {label}"
    return f"""<svg viewBox="0 0 {width} {height}" role="img" class="picture" aria-label="{told}">
<rect x="{at_margin:.1f}" y="22" width="{width - pad - at_margin:.1f}" height="{axis - 22}" class="safe"/>
<line x1="{pad}" x2="{width - pad}" y1="{axis}" y2="{axis}" class="axis"/>{_ticks(x, left, right, axis)}
<line x1="{at_margin:.1f}" x2="{at_margin:.1f}" y1="18" y2="{axis}" class="margin"/>
<text x="{at_margin:.1f}" y="13" class="tick" style="text-anchor:{anchor}">{label}</text>
<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="22" y2="{axis}" class="zero"/>
<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="54" y2="54" class="interval {comparison.verdict}"/>
<line x1="{x(low):.1f}" x2="{x(low):.1f}" y1="45" y2="63" class="interval {comparison.verdict}"/>
<line x1="{x(high):.1f}" x2="{x(high):.1f}" y1="45" y2="63" class="interval {comparison.verdict}"/>
<circle cx="{x(middle):.1f}" cy="54" r="6.5" class="dot {comparison.verdict}"/>
<text x="{width / 2}" y="{height - 6}" class="tick">candidate − incumbent, points</text></svg>"""


def candidates(rows: Sequence[SelectionPictureRow], margin: float) -> str:
    """All candidates' differences to the incumbent on one axis: those of the selection split, then apart the proof. A
    short line marks what a candidate needs there."""
    if not rows:
        return ""
    width, pad, height_of_row = 640, 18, 40
    left = min(-margin, *(row.low for row in rows)) - 0.02
    right = max(0.0, *(row.high for row in rows)) + 0.02
    gap = 22 if any(row.kind == "proof" for row in rows) else 0
    axis = 22 + height_of_row * len(rows) + gap
    height = axis + 40

    def x(value: float) -> float:
        return pad + (value - left) / (right - left) * (width - 2 * pad)

    drawn = []
    for number, row in enumerate(rows):
        top = 22 + height_of_row * number + (gap if row.kind == "proof" else 0)
        line = top + 26
        shown = {"proof": row.verdict, "chosen": "chosen", "other": "soft"}[row.kind]
        name = _shown_label(row.label)
        seen = "proven" if row.verdict == "promote" else "measured"
        proof = f", {seen} on held-out samples" if len(name) <= SHORT_LABEL else " (proof)"
        said = name + proof if row.kind == "proof" else name
        drawn.append(
            f'<text x="{pad}" y="{top + 12}" class="start">{escape(said)}</text>'
            f'<line x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" y1="{line}" y2="{line}" class="interval {shown}"/>'
            f'<circle cx="{x(row.middle):.1f}" cy="{line}" r="5" class="dot {shown}"/>'
        )
        if row.needed is not None and left <= row.needed <= right:
            at = f"{x(row.needed):.1f}"
            drawn.append(f'<line x1="{at}" x2="{at}" y1="{line - 8}" y2="{line + 8}" class="margin"/>')
        if row.kind == "proof" and (number == 0 or rows[number - 1].kind != "proof"):
            drawn.append(
                f'<line x1="{pad}" x2="{width - pad}" y1="{top - 10}" y2="{top - 10}" class="zero"/>'
            )
    told = "; ".join(
        f"{_shown_label(row.label)}{' (proof)' if row.kind == 'proof' else ''}: {points(row.middle)} points, interval "
        f"{points(row.low)} to {points(row.high)}"
        for row in rows
    )
    at_margin = x(-margin)
    return f"""<svg viewBox="0 0 {width} {height}" role="img" class="picture" aria-label="{escape(told)}">
<rect x="{at_margin:.1f}" y="16" width="{width - pad - at_margin:.1f}" height="{axis - 16}" class="safe"/>
<line x1="{pad}" x2="{width - pad}" y1="{axis}" y2="{axis}" class="axis"/>{_ticks(x, left, right, axis)}
<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="16" y2="{axis}" class="zero"/>{"".join(drawn)}
<text x="{width / 2}" y="{height - 4}" class="tick">candidate − incumbent, points</text></svg>"""


def _shown_label(text: str) -> str:
    """A candidate's name as a picture has room for it, with nothing in it that hides or turns letters: without the
    organisation before it first, then without its middle, since the end tells candidates apart."""
    plain = one_line(text)
    if len(plain) > LONGEST_LABEL:
        plain = _ORGANISATION.sub("", plain)
    end = (LONGEST_LABEL - 1) // 2
    return plain if len(plain) <= LONGEST_LABEL else f"{plain[: LONGEST_LABEL - 1 - end]}…{plain[-end:]}"


def _ticks(x: Callable[[float], float], left: float, right: float, axis: float) -> str:
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (right - left) / s <= 11)
    drawn, tick = [], -(-left // step) * step
    while tick <= right:
        drawn.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{axis}" y2="{axis + 5}" class="axis"/>'
            f'<text x="{x(tick):.1f}" y="{axis + 20}" class="tick">{_tick(tick)}</text>'
        )
        tick += step
    return "".join(drawn)


def _tick(value: float) -> str:
    text = points(round(value, 6)).removesuffix(".0")
    return "0" if text in {"+0", "−0"} else text


def memory(fit: Fit) -> str:
    """What the model takes of the machine's memory, part by part."""
    width, height = 640, 34
    whole = max(fit.available_bytes, fit.total_bytes, 1)
    place = 0.0
    bars = []
    for number, part in enumerate(fit.parts):
        size = part.bytes / whole * width
        bars.append(
            f'<rect x="{place:.2f}" y="0" width="{max(size, 0.0):.2f}" height="{height}" class="part p{number % 6}">'
            f"<title>{escape(part.name)}: {gib(part.bytes)}</title></rect>"
        )
        place += size
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" class="picture bar" aria-label="{gib(fit.total_bytes)} of '
        f'{gib(fit.available_bytes)}"><rect width="{width}" height="{height}" class="room"/>{"".join(bars)}</svg>'
    )


def curve(losses: Sequence[tuple[int, float]]) -> str:
    """Training loss over steps (log scale: the last part of a curve is where people look)."""
    import math

    if len(losses) < 2:
        return ""
    width, height, pad = 640, 190, 34
    steps = [step for step, _ in losses]
    logs = [math.log10(max(loss, 1e-4)) for _, loss in losses]
    low, high = min(logs), max(logs)
    span = max(high - low, 0.1)

    def place(step: int, value: float) -> str:
        x = pad + (step - steps[0]) / max(steps[-1] - steps[0], 1) * (width - pad - 8)
        y = 10 + (high - value) / span * (height - 44)
        return f"{x:.1f},{y:.1f}"

    line = " ".join(place(step, value) for step, value in zip(steps, logs, strict=True))
    ticks = "".join(
        f'<text x="{pad - 6}" y="{14 + (high - value) / span * (height - 44):.1f}" class="tick end">'
        f"{10**value:.2g}</text>"
        for value in (high, (high + low) / 2, low)
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" class="picture" aria-label="Training loss from '
        f'{losses[0][1]:.3f} to {losses[-1][1]:.3f}"><line x1="{pad}" x2="{width - 8}" y1="{height - 28}" '
        f'y2="{height - 28}" class="axis"/>{ticks}<polyline points="{line}" class="curve"/>'
        f'<text x="{pad}" y="{height - 10}" class="tick start">step {steps[0]}</text>'
        f'<text x="{width - 8}" y="{height - 10}" class="tick end">step {steps[-1]}</text></svg>'
    )


# A mixture's picture (what it risks over the share it answers here, with its band, and the line of a random split)
# and its figures in words.

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
        '<tspan style="fill:var(--accent)">with fallback</tspan> · '
        '<tspan style="fill:var(--p2)">random split</tspan></text></svg>'
    )


def _said(mixture: Mixture, curve: MixtureCurve) -> str:
    """The picture in words."""
    told = "; ".join(
        f"{percent(p.share)} here: {points(p.difference)} points, {points(p.low)} to {points(p.high)}, at random "
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
        return f"not known: {mixture.upper} as fallback was not evaluated"
    if not mixture.is_proven:
        return f"none is proven: see the difference with {mixture.upper} above"
    kept = " but those declared always_incumbent" if mixture.rule.always_incumbent else ""
    share, rest = percent(mixture.share), percent(1 - (mixture.share or 0.0))
    return f"all requests{kept}: {share} by the candidate, {rest} by {mixture.upper}"
