"""Rulings on models and lineages: the catalog's facts put before the rules, and the duties done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from freehold import __version__, files
from freehold.catalog import models
from freehold.catalog.ancestry import resolve
from freehold.catalog.licenses import fingerprints, license_named, licenses, names, releases_of
from freehold.errors import InputError, UsageError, did_you_mean
from freehold.licensing.comply import (
    annex_text,
    attribution_text,
    card_text,
    checklist_text,
    memo,
    notice_text,
)
from freehold.licensing.identify import Identified, identify
from freehold.licensing.ruling import rule
from freehold.licensing.situation import Situation
from freehold.types.audit import Change
from freehold.types.config import CandidateConfig, ProjectConfig
from freehold.types.dataset import Dataset
from freehold.types.encoder import WORDS_MODEL
from freehold.types.endpoint import ServePlan
from freehold.types.license import (
    BARRED,
    WOULD_DECIDE,
    DutyMark,
    EdgeKind,
    Lineage,
    LineageEdge,
    Obligation,
    Ruling,
    duty_id,
)
from freehold.types.method import METHOD_KINDS, short_name
from freehold.types.use import UseProfile
from freehold.workflows.project import Project

if TYPE_CHECKING:
    from freehold.store import Store

"""Outcomes with which a candidate is neither proposed nor made."""
_LONGEST = 1_000_000
"""Characters of a file that may be a licence; the GPL 3 has 35,149."""


def rule_for_model(model_id: str, use: UseProfile, *, lineage: Lineage | None = None) -> Ruling:
    """May this model be used for this, and what must be done?

    Without a lineage the model stands for itself (ancestors its release is known to have are added). A
    service in the lineage (``distilled_from`` ``gpt-4o-2024-08-06``) brings its contract in. A model that is
    not in the catalog comes out as ``unclear``, never as allowed. Raises `UsageError` when the lineage says
    that the model is made of itself.
    """
    if lineage is None:
        lineage = lineage_of_model(model_id)
    else:
        _check_cycle(lineage)
    return rule(Situation(use, lineage, resolve(lineage, use)), version=__version__)


def rule_asked(lineage: Lineage, config: ProjectConfig, use: UseProfile) -> Ruling:
    """The ruling that a person asks for: of a model that stands for itself also whether it may learn the answers of the
    project's incumbent, and of a service whether the project's candidates may learn its answers."""
    ruling = rule_for_model(lineage.model, use, lineage=lineage)
    if len(lineage.edges) > 1:
        return ruling
    if any(licenses()[one].scope == "service" for one in ruling.licenses if one in licenses()):
        learning = learning_sentence(config.named, config, lineage.model, use)
    elif config.incumbent is not None:
        student = CandidateConfig(model=lineage.model, method=config.train.method)
        learning = learning_sentence((student,), config, config.incumbent.model, use)
    else:
        learning = None
    return msgspec.structs.replace(ruling, learning=learning)


def learning_sentence(
    students: Iterable[CandidateConfig], config: ProjectConfig, teacher: str, use: UseProfile
) -> str | None:
    """Whether these may learn answers of this teacher, and what would decide it; None where none of them learns."""
    names: dict[str, list[str]] = {}
    ways_out: dict[str, None] = {}
    for one in students:
        kind = METHOD_KINDS[config.method_of(one)]
        if not (kind.trains or kind.shows_answers):
            continue
        ruling = rule_for_model(
            one.model, use, lineage=taught_by(one.model, teacher, shown=kind.shows_answers)
        )
        outcome = ruling.outcome.replace("_", " ")
        if ruling.outcome in BARRED or ruling.outcome == "unclear":
            outcome += f" ({where_it_stands(ruling)})"
            ways_out |= dict.fromkeys(ruling.ways_out)
        names.setdefault(outcome, []).append(short_name(one.model, one.name))
    if not names:
        return None
    said = "; ".join(f"{outcome} for {' and '.join(these)}" for outcome, these in names.items())
    decided = f"{WOULD_DECIDE}{'; or '.join(ways_out)}" if ways_out else ""
    return f"answers of {teacher} would be learned, which is {said}{decided}"


def where_it_stands(ruling: Ruling) -> str:
    """The text and clause that decide."""
    first = next((one for one in ruling.reasons if one.outcome is not None), None)
    if first is None:
        return "as described"
    license = licenses().get(first.license_id)
    name = "licence unknown" if license is None else license.name.partition(" (")[0]
    return ", ".join(filter(None, (name, first.section)))


def similar_models(model_id: str) -> tuple[str, ...]:
    """Models that may be meant by a name no licence is known for; empty where one is known, and where another version
    or size was asked for."""
    return () if releases_of(model_id) else models.meant_by(model_id)[:3]


def lineage_of(model: str, dataset: Dataset, *, shown: bool = False) -> Lineage:
    """What the candidate will be made of: the base, and the incumbent's answers where they are training targets.

    `shown`: no weights learn from them, they are shown to the model as examples.
    """
    learned = dataset.targets_from.get("incumbent", 0)
    if not learned or not dataset.incumbent_model:
        return Lineage(model=model, edges=(_base(model),))
    what = (
        "samples that may be shown as examples carry its answers"
        if shown
        else "training targets are its answers"
    )
    return taught_by(model, dataset.incumbent_model, shown=shown, note=f"{learned:,} {what}")


def taught_by(model: str, teacher: str, *, shown: bool = False, note: str | None = None) -> Lineage:
    """A model that learns answers of a teacher, or is shown them."""
    kind: EdgeKind = "prompted_with" if shown else "distilled_from"
    return Lineage(model=model, edges=(_base(model), LineageEdge(kind=kind, model=teacher, note=note)))


def lineage_of_model(model_id: str, *, declared: str | None = None, copy_of: str | None = None) -> Lineage:
    """A model that stands for itself, under a declared licence if there is one: an id or name the catalog knows,
    or a LICENSE file whose text is a known one. A copy in another form (quantized, converted) stands under the licence
    of what it was made from: `copy_of`, else what its name tells.

    Raises `UsageError` when the catalog knows no such licence or the text is another's or changed.
    """
    license_id = None if declared is None else _declared(declared)
    note = "said to be"
    if copy_of is None and license_id is None and model_id != WORDS_MODEL and not releases_of(model_id):
        known = models.copied_from(model_id)
        note, copy_of = "by its name", None if known is None else known.id
    if copy_of is None:
        return Lineage(model=model_id, edges=(_base(model_id, license_id),))
    note += f" a copy of {copy_of} in another form, with no terms of its own"
    return Lineage(
        model=model_id,
        edges=(_base(copy_of, license_id), LineageEdge(kind="quantize", model=model_id, note=note)),
    )


def _base(model: str, license_id: str | None = None) -> LineageEdge:
    if model == WORDS_MODEL:
        return LineageEdge(
            kind="base",
            model=model,
            license_id="CC0-1.0",
            note="heads over words: there are no weights of others",
        )
    return LineageEdge(kind="base", model=model, license_id=license_id)


def _declared(text: str) -> str:
    path = Path(text)
    if path.is_file():
        found = identify_file(path)
        if found.license_id is None:
            near = f"; nearest: {found.title}, changed" if found.title else ""
            raise UsageError(
                f"{path}: the text is not a licence the catalog knows{near}",
                hint=f"freehold license identify {path} shows what differs",
            )
        return found.license_id
    license = licenses().get(text) or license_named(text)
    if license is None:
        known = [*licenses(), *names().exact]
        hint = did_you_mean(text, known, "name an SPDX id or a LICENSE file")
        raise UsageError(f"no licence '{text}' in the catalog", hint=hint)
    return license.id


def _check_cycle(lineage: Lineage) -> None:
    for edge in lineage.edges[1:]:
        if edge.kind in ("base", "merge") and edge.model == lineage.model:
            raise UsageError(
                f"cyclic lineage: {lineage.model} is made from {edge.model}",
                hint="an artefact has another name than its ancestors",
            )


def explain(ruling: Ruling) -> str:
    """The ruling as a memo."""
    return memo(ruling, licenses())


def attribution(ruling: Ruling) -> str:
    """The text an endpoint that serves the model shows about it."""
    return attribution_text(ruling, licenses())


def named_after(lineage: Lineage, use: UseProfile) -> UseProfile:
    """The use with the lineage's own name as the published one, where none was stated.

    What is made for publication is checked against naming rules under the name it has.
    """
    theirs = {edge.model for edge in lineage.edges}
    own = lineage.model not in theirs and not lineage.model.startswith("(") and len(lineage.edges) > 0
    if use.derivative_name is not None or not own or releases_of(lineage.model):
        return use
    return msgspec.structs.replace(use, derivative_name=lineage.model)


def comply_texts(
    ruling: Ruling, lineage: Lineage | None = None, marks: Mapping[str, DutyMark] | None = None
) -> dict[str, str]:
    """What the duties ask for, as texts by file name: NOTICE, attribution, annex, card section, checklist; those that
    are not due are left out. `lineage` says what the model stands on, `marks` which duties are said to be done."""
    edges = () if lineage is None else lineage.edges
    bases = [edge.model for edge in edges if edge.kind in ("base", "merge") and releases_of(edge.model)]
    lines = {
        model: release.copyright
        for model in {duty.model for duty in ruling.obligations if duty.model}
        for release in releases_of(model)
        if release.copyright
    }
    texts = {
        "NOTICE": notice_text(ruling, licenses(), lines),
        "ATTRIBUTION.txt": attribution_text(ruling, licenses()),
        "USE_RESTRICTIONS.md": annex_text(ruling, licenses()),
        "MODEL_CARD_LICENSE.md": card_text(ruling, licenses(), bases),
        "CHECKLIST.md": checklist_text(ruling, marks or {}),
    }
    return {name: text for name, text in texts.items() if text}


def comply(
    ruling: Ruling, folder: Path, lineage: Lineage | None = None, marks: Mapping[str, DutyMark] | None = None
) -> tuple[Path, ...]:
    """Write `comply_texts` and the ruling into a folder and return the files. Raises `StorageError` when the folder
    cannot be written.
    """
    texts = {
        **comply_texts(ruling, lineage, marks),
        "ruling.json": msgspec.json.format(msgspec.json.encode(ruling)).decode() + "\n",
    }
    written = []
    with files.writing(f"{folder}: cannot be written"), files.shared(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
            written.append(folder / name)
    return tuple(written)


def identify_file(path: Path) -> Identified:
    """Which licence is the text of this file? Raises `InputError` when it cannot be read as text, or is too long."""
    try:
        with files.reading(path), path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)  # a device has no end
            if len(text) > _LONGEST:
                raise InputError(f"has more than {_LONGEST:,} characters: not a licence", path=str(path))
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", path=str(path)) from None
    return identify(text, fingerprints())


def attributions(plans: Iterable[ServePlan], use: UseProfile) -> dict[str, str]:
    """Text by base model. A model whose licence the catalog does not know has none, and none is invented.

    What was trained whole or merged is served as ``base:name``, and its base's licence asks the same of it.
    """
    names = {name for plan in plans for name in (plan.model, plan.model.rpartition(":")[0])}
    return {
        name: attribution(rule_for_model(name, use)) for name in sorted(names) if name and releases_of(name)
    }


# Duties of a licence that people say are done: kept in the store, each time with an entry in the audit record.


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
    from freehold.store import open_store  # a ruling needs no database

    with open_store(project.reading_url) as store:
        return done_duties(store, ruling.model, ruling.obligations)
