"""The screen Licence: the ruling for this project's use as a memo, what a model is made of, and its duties to tick."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from freehold.store import Store
from freehold.types.dataset import Dataset
from freehold.types.license import DutyMark, Lineage, Obligation, Ruling, duty_id
from freehold.types.method import METHOD_KINDS
from freehold.types.record import Record
from freehold.types.report import CandidateReport, Report
from freehold.types.use import UseProfile
from freehold.workflows.license.rule import (
    comply_texts,
    done_duties,
    explain,
    lineage_of,
    lineage_of_model,
    rule_asked,
)
from freehold.workflows.project import Project
from freehold.workflows.tell.views.query import ScreenQuery, catalog_model


class LicenseQuery(ScreenQuery, frozen=True, kw_only=True):
    """Which model: a candidate of the project, or one of the catalog. None: the first candidate."""

    model: Annotated[str, Meta(max_length=200)] | None = None


class Duty(Record, frozen=True, kw_only=True):
    """A duty as a line of a checklist. `due` is False for what is recommended, or is a policy to stay within.

    `done` is who says since when that it is done; `files` are those that `freehold license comply` writes for it.
    """

    id: str
    obligation: Obligation
    due: bool
    done: DutyMark | None
    files: tuple[str, ...]


class LicenseDetail(Record, frozen=True, kw_only=True):
    """One model's ruling. `stored` says that it is the ruling a report rests on; else it was made just now."""

    ruling: Ruling
    lineage: Lineage
    memo: str
    duties: tuple[Duty, ...]
    files: dict[str, str]
    stored: bool


class LicenseScreen(Record, frozen=True, kw_only=True):
    """The whole screen. Without a model `detail` is None: `first_command` is what to do first."""

    app: str
    at: datetime
    use: UseProfile
    models: tuple[str, ...]
    detail: LicenseDetail | None
    command: str
    first_command: str = "freehold assess"


_FILES_OF = {
    "notice_file": ("NOTICE",),
    "display_attribution": ("ATTRIBUTION.txt",),
    "ui_display_model_name": ("ATTRIBUTION.txt",),
    "attribution": ("ATTRIBUTION.txt", "MODEL_CARD_LICENSE.md"),
    "pass_through_use_restrictions": ("USE_RESTRICTIONS.md",),
}
"""Which files hold what a duty asks for, by its key."""


def license(project: Project, store: Store, query: LicenseQuery, *, at: datetime) -> LicenseScreen:
    """What there is to see. Raises `UnknownModelError` for a model that is neither a candidate nor in the catalog."""
    report = store.latest(Report)
    tried = {} if report is None else {one.model: one for one in report.candidates}
    named = tuple(dict.fromkeys((*tried, *project.config.models)))
    model = query.model if query.model in named else catalog_model(query.model)
    model = model or (named[0] if named else None)
    return LicenseScreen(
        app=project.config.app.name,
        at=at,
        use=project.config.use,
        models=named,
        detail=None if model is None else _detail(project, store, model, tried.get(model)),
        command="freehold assess" if model is None else shlex.join(["freehold", "license", model]),
    )


def _detail(project: Project, store: Store, model: str, tried: CandidateReport | None) -> LicenseDetail:
    lineage = _lineage(store, model, tried)
    stored = tried.ruling if tried is not None else None
    ruling = stored or rule_asked(lineage, project.config, project.config.use)
    marks = done_duties(store, ruling.model, ruling.obligations)
    files = comply_texts(ruling, lineage, marks)
    return LicenseDetail(
        ruling=ruling,
        lineage=lineage,
        memo=explain(ruling),
        duties=tuple(
            Duty(
                id=duty_id(ruling.model, one),
                obligation=one,
                done=marks.get(duty_id(ruling.model, one)),
                due=not (one.recommended or one.passive),
                files=tuple(name for name in _FILES_OF.get(one.key, ()) if name in files),
            )
            for one in ruling.obligations
        ),
        files=files,
        stored=stored is not None,
    )


def _lineage(store: Store, model: str, tried: CandidateReport | None) -> Lineage:
    """What the candidate is made of: of one that was trained, with the answers that its dataset taught it."""
    trains = tried is not None and tried.method is not None and METHOD_KINDS[tried.method].trains
    if tried is not None and trains and tried.trained is not None:
        dataset = store.get(Dataset, tried.trained.dataset_id)
        if dataset is not None:
            return lineage_of(model, dataset)
    return lineage_of_model(model)


def shown_ruling(project: Project, store: Store, model: str, *, at: datetime) -> Ruling:
    """The ruling that the screen shows of a model. Raises `UnknownModelError`."""
    detail = license(project, store, LicenseQuery(model=model), at=at).detail
    assert detail is not None
    return detail.ruling
