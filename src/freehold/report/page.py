"""The page: one HTML string with everything inside it, readable without scripts or network."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import jinja2
import markupsafe

from freehold.licensing.comply import said_done
from freehold.report import first_screen, pictures, words
from freehold.types.license import duty_id
from freehold.types.report import CandidateReport, Report
from freehold.types.verdict import Reason, Verdict
from freehold.visible import visible

KINDS = (
    "ruling",
    "fit",
    "trained",
    "encoder",
    "parity",
    "comparison",
    "mixture",
    "retained",
    "verdict",
)
"""The records of a candidate, in the order of its way."""


def render(report: Report) -> str:
    """The report as one self-contained HTML page. Everything that comes from models or people is escaped, and what
    hides or turns letters in it is made visible."""
    lead = report.lead
    return _template().render(
        report=report,
        standing=report.standing,
        candidates=_in_order(report),
        lead=lead,
        screen=first_screen,
        first_rows=first_screen.interval_rows(report),
        first_ids=_first_ids(report, lead),
        rows=first_screen.selection_rows(report),
        style=markupsafe.Markup(_text("style.css")),
        picture=_Pictures(),
        word=words,
        done={mark.id: mark for mark in report.standing.duties} if report.standing else {},
        duty_id=duty_id,
        said_done=said_done,
        why=_Why,
        pictures=pictures,
        ids_of=lambda candidate: [record.id for _, record in records_of(candidate)] or [report.id],
        records=_records(report),
    )


def records_of(candidate: CandidateReport) -> list[tuple[str, Any]]:
    """The records of one candidate, each with its kind."""
    found = [(kind, getattr(candidate, kind)) for kind in KINDS]
    return [(kind, record) for kind, record in found if record is not None]


def _first_ids(report: Report, lead: CandidateReport | None) -> list[str]:
    """The records that the first screen is from."""
    if lead is None:
        return [report.id]
    return [
        report.id,
        *(record.id for kind, record in records_of(lead) if kind in ("comparison", "mixture", "verdict")),
    ]


class _Why:
    """The reasons of a verdict, apart by whether they call for its outcome."""

    @staticmethod
    def deciding(verdict: Verdict) -> list[Reason]:
        return [one for one in verdict.reasons if one.effect == verdict.outcome]

    @staticmethod
    def others(verdict: Verdict) -> list[Reason]:
        return [one for one in verdict.reasons if one.effect != verdict.outcome]


def _in_order(report: Report) -> list[CandidateReport]:
    """The candidate that was proven first, the others as the project names them."""
    chosen = report.chosen
    return sorted(report.candidates, key=lambda one: chosen is not None and one is not chosen)


class _Pictures:
    """The pictures, marked as markup that needs no escaping."""

    def __getattr__(self, name: str) -> Any:
        draw = getattr(pictures, name)
        return lambda *args: markupsafe.Markup(draw(*args))


def _records(report: Report) -> list[dict[str, Any]]:
    """Every record the page rests on: kind, id, what it was made from."""
    rows: list[dict[str, Any]] = [
        {"kind": "dataset", "id": report.dataset.id, "made_from": report.dataset.made_from}
    ]
    for candidate in report.candidates:
        weights = candidate.weights
        if weights is not None:
            rows.append({"kind": "weights", "id": weights.sha256, "made_from": (weights.source,)})
        if candidate.evaluation_id is not None:
            rows.append(
                {"kind": "evaluation", "id": candidate.evaluation_id, "made_from": (report.dataset.id,)}
            )
        rows += [
            {"kind": kind, "id": record.id, "made_from": record.made_from}
            for kind, record in records_of(candidate)
        ]
    cost = None if report.standing is None else report.standing.cost
    if cost is not None:
        rows.append({"kind": "cost", "id": cost.id, "made_from": cost.made_from})
    return rows


def _plain(value: Any) -> Any:
    """Text of others as it may be shown: nothing in it steers, hides, or turns letters."""
    return visible(value) if isinstance(value, str) and not isinstance(value, markupsafe.Markup) else value


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
        loader=jinja2.FunctionLoader(_text),
    )
    return environment.get_template("page.html")


@cache
def _text(name: str) -> str:
    return (resources.files("freehold.report") / "templates" / name).read_text(encoding="utf-8")
