"""A load report as one page: throughput and latency over streams."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources

import jinja2

from freehold.types.serving.load import LoadLevel, LoadReport

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Load on {{ report.model }}</title>
<style>{{ style }}</style>
</head>
<body><main>
<h1>{{ report.model }} under load</h1>
<p class="eyebrow">{{ report.url }} · {{ report.at[:16]|replace("T", " ") }} UTC
{% if report.machine %} · {{ report.machine }}{% endif %}</p>
<p class="lead">{% if report.knee_streams %}{{ report.knee_streams }} at once give nine tenths of the best
throughput; more streams mostly wait.{% else %}Nothing was answered.{% endif %}</p>
<p class="soft">{{ report.workload }}.</p>
<h2>Tokens written per second, over requests at once</h2>
{{ throughput }}
<h2>Time to first token, 95th percentile in ms</h2>
{{ ttft }}
<h2>Figures</h2>
<table><thead><tr><th>streams</th><th>requests/s</th><th>prompt tokens/s</th><th>tokens/s</th>
<th>TTFT p50 · p95 ms</th><th>between tokens p50 · p95 ms</th><th>total p50 · p95 ms</th><th>errors</th></tr></thead>
<tbody>
{% for level in report.levels %}
<tr><td>{{ level.streams }}</td><td>{{ "%.2f"|format(level.requests_per_second) }}</td>
<td>{{ "%.0f"|format(level.prompt_tokens_per_second) }}</td>
<td>{{ "%.1f"|format(level.completion_tokens_per_second) }}</td>
{% for q in (level.ttft_ms, level.inter_token_ms, level.total_ms) %}
<td>{% if q.n %}{{ "%.0f"|format(q.p50) }} · {{ "%.0f"|format(q.p95) }}{% else %}–{% endif %}</td>
{% endfor %}
<td>{{ level.errors.values()|sum }}{% for kind, count in level.errors|dictsort %}
<br><span class="small soft">{{ count }} × {{ kind }}</span>{% endfor %}</td></tr>
{% endfor %}
</tbody></table>
<p class="small soft">Each stream asks again as soon as it has its answer (closed loop). Record {{ report.id }},
freehold {{ report.version }}.</p>
</main></body></html>
"""


def render_load(report: LoadReport) -> str:
    """One self-contained HTML page."""
    from markupsafe import Markup

    return _template().render(
        report=report,
        style=Markup(page_style()),
        throughput=Markup(
            chart(
                report.levels,
                lambda level: level.completion_tokens_per_second,
                "tokens/s",
                report.knee_streams,
            )
        ),
        ttft=Markup(chart(report.levels, lambda level: level.ttft_ms.p95, "p95 ms", report.knee_streams)),
    )


def chart(
    levels: Sequence[LoadLevel],
    value: Callable[[LoadLevel], float | None],
    unit: str,
    knee_streams: int | None,
) -> str:
    """A line over streams (log scale on both sides of the knee's mark), as inline SVG."""
    points = [(level.streams, found) for level in levels if (found := value(level)) is not None]
    if len(points) < 2:
        return ""
    width, height, pad = 640, 190, 54
    low, high = math.log2(points[0][0]), math.log2(points[-1][0])
    top = max(found for _, found in points) or 1.0

    def x(streams: int) -> float:
        return pad + (math.log2(streams) - low) / max(high - low, 1e-9) * (width - pad - 20)

    def y(found: float) -> float:
        return 12 + (1 - found / top) * (height - 46)

    line = " ".join(f"{x(streams):.1f},{y(found):.1f}" for streams, found in points)
    dots = "".join(f'<circle cx="{x(s):.1f}" cy="{y(v):.1f}" r="3.5" class="p0"/>' for s, v in points)
    labels = "".join(
        f'<text x="{x(streams):.1f}" y="{height - 12}" class="tick">{streams}</text>' for streams, _ in points
    )
    mark = ""
    if knee_streams is not None:
        at = x(knee_streams)
        mark = f'<line x1="{at:.1f}" x2="{at:.1f}" y1="8" y2="{height - 30}" class="zero"/>'
    said = ", ".join(f"{found:.0f} {unit} at {streams}" for streams, found in points)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" class="picture" aria-label="{said}">'
        f'<line x1="{pad}" x2="{width - 14}" y1="{height - 34}" y2="{height - 34}" class="axis"/>{mark}'
        f'<text x="{pad - 8}" y="16" class="tick end">{top:,.0f}</text>'
        f'<text x="{pad - 8}" y="{height - 34}" class="tick end">0</text>'
        f'<polyline points="{line}" class="curve"/>{dots}{labels}</svg>'
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_TEMPLATE)


@cache
def page_style() -> str:
    """The stylesheet all pages share."""
    return (resources.files("freehold.report") / "templates" / "style.css").read_text(encoding="utf-8")
