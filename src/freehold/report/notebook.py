"""Records as notebooks show them: the report's own pictures and words, in the report's own style."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from freehold.report import pictures
from freehold.report.words import count, gib, percent, points, visible
from freehold.stats.rules import REASONS
from freehold.types.cost import Cost
from freehold.types.dataset import Dataset
from freehold.types.evaluated import Evaluation
from freehold.types.evaluation import PairedResult, PowerPlan
from freehold.types.machine import Fit
from freehold.types.mixture import Mixture
from freehold.types.record import Record
from freehold.types.report import Report
from freehold.types.ruling import Ruling
from freehold.types.verdict import Verdict

_MOST_ROWS = 12
_RULED = {"allowed": "promote", "allowed_with_obligations": "promote", "unclear": "hold"}
"""The colour of a ruling's outcome; what is not here is refused."""


def html(record: Record) -> str | None:
    """A record as a piece of HTML that carries its style and touches nothing around it; None for a kind that has no
    picture. Whatever models or people wrote is escaped."""
    for kind in type(record).__mro__:
        if kind in _DRAWN:
            return f'<div class="freehold"><style>{_style()}</style>{_DRAWN[kind](record)}</div>'
    return None


@cache
def _style() -> str:
    """The report's style, which counts inside this piece only (CSS @scope)."""
    text = resources.files("freehold.report").joinpath("templates/style.css").read_text("utf-8")
    return f"@scope (.freehold) {{ {text.replace(':root', ':scope')} }}"


def _said(text: object) -> str:
    return escape(visible(str(text)))


def _head(word: str, colour: str, rest: str) -> str:
    return f'<p><span class="pill {colour}">{_said(word)}</span> {_said(rest)}</p>'


def _list(items: Iterable[str], title: str = "") -> str:
    made = "".join(f"<li>{_said(one)}</li>" for one in items)
    return f"{f'<p class=soft>{_said(title)}</p>' if title and made else ''}<ul>{made}</ul>" if made else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_said(one)}</th>" for one in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{_said(cell)}</td>' for cell in row)}</tr>" for row in rows[:_MOST_ROWS]
    )
    more = f"<p class=soft>and {len(rows) - _MOST_ROWS:,} more</p>" if len(rows) > _MOST_ROWS else ""
    return f"<table><tr>{head}</tr>{body}</table>{more}"


def _paired(result: PairedResult) -> str:
    difference = f"{points(result.difference)} points"
    if result.ci_low is not None and result.ci_high is not None:
        difference += f" [{points(result.ci_low)}, {points(result.ci_high)}]"
    rows = [
        ("incumbent, candidate", f"{percent(result.incumbent_mean)}, {percent(result.candidate_mean)}"),
        ("difference", difference),
        ("margin", f"{points(-result.margin)} points"),
        ("pairs", f"{count(result.n)} of {count(result.n_items)}"),
        ("method", result.method),
    ]
    harmed = [f"slice {part.name} is harmed" for part in result.slices if part.harmed]
    reasons = [REASONS.get(code, code) for code in result.reasons]
    return (
        _head(result.verdict, result.verdict, "; ".join(reasons))
        + pictures.interval(result)
        + _table(("", ""), rows)
        + _list((*harmed, *result.notes))
    )


def _evaluation(made: Evaluation) -> str:
    if made.comparison is not None:
        return _paired(made.comparison)
    said = f"{made.candidate}: {percent(made.measured.mean)} on {count(made.measured.n)} samples; no incumbent answers"
    return f"<p>{_said(said)}</p>"


def _verdict(verdict: Verdict) -> str:
    reasons = [reason.text for reason in verdict.reasons]
    named = f"{verdict.candidate} against {verdict.incumbent}"
    return (
        _head(verdict.outcome, verdict.outcome, named) + _list(reasons) + _list(verdict.conditions, "first:")
    )


def _ruling(ruling: Ruling) -> str:
    colour = _RULED.get(ruling.outcome, "reject")
    duties = [
        f"{one.text} ({one.license_id}, {one.section})" for one in ruling.obligations if not one.recommended
    ]
    reasons = [f"{one.text} ({one.license_id}, {one.section})" for one in ruling.reasons]
    return (
        _head(ruling.outcome.replace("_", " "), colour, ruling.model)
        + _list(reasons)
        + _list(duties, "what must be done:")
        + _list(ruling.assumptions, "assumed:")
    )


def _fit(fit: Fit) -> str:
    word, colour = ("fits", "promote") if fit.fits else ("does not fit", "reject")
    rows = [(part.name, gib(part.bytes), part.basis) for part in fit.parts]
    rows.append(("total", gib(fit.total_bytes), f"of {gib(fit.available_bytes)}"))
    doing = f"trained ({fit.training})" if fit.training else fit.quantization
    return (
        _head(word, colour, f"{fit.model} {doing} on {fit.machine}")
        + pictures.memory(fit)
        + _table(("part", "memory", "basis"), rows)
        + _list((*fit.reasons, *fit.ways_out))
    )


def _cost(found: Cost) -> str:
    return f"<p>{_said(found.sentence)}</p>{_list(found.reasons)}"


def _power(plan: PowerPlan) -> str:
    rows = [
        (
            "not binary" if row.discordance is None else percent(row.discordance),
            points(row.true_difference),
            count(row.n),
            "" if row.power_at_n is None else percent(row.power_at_n),
        )
        for row in plan.rows
    ]
    heads = (
        "the two differ on",
        "true difference",
        "items needed",
        "" if plan.n is None else f"power at {plan.n:,}",
    )
    return f"<p>{_said(plan.sentence)}</p>{_table(heads, rows)}{_list(plan.notes)}"


def _dataset(dataset: Dataset) -> str:
    rows = [(split.name, count(split.samples), count(split.groups)) for split in dataset.splits]
    return (
        f"<p><b>{_said(dataset.name)}</b> <span class=id>{_said(dataset.id)}</span></p>"
        + _table(("split", "samples", "groups"), rows)
        + _list((*(f"left out: {count(n)} {why}" for why, n in dataset.dropped.items()), *dataset.notes))
    )


def _mixture(mixture: Mixture) -> str:
    drawn = "" if mixture.comparison is None else pictures.interval(mixture.comparison)
    return f"<p>{_said(mixture.sentence)}</p>{drawn}{_list(mixture.notes)}"


def _report(report: Report) -> str:
    parts = [f"<h3>{_said(report.app)}</h3>"]
    if report.choice is not None:
        parts.append(f"<p>{_said(report.choice.sentence)}</p>")
    for one in report.candidates:
        if one.verdict is not None:
            parts.append(_verdict(one.verdict))
            parts.append("" if one.comparison is None else pictures.interval(one.comparison))
        else:
            parts.append(f"<p>{_said(one.label)}: {_said(one.stopped or one.not_chosen or 'not proven')}</p>")
    return "".join(parts) + _list(report.notes)


_DRAWN: dict[type, Callable[[Any], str]] = {
    PairedResult: _paired,
    Evaluation: _evaluation,
    Verdict: _verdict,
    Ruling: _ruling,
    Fit: _fit,
    Cost: _cost,
    PowerPlan: _power,
    Dataset: _dataset,
    Mixture: _mixture,
    Report: _report,
}
"""By kind of record, those derived of it included."""
