"""The screen Models: the catalog ranked for this project's use, traffic and a machine, with what speaks against it."""

from __future__ import annotations

import shlex
import threading
import time
from collections import OrderedDict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from freehold.catalog import models as catalog
from freehold.errors import FreeholdError
from freehold.store import Store
from freehold.types.choosing import Assessment, CandidateOutcome, CandidateRow, Needs
from freehold.types.evaluation import Comparison
from freehold.types.machine import Fit, MeasuredSpeed, Workload
from freehold.types.method import METHOD_KINDS
from freehold.types.record import Record
from freehold.types.report import Report
from freehold.workflows.choose.assess import assess
from freehold.workflows.fit.encoder import fit_of_base
from freehold.workflows.fit.machine import engine_build, find_machine
from freehold.workflows.fit.placing import place
from freehold.workflows.project import Project
from freehold.workflows.tell.views.query import Place, ScreenQuery, catalog_model, machine_words

PAGE_ROWS = 20
MOST_KEPT = 8
KEPT_SECONDS = 60.0
Shown = Literal["shortlisted", "unclear", "excluded", "all"]


class ModelsQuery(ScreenQuery, frozen=True, kw_only=True):
    """What if: on another machine (in words; None: this one). `model` is shown with its memory part by part, `find` is
    a part of an id, `after` the place of the last row that was seen."""

    machine: Annotated[str, Meta(max_length=200)] | None = None
    model: Annotated[str, Meta(max_length=200)] | None = None
    show: Shown = "all"
    find: Annotated[str, Meta(max_length=100)] | None = None
    after: Place = 0


class CandidateFate(Record, frozen=True, kw_only=True):
    """A candidate of the last report: model, method, and what became of it."""

    label: str
    model: str
    method: str
    state: str
    report_id: str


class ModelsScreen(Record, frozen=True, kw_only=True):
    """The whole screen. `matching` rows were found, of which `rows` are a page and `next_after` asks for the one behind
    it; `counts` are of all by outcome, `fit` is of the model `chosen`.
    `problem` says what was asked for and not understood; what is shown is then of this machine."""

    app: str
    at: datetime
    problem: str | None
    machine: str
    what_if: str | None
    needs: Needs
    workload: Workload
    ranked_by: str
    rows: tuple[CandidateRow, ...]
    matching: int
    next_after: int | None
    counts: dict[CandidateOutcome, int]
    chosen: str | None
    fit: Fit | None
    money: str
    usd_per_month_now: Decimal | None
    assumptions: tuple[str, ...]
    tried: tuple[CandidateFate, ...]
    methods: dict[str, str]
    command: str


def models(project: Project, store: Store, query: ModelsQuery, *, at: datetime) -> ModelsScreen:
    """What there is to see; nothing is downloaded."""
    words, chosen, problem = None, None, None
    try:
        words = machine_words(query.machine)
        chosen = catalog_model(query.model)
    except FreeholdError as error:
        problem = f"{error.message}: {error.hint}" if error.hint else error.message
    found = _assessed(project, store, words)
    text = (query.find or "").lower()
    rows = [
        row
        for row in found.rows
        if (query.show == "all" or row.outcome == query.show) and text in row.model.lower()
    ]
    counts: dict[CandidateOutcome, int] = {}
    for row in found.rows:
        counts[row.outcome] = counts.get(row.outcome, 0) + 1
    command = ["freehold", "assess", *(["--machine", words] if words is not None else ["--all"])]
    return ModelsScreen(
        app=project.config.app.name,
        at=at,
        problem=problem,
        machine=found.machine,
        what_if=words,
        needs=found.needs,
        workload=found.workload,
        ranked_by=found.ranked_by,
        rows=tuple(rows[query.after : query.after + PAGE_ROWS]),
        matching=len(rows),
        next_after=query.after + PAGE_ROWS if query.after + PAGE_ROWS < len(rows) else None,
        counts=counts,
        chosen=chosen,
        fit=None if chosen is None else _fit(project, chosen, words, found.workload),
        money=found.money,
        usd_per_month_now=found.usd_per_month_now,
        assumptions=found.assumptions,
        tried=_tried(store.latest(Report)),
        methods={name: kind.title for name, kind in METHOD_KINDS.items()},
        command=shlex.join(command),
    )


class _Kept(NamedTuple):
    stamp: object
    until_s: float
    assessment: Assessment


_kept: OrderedDict[tuple[Path, str | None], _Kept] = OrderedDict()
_kept_lock = threading.Lock()


def _assessed(project: Project, store: Store, words: str | None) -> Assessment:
    """The assessment, from memory while nothing that it rests on has changed: it takes a second of the processor, and
    a click on one of its rows asks for it again. What is free on this machine changes by itself, so not for long."""
    config = project.config_path
    stamp = (
        project.config,
        None if config is None else config.stat().st_mtime_ns,
        store.traces_state(),
        store.count_records(Comparison),
        store.count_records(MeasuredSpeed),
    )
    key, now_s = (project.state, words), time.monotonic()
    with _kept_lock:
        kept = _kept.get(key)
    if kept is not None and kept.stamp == stamp and now_s < kept.until_s:
        return kept.assessment
    made = assess(project, machine_spec=words)
    with _kept_lock:
        _kept[key] = _Kept(stamp, now_s + KEPT_SECONDS, made)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return made


def _fit(project: Project, name: str, machine_spec: str | None, workload: Workload) -> Fit:
    model = catalog.get(name)
    machine = find_machine(machine_spec, project.settings)
    if model.encoder:
        return fit_of_base(model, workload, machine=machine)
    return place(model, workload, machine, engine_build(project.settings), project.settings).fit


def _tried(report: Report | None) -> tuple[CandidateFate, ...]:
    if report is None:
        return ()
    return tuple(
        CandidateFate(
            label=one.label,
            model=one.model,
            method=one.method or "not said",
            state=one.verdict.outcome
            if one.verdict is not None
            else one.stopped or one.not_chosen or "measured, not compared",
            report_id=report.id,
        )
        for one in report.candidates
    )
