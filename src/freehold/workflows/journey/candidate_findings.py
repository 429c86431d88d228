"""What stands in a candidate's way, in the order in which it would stop: its licence and the terms of what it learns
from, its weights, the room they take. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from freehold.catalog.licenses import licenses
from freehold.errors import FreeholdError
from freehold.types.dataset import Dataset
from freehold.types.encoder import WORDS_MODEL
from freehold.types.finding import Finding, fail, ok, warn
from freehold.types.license import Ruling, RulingOutcome
from freehold.types.machine import Fit, Machine
from freehold.types.method import METHOD_KINDS
from freehold.types.use import UseProfile
from freehold.visible import gib
from freehold.workflows.journey.ladder import stand_in
from freehold.workflows.journey.methods import Candidate
from freehold.workflows.journey.methods.method import fetches, lineage_behind
from freehold.workflows.journey.methods.training import served_fit
from freehold.workflows.license.rule import rule_for_model, taught_by
from freehold.workflows.project import Project
from freehold.workflows.serve.tools import weights_here
from freehold.workflows.train.train import least_room
from freehold.workflows.weights.pull import why_not_here

LICENSE, WEIGHTS, FIT = "licence", "weights", "fit"
BARRED: frozenset[RulingOutcome] = frozenset({"not_allowed", "needs_separate_license"})
"""Outcomes with which a candidate is not made."""


def candidate_findings(
    project: Project, dataset: Dataset, known: Sequence[Candidate], machine: Machine
) -> Iterator[Finding]:
    """All of them."""
    found = [
        *license_findings(dataset, known, project.config.use),
        *_weights_findings(project, dataset, known),
        *_fit_findings(project, known, machine),
    ]
    return of_all(found, known)


def of_all(found: Sequence[tuple[Candidate, Finding]], known: Sequence[Candidate]) -> Iterator[Finding]:
    """Findings as they count for the journey: what ends a candidate is a warning while another is left."""
    ended = {one.key for one, finding in found if finding.outcome == "fail"}
    another = any(one.key not in ended for one in known)
    for _, finding in found:
        is_less = another and finding.outcome == "fail"
        yield msgspec.structs.replace(finding, outcome="warn") if is_less else finding


def license_findings(
    dataset: Dataset, known: Sequence[Candidate], use: UseProfile
) -> Iterator[tuple[Candidate, Finding]]:
    """The ruling on each candidate as it would be made, the terms of the answers it would learn from included."""
    for one in known:
        ruling = rule_for_model(one.model, use, lineage=lineage_behind(one, dataset))
        said = f"{one.label}: {ruling.outcome.replace('_', ' ')}"
        if ruling.outcome in BARRED:
            text = f"{said}, so it would not be made: {deciding(ruling)}"
            yield one, fail(LICENSE, text, way_out(ruling))
        elif ruling.outcome == "unclear":
            text = f"{said}, so the verdict on it would be hold: {deciding(ruling)}"
            yield one, warn(LICENSE, text, way_out(ruling))
        else:
            yield one, ok(LICENSE, said)


def teacher_sentence(known: Sequence[Candidate], teacher: str, use: UseProfile) -> str | None:
    """Whether these may learn answers of this teacher; None where none of them does."""
    told: dict[str, list[str]] = {}
    for one in known:
        kind = METHOD_KINDS[one.method]
        if kind.trains or kind.shows_answers:
            lineage = taught_by(one.model, teacher, shown=kind.shows_answers)
            ruling = rule_for_model(one.model, use, lineage=lineage)
            outcome = ruling.outcome.replace("_", " ")
            if ruling.outcome in BARRED or ruling.outcome == "unclear":
                outcome += f" ({_where(ruling)})"
            told.setdefault(outcome, []).append(one.short_name)
    if not told:
        return None
    said = "; ".join(f"{outcome} for {' and '.join(names)}" for outcome, names in told.items())
    more = (
        "" if set(told) <= {"allowed"} else ": freehold migrate --dry-run says why and what would decide it"
    )
    return f"answers of {teacher} would be learned, which is {said}{more}"


def deciding(ruling: Ruling) -> str:
    """What the outcome rests on."""
    first = next((one for one in ruling.reasons if one.outcome is not None), None)
    if first is None:
        return "; ".join(ruling.details.get("violation_texts", ruling.violations))
    return f"{first.text} ({_where(ruling)})"


def _where(ruling: Ruling) -> str:
    """The text and clause that decide."""
    first = next((one for one in ruling.reasons if one.outcome is not None), None)
    if first is None:
        return "as described"
    license = licenses().get(first.license_id)
    name = "licence unknown" if license is None else license.name
    return ", ".join(filter(None, (name, first.section)))


def way_out(ruling: Ruling) -> str:
    """What would decide it otherwise."""
    return (
        "; or ".join(ruling.would_change)
        or f"another model: freehold assess; why: freehold license {ruling.model}"
    )


def _weights_findings(
    project: Project, dataset: Dataset, known: Sequence[Candidate]
) -> Iterator[tuple[Candidate, Finding]]:
    """Candidates whose weights cannot be had, each with the first that can stand in its place."""
    for one in known:
        if fetches(one, project.config) and (why := why_not_here(one.model, project.settings)) is not None:
            instead = stand_in(project, dataset, one.method)
            fix = f'model = "{instead}" can stand in its place (freehold pull {instead})'
            yield one, fail(WEIGHTS, f"{one.label}: its weights cannot be had: {why}", fix)


def _fit_findings(
    project: Project, known: Sequence[Candidate], machine: Machine
) -> Iterator[tuple[Candidate, Finding]]:
    """The memory that each takes here to be served, and to be trained at least. Of weights that are not here it is an
    estimate, which ends no candidate."""
    config, settings = project.config, project.settings
    for one in known:
        if one.model == WORDS_MODEL or not fetches(one, config):
            continue
        try:
            tell = warn if weights_here(one.model, settings) is None else fail
            fit = served_fit(one.model, config.serve, machine, settings)
            said = f"{one.label}: serving it takes {gib(fit.total_bytes, 2)} of {gib(fit.available_bytes, 1)}"
            yield one, ok(FIT, said) if fit.fits else tell(FIT, said, _smaller(one, fit))
            kind = METHOD_KINDS[one.method]
            if kind.trains and not kind.closed_set_only:
                least, fit = least_room(one.training(config), one.model, settings, machine=machine)
                said = f"{one.label}: training it takes {gib(least, 2)} of {gib(fit.available_bytes, 1)} at least"
                has_room = least <= fit.available_bytes
                yield one, ok(FIT, said) if has_room else tell(FIT, said, _smaller(one, fit))
        except FreeholdError:
            continue  # too little is known of it before it is here


def _smaller(one: Candidate, fit: Fit) -> str:
    return "; or ".join(fit.ways_out) or f"a smaller model: freehold fit {one.model} says what takes the room"
