"""Duties of a licence that people say are done: kept in the store, each time with an entry in the audit record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from freehold.errors import UsageError
from freehold.store import Store, open_store
from freehold.types.audit import Change
from freehold.types.license import DutyMark, Obligation, Ruling, duty_id
from freehold.workflows.project import Project


def mark_duty(store: Store, ruling: Ruling, id: str, *, done: bool, who: str, at: datetime) -> DutyMark:
    """Say that a duty of the ruling is done, or that it is not after all. Of two who say the same the first one stands:
    since when it is done is evidence. Raises `UsageError` for one that the ruling does not have: it was changed, or is
    of another use."""
    duty = next((one for one in ruling.obligations if duty_id(ruling.model, one) == id), None)
    if duty is None:
        raise UsageError(
            f"{ruling.model} has no such duty for this use any more", hint="load the screen Licence again"
        )
    said = store.get(DutyMark, id)
    if said is not None and said.done == done:
        return said
    mark = DutyMark(id=id, model=ruling.model, obligation=duty, done=done, who=who, at=at)
    detail = {"model": ruling.model, "duty": duty.key, "license": f"{duty.license_id} {duty.section}"}
    change = Change(action="duty.done" if done else "duty.open", who=who, at=at, detail=detail)
    store.put(mark, made_from=(ruling.id,), change=change)
    return mark


def done_duties(store: Store, model: str, duties: Sequence[Obligation]) -> dict[str, DutyMark]:
    """Those of a model's duties that are said to be done, by their ids."""
    ids = {duty_id(model, one) for one in duties}
    return {one.id: one for one in store.records(DutyMark) if one.done and one.id in ids}


def done_in(project: Project, ruling: Ruling) -> dict[str, DutyMark]:
    """Duties of a ruling that are said to be done in a project, by their ids; none where nothing is kept yet."""
    with open_store(project.reading_url) as store:
        return done_duties(store, ruling.model, ruling.obligations)
