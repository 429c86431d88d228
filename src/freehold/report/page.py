"""The page: one HTML string with everything inside it, readable without scripts or network."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import jinja2
import markupsafe

from freehold.report import mixture_page, pictures, words
from freehold.report import selection_rows as choosing
from freehold.report.mixture_picture import risk_over_share
from freehold.types.report import CandidateReport, Report
from freehold.types.verdict import SEVERITY


def render(report: Report) -> str:
    """The report as one self-contained HTML page. Everything that comes from models or people is escaped."""
    return _template().render(
        report=report,
        candidates=_in_order(report),
        lead=_lead(report),
        rows=choosing.selection_rows(report),
        style=markupsafe.Markup(_text("style.css")),
        picture=_Pictures(),
        word=words,
        choosing=choosing,
        mixing=mixture_page,
        risk=lambda mixture, curve: markupsafe.Markup(risk_over_share(mixture, curve)),
        records=_records(report),
    )


def _lead(report: Report) -> CandidateReport | None:
    """The candidate the headline speaks of: the chosen one; else promoted before held, rejected and stopped ones."""
    return report.chosen or min(
        report.candidates,
        key=lambda c: SEVERITY[c.verdict.outcome] if c.verdict is not None else 3,
        default=None,
    )


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
        for kind in (
            "ruling",
            "fit",
            "trained",
            "parity",
            "prompt",
            "comparison",
            "mixture",
            "retained",
            "leak",
            "verdict",
        ):
            record = getattr(candidate, kind)
            if record is not None:
                rows.append({"kind": kind, "id": record.id, "made_from": record.made_from})
    return rows


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text("page.html"))


@cache
def _text(name: str) -> str:
    return (resources.files("freehold.report") / "templates" / name).read_text(encoding="utf-8")
