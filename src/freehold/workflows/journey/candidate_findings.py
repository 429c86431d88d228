"""What stands in a candidate's way, in the order in which it would stop: its licence and the terms of what it learns
from, its weights, the room they take. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from freehold.catalog.licenses import licenses
from freehold.errors import FreeholdError
from freehold.hardware.probes.machine import probe_machine
from freehold.types.config import UseProfile
from freehold.types.dataset import Dataset
from freehold.types.encoder import WORDS_MODEL
from freehold.types.finding import Finding, fail, ok, warn
from freehold.types.machine import Fit, Machine, Workload
from freehold.types.method import METHOD_KINDS
from freehold.types.ruling import Ruling, RulingOutcome
from freehold.types.units import gib
from freehold.workflows.fit.fit import fit_model
from freehold.workflows.fit.training import training_fit
from freehold.workflows.journey.ladder import stand_in
from freehold.workflows.journey.methods import Candidate
from freehold.workflows.journey.methods.method import fetches, lineage_behind
from freehold.workflows.license.rule import rule_for_model, taught_by
from freehold.workflows.project import Project
from freehold.workflows.weights.pull import why_not_here

LICENSE, WEIGHTS, FIT = "licence", "weights", "fit"
BARRED: frozenset[RulingOutcome] = frozenset({"not_allowed", "needs_separate_license"})
"""Outcomes with which a candidate is not made."""


def candidate_findings(project: Project, dataset: Dataset, known: Sequence[Candidate]) -> Iterator[Finding]:
    """All of them; one that fails where no candidate is left."""
    yield from license_findings(dataset, known, project.config.use)
    yield from _weights_findings(project, dataset, known)
    yield from _fit_findings(project, known)


def license_findings(dataset: Dataset, known: Sequence[Candidate], use: UseProfile) -> Iterator[Finding]:
    """The ruling on each candidate as it would be made, the terms of the answers it would learn from included."""
    rulings = [
        (one, rule_for_model(one.model, use, lineage=lineage_behind(one, dataset)))
        for one in known
        if one.endpoint is None or METHOD_KINDS[one.method].trains
    ]
    barred = sum(ruling.outcome in BARRED for _, ruling in rulings)
    for one, ruling in rulings:
        said = f"{one.label}: {ruling.outcome.replace('_', ' ')}"
        if ruling.outcome in BARRED:
            tell = fail if barred == len(known) else warn
            yield tell(LICENSE, f"{said}, so it would not be made: {deciding(ruling)}", way_out(ruling))
        elif ruling.outcome == "unclear":
            yield warn(
                LICENSE, f"{said}, so the verdict on it would be hold: {deciding(ruling)}", way_out(ruling)
            )
        else:
            yield ok(LICENSE, said)


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


def _weights_findings(project: Project, dataset: Dataset, known: Sequence[Candidate]) -> Iterator[Finding]:
    """Candidates whose weights cannot be had, each with the first that can stand in its place."""
    missing = {
        one.label: (one, why)
        for one in known
        if fetches(one, project.config) and (why := why_not_here(one.model, project.settings)) is not None
    }
    tell = fail if len(missing) == len(known) else warn
    for label, (one, why) in missing.items():
        instead = stand_in(project, dataset, one.method)
        fix = f'model = "{instead}" can stand in its place (freehold pull {instead})'
        yield tell(WEIGHTS, f"{label}: its weights cannot be had: {why}", fix)


def _fit_findings(project: Project, known: Sequence[Candidate]) -> Iterator[Finding]:
    """The memory that each would take here, to be served and to be trained."""
    machine = probe_machine(project.state)
    fits: list[tuple[Candidate, str, Fit]] = []
    for one in known:
        if one.model == WORDS_MODEL or not fetches(one, project.config):
            continue
        try:
            fits += [(one, what, fit) for what, fit in _fits(project, one, machine)]
        except FreeholdError:
            continue  # of its weights too little is known before they are here
    short = {one.key for one, _, fit in fits if not fit.fits}
    for one, what, fit in fits:
        said = f"{one.label}: {what} {gib(fit.total_bytes, 2)} of {gib(fit.available_bytes, 1)}"
        if fit.fits:
            yield ok(FIT, said)
        else:
            tell = fail if len(short) == len(known) else warn
            why = "; ".join(fit.reasons) or "it does not fit"
            yield tell(FIT, f"{said}: {why}", "; or ".join(fit.ways_out) or f"freehold fit {one.model}")


def _fits(project: Project, one: Candidate, machine: Machine) -> Iterator[tuple[str, Fit]]:
    config, settings = project.config, project.settings
    workload = Workload(context_tokens=config.serve.context_tokens, concurrency=config.serve.parallel)
    yield "serving it takes", fit_model(one.model, workload=workload, machine=machine, settings=settings)
    kind = METHOD_KINDS[one.method]
    if kind.trains and not kind.closed_set_only:
        options = one.training(config)
        yield (
            "training it takes at most",
            training_fit(one.model, config=options, settings=settings, machine=machine),
        )
