"""`freehold migrate`: the whole journey, from one `freehold.toml` to a report and a served endpoint.

Read it from `migrate` downwards: import, dataset, then for each candidate ruling, weights, fit, training, parity and,
where there are several, a measurement on the selection split; evaluation and verdict of those that share the look; last
the report. Each step is skipped when its inputs have not changed (see `steps`), so a
run that was stopped goes on where it was. One runs at a time in a project (see `project_lock`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from freehold import __version__, training
from freehold.errors import FreeholdError
from freehold.evals.asking import chat_request
from freehold.evals.scorers import for_task
from freehold.hardware.probes import probe_machine
from freehold.progress import Progress
from freehold.store import open_store
from freehold.types.choosing import CandidateChoice
from freehold.types.dataset import Dataset, Sample
from freehold.types.endpoint import ServedModel, ServePlan
from freehold.types.evaluation import VerdictOutcome
from freehold.types.finding import Preflight
from freehold.types.record import Record, content_id
from freehold.types.report import CandidateReport, Report
from freehold.workflows.data.curate import data_in_short
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.journey.before import look_first, reported
from freehold.workflows.journey.candidate import CandidateOutcome, CandidateRunner
from freehold.workflows.journey.methods.method import Bench, Candidate
from freehold.workflows.journey.proposals import known_candidates
from freehold.workflows.journey.selection import Selector
from freehold.workflows.journey.steps import LOCK, Steps, build_dataset, prepare, read_traffic
from freehold.workflows.project import Project, now
from freehold.workflows.project_store import one_at_a_time
from freehold.workflows.prove.preflight import require
from freehold.workflows.prove.task import task_of
from freehold.workflows.tell.report import WrittenReport, with_standing, write_report

Beginning = Literal["careful", "anyway", "looked_at"]
"""`careful`: what stands in the way ends the journey before it begins. `anyway`: it is only told. `looked_at`: the
caller has looked."""


class Migration(Record, frozen=True, kw_only=True):
    """How a migration ended: the report, what was written, and the plan that serves the best candidate."""

    report: Report
    written: WrittenReport
    plan: ServePlan | None
    best: CandidateReport | None

    @property
    def verdict(self) -> VerdictOutcome | None:
        """The best candidate's; None where none was judged."""
        return None if self.best is None else self.best.outcome

    @property
    def promoted(self) -> bool:
        """Whether a candidate passed."""
        return self.verdict == "promote"

    def summary(self) -> str:
        """Which candidate, what came out, and where the page is."""
        who = "no candidate" if self.best is None else self.best.label
        return f"{who}: {self.verdict or 'no verdict'}; {self.written.html}"

    @property
    def exit_code(self) -> int:
        """0 promote, 1 reject, 3 hold (also where there was no incumbent to compare with); 1 when no candidate
        may be used or fits."""
        if self.best is None:
            return 1
        return self.best.verdict.exit_code if self.best.verdict is not None else 3


class Prepared(Record, frozen=True, kw_only=True):
    """What stands before the first step that takes long: the dataset, and what speaks against going on."""

    dataset: Dataset
    preflight: Preflight


def rehearse(project: Project, *, progress: Progress) -> Prepared:
    """Prepare, and look at everything that could stop the journey. Nothing is paid for or trained."""
    dataset = prepare(project, progress=progress)
    with open_store(project.store_url) as store:
        known, _ = known_candidates(project, dataset)
        looks = not reported(store, project, dataset, known)
        return Prepared(dataset=dataset, preflight=look_first(project, dataset, store, known, looks=looks))


def migrate(
    project: Project,
    *,
    progress: Progress,
    fresh: bool = False,
    beginning: Beginning = "careful",
    notes: tuple[str, ...] = (),
) -> Migration:
    """Run the journey for every candidate and write the report, which carries `notes` with its own.

    Raises `PreflightError` before the first step that takes long where no good end is possible and `beginning` is
    careful, `LockedError` while another migration of the project runs, and `FreeholdError`s of the rooms it joins; what
    was finished before stays finished.
    """
    for_task(task_of(project))  # a wrong option is told before files are read
    with (
        open_store(project.store_url) as store,
        one_at_a_time(store, LOCK, say=progress.say) as lock,
    ):
        steps = Steps(store, progress, fresh=fresh, check=lock.check)
        read_traffic(project, store, steps, progress)
        dataset = build_dataset(project, store, steps)
        machine = probe_machine(project.state)
        known, proposed = known_candidates(project, dataset)
        for note in proposed:
            progress.say(note)
        if beginning != "looked_at":
            again = reported(store, project, dataset, known)
            found = look_first(project, dataset, store, known, looks=not again)
            require(found, anyway=again or beginning == "anyway", progress=progress)
        bench = Bench(
            project=project,
            store=store,
            steps=steps,
            progress=progress,
            dataset=dataset,
            task=task_of(project),
            machine=machine,
            only_one=len(known) == 1,
            minutes=math.inf,
        )
        tried = try_candidates(bench, known)
        if tried.plan is not None:
            store.put(tried.plan)
        reports = list(tried.reports)
        report = _report(bench, tried, (*notes, *proposed))
        store.put(report, made_from=tuple(_ids(reports)))
        report = with_standing(project, store, report, at=now())
        written = write_report(report, project.state / "reports")
    return Migration(report=report, written=written, plan=tried.plan, best=tried.proven)


