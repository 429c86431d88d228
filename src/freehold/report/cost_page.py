"""A cost record as one page: the sentence, the picture, the figures, what would change the advice."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from html import escape

import jinja2

from freehold.costs.curve import CurvePoint, curve
from freehold.costs.decision import money
from freehold.report.pictures import page_style
from freehold.types.cost import Cost

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ cost.bill.model }} or {{ cost.self_host.model }}</title>
<style>{{ style }}</style>
</head>
<body><main>
<h1>{{ {"leave": "Leave", "stay": "Stay", "undecided": "Not decidable by cost"}[cost.advice] }}</h1>
<p class="lead">{{ cost.sentence }}</p>
<h2>Dollars a month over requests a month</h2>
{{ picture }}
<p class="small soft">Both axes are logarithmic. Bands are ranges: of the machine's price, and of how fast it is.</p>
<h2>Figures</h2>
<table><tbody>
<tr><td>requests a month</td><td>{{ "{:,.0f}".format(cost.traffic.requests_per_month) }}</td></tr>
<tr><td>prompt tokens each (cached)</td><td>{{ "{:,.0f}".format(cost.traffic.prompt_tokens) }}
({{ "{:,.0f}".format(cost.traffic.cached_prompt_tokens) }})</td></tr>
<tr><td>completion tokens each (reasoning)</td><td>{{ "{:,.0f}".format(cost.traffic.completion_tokens) }}
({{ "{:,.0f}".format(cost.traffic.reasoning_tokens) }})</td></tr>
<tr><td>bill of {{ cost.bill.model }}</td><td>{{ money(cost.bill.usd_per_month) }} a month</td></tr>
<tr><td>holding {{ cost.self_host.model }} on {{ cost.self_host.machine }}</td>
<td>{{ money(cost.self_host.usd_per_month) }} a month</td></tr>
<tr><td>break-even</td><td>{{ meet }}</td></tr>
{% for who, usd in cost.hosted_open[:5] %}<tr><td>hosted by {{ who }}</td>
<td>${{ "{:,.2f}".format(usd) }} a month</td></tr>{% endfor %}
</tbody></table>
<h2>If one assumption were different</h2>
<table><tbody>
{% for what, advice in cost.sensitivity %}<tr><td>{{ what }}</td><td>{{ advice }}</td></tr>{% endfor %}
</tbody></table>
<h2>How this is known</h2>
<ul>{% for reason in cost.reasons %}<li>{{ reason }}</li>{% endfor %}</ul>
<p class="small soft">Record {{ cost.id }}, freehold {{ cost.version }}.</p>
</main></body></html>
"""

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 300, 64, 16, 14, 36


def render_cost(cost: Cost) -> str:
    """One self-contained HTML page."""
    from markupsafe import Markup

    return _template().render(
        cost=cost,
        style=Markup(page_style()),
        picture=Markup(picture(cost)),
        money=money,
        meet=break_even(cost),
    )


def break_even(cost: Cost) -> str:
    """Where holding begins to pay, in words."""
    meet = cost.break_even_requests_per_month
    ends = [f"{end:,.0f}" if end.is_finite() else "never" for end in (meet.low, meet.high)]
    return f"{' to '.join(dict.fromkeys(ends))} requests a month"


def picture(cost: Cost) -> str:
    """Bill and holding as bands over the traffic, as inline SVG."""
    points = curve(cost)
    values = [value for point in points for value in (*point.bill, *point.holding) if value > 0]
    if not values:
        return ""
    left, right = math.log10(points[0].requests), math.log10(points[-1].requests)
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(requests: float) -> float:
        return _LEFT + (math.log10(requests) - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)

    def y(usd: float) -> float:
        place = (math.log10(max(usd, 10.0**low)) - low) / max(1, high - low)
        return _TOP + (1 - place) * (_HEIGHT - _TOP - _BOTTOM)

    def band(end: str, colour: str) -> str:
        upper = [(point.requests, getattr(point, end)[1]) for point in points]
        lower = [(point.requests, getattr(point, end)[0]) for point in reversed(points)]
        around = " ".join(f"{x(n):.1f},{y(usd):.1f}" for n, usd in upper + lower)
        edge = " ".join(f"{x(n):.1f},{y(usd):.1f}" for n, usd in upper)
        return (
            f'<polygon points="{around}" style="fill:var({colour});opacity:.22"/>'
            f'<polyline points="{edge}" style="fill:none;stroke:var({colour});stroke-width:2"/>'
        )

    ticks = "".join(
        f'<text x="{_LEFT - 8}" y="{y(10.0**power) + 4:.1f}" class="tick end">{_short(10.0**power, "$")}</text>'
        for power in range(low, high + 1)
    ) + "".join(
        f'<text x="{x(10.0**power):.1f}" y="{_HEIGHT - 18}" class="tick">{_short(10.0**power)}</text>'
        for power in range(math.ceil(left), math.floor(right) + 1)
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="picture" aria-label="{escape(_said(cost, points))}">'
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_HEIGHT - _BOTTOM}" y2="{_HEIGHT - _BOTTOM}" class="axis"/>'
        f"{band('bill', '--p2')}{band('holding', '--p0')}{_mark(cost, x)}{ticks}"
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" class="tick end">requests a month · '
        f'<tspan style="fill:var(--p2)">bill</tspan> · <tspan style="fill:var(--p0)">holding</tspan></text></svg>'
    )


def _mark(cost: Cost, x: Callable[[float], float]) -> str:
    now = float(cost.traffic.requests_per_month)
    if now <= 0:
        return ""
    at = x(now)
    return (
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" class="zero"/>'
        f'<text x="{at:.1f}" y="{_TOP - 3}" class="tick">you</text>'
    )


def _said(cost: Cost, points: list[CurvePoint]) -> str:
    return (
        f"{cost.sentence} Break-even: {break_even(cost)}. Drawn from {points[0].requests:,.0f} to "
        f"{points[-1].requests:,.0f} requests a month."
    )


def _short(value: float, unit: str = "") -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{unit}{value / size:g}{letter}"
    return f"{unit}{value:g}"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_TEMPLATE)
