"""`freehold defer`: a project's mixtures, planned when asked for and as they are kept."""

from __future__ import annotations

import msgspec

from freehold.datasets import building
from freehold.errors import UsageError, did_you_mean
from freehold.hardware.probes import probe_machine
from freehold.progress import Progress
from freehold.stats.looks import LookPlan
from freehold.store import Store, open_store
from freehold.types.evaluated import ItemLook
from freehold.types.mixture import Mixture
from freehold.types.report import Report
from freehold.workflows.journey.candidate import CandidateRunner
from freehold.workflows.journey.methods.method import Bench, Candidate
from freehold.workflows.journey.proposals import known_candidates
from freehold.workflows.journey.steps import LOCK, Steps, prepare
from freehold.workflows.project import Project
from freehold.workflows.project_store import one_at_a_time
from freehold.workflows.prove.looks import LOOKS, look_findings
from freehold.workflows.prove.task import task_of


def plan_mixture(
    project: Project,
    *,
    label: str | None = None,
    share: float | None = None,
    anyway: bool = False,
    progress: Progress,
) -> Mixture:
    """Plan the mixtures of a candidate (None: the last one measured) and look at them once, as `migrate` does; what was
    made and asked before is not made again. `share` is the most that the candidate is to answer, from 0 to 1, of the
    shares that are proven (None: the rule's choice).

    Where the held-out samples were looked at before, so that nothing could be promoted, it is planned and not looked
    at, unless `anyway`. Raises `UsageError` for a candidate that is not there or cannot be made, and what its engine
    raises.
    """
    dataset = prepare(project, progress=progress)
    with (
        open_store(project.store_url) as store,
        one_at_a_time(store, LOCK, say=progress.say) as lock,
    ):
        machine = probe_machine(project.state)
        known, _ = known_candidates(project, dataset)
        candidate = _named(known, label) if label is not None else _last(store, known)
        steps = Steps(store, progress, check=lock.check)
        bench = Bench(
            project=project,
            store=store,
            steps=steps,
            progress=progress,
            dataset=dataset,
            task=task_of(project),
            machine=machine,
            only_one=True,
        )
        runner = CandidateRunner(bench)
        one = runner.make(candidate)
        if one.made is None:
            raise UsageError(f"{candidate.label} cannot be made: {one.report.stopped}")
        planned = runner.mixer.plan(candidate, one.made)
        if planned.rule is not None and not anyway:
            planned = _unless_spent(bench, planned, runner.looks.plan)
        if planned.rule is None or planned.refused is not None:
            store.put(planned, made_from=planned.made_from)
            return planned
        outcome = runner.prove(one, share)
        if outcome.plan is not None:
            store.put(outcome.plan)
        return outcome.report.mixture or planned


def _unless_spent(bench: Bench, planned: Mixture, plan: LookPlan) -> Mixture:
    """The mixture as it is, or refused where its look could promote nothing. The look that was planned for its rule is
    no further one."""
    if any(one.path == planned.path_id for one in bench.store.records(ItemLook)):
        return planned
    samples = list(building.samples(bench.dataset, "held_out"))
    found = look_findings(bench.store, bench.dataset, bench.task, samples, plan)
    for one in found:
        if one.check == LOOKS and one.outcome != "ok":
            return msgspec.structs.replace(
                planned, refused=f"it was planned and not evaluated: {one.text}", way_out=one.fix
            )
    return planned


def _named(known: tuple[Candidate, ...], label: str) -> Candidate:
    found = [one for one in known if label in (one.label, one.model, one.name)]
    if len(found) == 1:
        return found[0]
    labels = [one.label for one in known]
    if found:
        raise UsageError(f"{label} names {len(found)} candidates", hint=f"known: {'; '.join(labels)}")
    raise UsageError(f"no candidate {label}", hint=did_you_mean(label, labels, f"known: {'; '.join(labels)}"))


def _last(store: Store, known: tuple[Candidate, ...]) -> Candidate:
    """The candidate that the last report is about, else the only one."""
    report = store.latest(Report)
    if report is not None:
        chosen = report.chosen or next((one for one in report.candidates if one.comparison is not None), None)
        for one in known:
            if chosen is not None and one.label == chosen.label:
                return one
    if len(known) == 1:
        return known[0]
    raise UsageError(
        "no candidate was measured yet", hint="freehold migrate measures them; or name one with --candidate"
    )


def kept_mixture(project: Project, candidate: str | None = None) -> Mixture:
    """The mixture that was planned last, of one candidate where it is named. Raises `UsageError` without one."""
    with open_store(project.store_url) as store:
        kept = store.records(Mixture)
    found = [one for one in kept if candidate is None or candidate in (one.candidate, one.label)]
    if found:
        return found[-1]
    if kept and candidate is not None:
        known = sorted({one.candidate for one in kept})
        raise UsageError(
            f"no fallback of {candidate} was planned",
            hint=did_you_mean(candidate, known, f"planned: {', '.join(known)}"),
        )
    raise UsageError("no fallback was planned yet", hint="freehold defer plan")