class TriedCandidates(NamedTuple):
    """All candidates' reports, how one was taken (None: there was one), its report and the plan that serves it (None:
    none could be proven)."""

    reports: tuple[CandidateReport, ...]
    choice: CandidateChoice | None
    proven: CandidateReport | None
    plan: ServePlan | None


def try_candidates(bench: Bench, known: Sequence[Candidate]) -> TriedCandidates:
    """Prove the only candidate, or those of several that may well be promoted, in one look."""
    runner = CandidateRunner(bench)
    if len(known) == 1:
        outcome = runner.run(known[0])
        proven = None if outcome.plan is None else outcome.report
        return TriedCandidates((outcome.report,), None, proven, outcome.plan)
    reports, proofs, choice = Selector(runner, known).select()
    if not proofs:
        return TriedCandidates(tuple(reports), choice, None, None)
    bench.progress.say(choice.why)
    together = None
    if len(proofs) > 1:
        together = content_id(
            [bench.dataset.id, bench.task, [(one.candidate.key, part) for one, part in proofs]]
        )
    outcomes = [replace(runner, together=together, part=part).prove(one) for one, part in proofs]
    taken = max(outcomes, key=_preferred)
    for (one, _), outcome in zip(proofs, outcomes, strict=True):
        report = outcome.report
        if outcome is not taken:
            report = msgspec.structs.replace(report, not_chosen=_why_not(report, taken.report))
        reports[known.index(one.candidate)] = report
    if taken is not outcomes[-1]:  # what was kept last is what is served
        for record in (taken.report.comparison, taken.report.mixture, taken.report.verdict):
            if record is not None:
                bench.store.put(record, made_from=record.made_from)
    if len(proofs) > 1:
        why = f"{choice.why}; {taken.report.label} {_how_it_ended(taken.report)}"
        choice = msgspec.structs.replace(choice, chosen=taken.report.label, why=why)
    return TriedCandidates(tuple(reports), choice, taken.report, taken.plan)


def _preferred(outcome: CandidateOutcome) -> tuple[bool, float, float]:
    """Promoted before others, then the share that it answers; of equals the cheapest, and of those of unknown cost, as
    of those that were not promoted, the one with the larger part of the look, which comes last."""
    report = outcome.report
    promoted = report.outcome == "promote"
    cost = (
        None
        if report.selection is None or report.selection.cost is None
        else report.selection.cost.usd_per_1000
    )
    if not promoted:
        return (False, 0.0 if report.selection is None else report.selection.part, 0.0)
    share = 1.0 if report.mixture is None or report.mixture.rule is None else report.mixture.share or 0.0
    return (True, share, -math.inf if cost is None else -float(cost))


def _how_it_ended(report: CandidateReport) -> str:
    if report.outcome != "promote":
        return "had the largest part of it, and stands first: none is promoted"
    return "is taken: of those promoted it answers most, and of equals costs least"


def _why_not(report: CandidateReport, taken: CandidateReport) -> str:
    if report.outcome != "promote":
        return "it was evaluated as well, and is not promoted"
    return f"it is promoted as well; {taken.label} answers more, or as much and costs less"


def _report(bench: Bench, tried: TriedCandidates, more_notes: tuple[str, ...]) -> Report:
    config, dataset, task = bench.project.config, bench.dataset, bench.task
    return Report(
        id=content_id([dataset.id, task, tried.reports]),
        app=config.app.name,
        at=now(),
        version=__version__,
        incumbent=config.incumbent.model if config.incumbent else dataset.incumbent_model,
        use=config.use,
        task=task,
        machine=bench.machine,
        dataset=dataset,
        candidates=tried.reports,
        choice=tried.choice,
        steps=tuple(bench.steps.times),
        data=data_in_short(dataset),
        notes=more_notes,
    )


def _ids(candidates: list[CandidateReport]) -> list[str]:
    records: list[Any] = [
        part
        for candidate in candidates
        for part in (
            candidate.ruling,
            candidate.fit,
            candidate.trained,
            candidate.encoder,
            candidate.parity,
            candidate.comparison,
            candidate.mixture,
            candidate.verdict,
        )
    ]
    return [record.id for record in records if record is not None]


_FILE = "try.json"


class FirstRequest(NamedTuple):
    """The request's body in a file, and what its last message asks."""

    path: Path
    asks: str


def first_request(project: Project, model: str) -> FirstRequest | None:
    """Write the first held-out sample as a request to `model`; None where there is none or it cannot be written."""
    try:
        with open_store(project.store_url) as store:
            dataset = find_dataset(store)
        sample = next(iter(training.read_samples(dataset, "held_out")), None)
        if sample is None:
            return None
        body = chat_request(sample, ServedModel(name=model, upstream_name=model), task_of(project))
        path = project.state / _FILE
        path.write_bytes(msgspec.json.format(msgspec.json.encode(body)) + b"\n")
    except (FreeholdError, OSError):
        return None  # a convenience: the journey itself has ended well
    return FirstRequest(path, _asked(sample))


def _asked(sample: Sample) -> str:
    said = sample.messages[-1].content
    text = said if isinstance(said, str) else msgspec.json.encode(said).decode()
    return " ".join(text.split())
