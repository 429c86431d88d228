"""A page of its own: the curve of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jinja2

from freehold.report.pictures import page_style
from freehold.types.training import TrainingEvent, TrainingResult
from freehold.visible import gib

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Training {{ name }}</title>
<style>{{ style }}</style>
</head>
<body><main>
<h1>{{ name }}</h1>
<p class="eyebrow">{{ about }}</p>
<p class="lead">{{ lead }}</p>
<h2>Loss</h2>
{{ loss }}
<p class="small soft">The line is the mean of neighbouring steps; dots are the validation split, once an epoch.</p>
{% if score %}<h2>Validation answers that are right to the letter</h2>
{{ score }}{% endif %}
<h2>Learning rate</h2>
{{ rate }}
{% if speed %}<h2>Tokens per second</h2>
{{ speed }}{% endif %}
{% if warnings %}<h2>What was said on the way</h2>
<ul>{% for text in warnings %}<li>{{ text }}</li>{% endfor %}</ul>{% endif %}
<p class="small soft">{{ foot }}</p>
</main></body></html>
"""

_POINTS = 240


class Point(NamedTuple):
    """One value of a curve."""

    step: int
    value: float


def render_curve(name: str, events: Sequence[TrainingEvent], adapter: TrainingResult | None = None) -> str:
    """One self-contained HTML page. `events` are those of a run in order, over all its processes; a step that was done
    again after a kill counts as it was the last time."""
    from markupsafe import Markup

    steps = list({event.step: event for event in events if event.kind == "step"}.values())
    evals = list({event.step: event for event in events if event.kind == "eval"}.values())
    losses = [Point(one.step, one.loss) for one in steps if one.loss is not None]
    judged = [Point(one.step, one.loss) for one in evals if one.loss is not None]
    scores = [Point(one.step, one.score) for one in evals if one.score is not None]
    rates = [Point(one.step, one.learning_rate) for one in steps if one.learning_rate is not None]
    speeds = [Point(one.step, one.tokens_per_second) for one in steps if one.tokens_per_second is not None]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_TEMPLATE).render(
        name=name,
        style=Markup(page_style()),
        about=_about(steps, adapter),
        lead=_lead(steps, evals),
        loss=Markup(curve(smoothed(losses), dots=judged, unit="loss", digits=3)),
        score=Markup(curve(scores, dots=scores, unit="of answers", digits=2)) if len(scores) > 1 else "",
        rate=Markup(curve(thinned(rates), unit="rate", digits=6)),
        speed=Markup(curve(smoothed(speeds), unit="tokens/s", digits=0)) if len(speeds) > 1 else "",
        warnings=[event.message for event in events if event.kind in ("warning", "error") and event.message],
        foot=_foot(adapter),
    )


def smoothed(points: Sequence[Point]) -> list[Point]:
    """At most `_POINTS` points, each the mean of as many neighbours as there are for each."""
    size = max(1, -(-len(points) // _POINTS))
    parts = [points[at : at + size] for at in range(0, len(points), size)]
    return [Point(part[-1].step, sum(one.value for one in part) / len(part)) for part in parts]


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most `_POINTS` evenly spaced points, the last one among them."""
    size = max(1, -(-len(points) // _POINTS))
    return [*points[::size], *([points[-1]] if points and (len(points) - 1) % size else [])]


def curve(line: Sequence[Point], *, dots: Sequence[Point] = (), unit: str, digits: int) -> str:
    """A line over steps with separate dots, as inline SVG; empty without two points."""
    if len(line) < 2:
        return ""
    width, height, pad = 640, 190, 64
    shown = [*line, *dots]
    first, last = min(one.step for one in shown), max(one.step for one in shown)
    low, high = min(one.value for one in shown), max(one.value for one in shown)
    low = min(0.0, low) if low > 0 and low < 0.5 * high else low

    def x(step: int) -> float:
        return pad + (step - first) / max(last - first, 1) * (width - pad - 20)

    def y(value: float) -> float:
        return 12 + (high - value) / max(high - low, 1e-12) * (height - 46)

    path = " ".join(f"{x(one.step):.1f},{y(one.value):.1f}" for one in line)
    marks = "".join(
        f'<circle cx="{x(one.step):.1f}" cy="{y(one.value):.1f}" r="3.5" class="p0"/>' for one in dots
    )
    said = f"from {line[0].value:.{digits}f} to {line[-1].value:.{digits}f} {unit} over {last} steps"
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" class="picture" aria-label="{said}">'
        f'<line x1="{pad}" x2="{width - 14}" y1="{height - 34}" y2="{height - 34}" class="axis"/>'
        f'<text x="{pad - 8}" y="16" class="tick end">{high:,.{digits}f}</text>'
        f'<text x="{pad - 8}" y="{height - 34}" class="tick end">{low:,.{digits}f}</text>'
        f'<text x="{pad}" y="{height - 12}" class="tick">{first}</text>'
        f'<text x="{width - 20}" y="{height - 12}" class="tick end">step {last}</text>'
        f'<polyline points="{path}" class="curve"/>{marks}</svg>'
    )


def _about(steps: Sequence[TrainingEvent], adapter: TrainingResult | None) -> str:
    if adapter is None:
        return "not finished" if steps else "not begun"
    config = adapter.config
    made = f"{config.method} on {adapter.base_model} · r={config.r} · seed {adapter.seed}"
    return f"{made} · dataset {adapter.dataset_id[:12]}"


def _lead(steps: Sequence[TrainingEvent], evals: Sequence[TrainingEvent]) -> str:
    if not steps:
        return "No step has been made."
    last = steps[-1]
    parts = [f"{last.step:,} of {last.steps:,} steps"]
    if last.tokens is not None:
        parts.append(f"{last.tokens:,} tokens")
    if last.seconds is not None:
        parts.append(f"{last.seconds:,.0f} seconds")
    if last.peak_memory_bytes is not None:
        parts.append(f"{gib(last.peak_memory_bytes, 2)} at the peak")
    text = ", ".join(parts) + "."
    if evals and evals[-1].score is not None:
        best = max(evals, key=lambda one: one.score or 0.0)
        text += f" At best {best.score:.1%} of the validation split, at step {best.step}."
    return text


def _foot(adapter: TrainingResult | None) -> str:
    if adapter is None:
        return "The run is still going, or was stopped."
    return f"Adapter {adapter.id}, made from {', '.join(adapter.made_from)}."
