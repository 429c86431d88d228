"""Several projects' migrations on one page: a row for each, with a link to its own report. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

import jinja2

from freehold.report.pictures import page_style
from freehold.types.migrated import MigratedProject

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>All tasks</title>
<style>{{ style }}</style>
</head>
<body><main>
<h1>All tasks</h1>
<p class="eyebrow">{{ at }} UTC</p>
<p class="lead">{{ lead }}</p>
<div class="scroll"><table>
<thead><tr><th>Task</th><th>Outcome</th><th>Incumbent</th><th>Candidate</th><th class="number">Score, from → to</th>
<th class="number">Items</th></tr></thead>
<tbody>{% for one in projects %}
<tr><td>{% if one.page %}<a href="{{ one.page | link }}">{{ one.name }}</a>{% else %}{{ one.name }}{% endif %}</td>
<td><strong class="{{ one.outcome }}">{{ one.outcome }}</strong></td>
<td>{{ one.incumbent or "" }}</td><td>{{ one.candidate or "" }}</td>
<td class="number">{{ one | scores }}</td><td class="number">{{ one.items or "" }}</td></tr>
{% endfor %}</tbody></table></div>
{% for one in projects if one.why %}<h3>{{ one.name }}: {{ one.outcome }}</h3>
<p>{{ one.why }}{% if one.hint %}<br><span class="soft">{{ one.hint }}</span>{% endif %}</p>
{% endfor %}<p class="small soft">{{ foot }}</p>
</main></body></html>
"""


def render_tasks(projects: Sequence[MigratedProject], *, at: datetime) -> str:
    """One self-contained HTML page; links are as the records have them, from the page's folder."""
    from markupsafe import Markup

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"link": quote, "scores": _scores}
    return environment.from_string(_TEMPLATE).render(
        style=Markup(page_style()),
        at=f"{at:%Y-%m-%d %H:%M}",
        lead=_lead(projects),
        foot=_foot(projects),
        projects=projects,
    )


def _lead(projects: Sequence[MigratedProject]) -> str:
    counted = Counter(project.outcome for project in projects)
    said = ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common())
    return f"{len(projects)} task{'' if len(projects) == 1 else 's'}: {said}."


def _foot(projects: Sequence[MigratedProject]) -> str:
    """What the promises of several verdicts come to together."""
    alphas = [project.alpha for project in projects if project.alpha is not None]
    if len(alphas) < 2:
        return "Each task is decided by itself."
    return (
        f"Each task is decided by itself. The chance that at least one of {len(alphas)} is promoted although it is "
        f"worse by its margin is at most {min(1.0, sum(alphas)):.1%} (the sum of their alphas)."
    )


def _scores(project: MigratedProject) -> str:
    before, after = project.incumbent_mean, project.candidate_mean
    if after is None:
        return ""
    return f"{after:.1%}" if before is None else f"{before:.1%} → {after:.1%}"
