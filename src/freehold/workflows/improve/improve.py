"""`freehold improve`: the next generation of a promoted model, proven before it serves.

Read it from `improve` downwards: what arrived since the last generation, the incumbent's answers to a random share of
it, a dataset, the candidate made again by its own method (or a cheaper one that has become good enough), its look at
the audited requests, and the swap. Each part is kept as it ends; the same command goes on after a kill, with the same
traffic. A look is written down before its result is known, so that one that was killed is not had twice.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec

from freehold.errors import UsageError
from freehold.hardware.probes import probe_machine
from freehold.progress import Progress
from freehold.stats import generations as budget
from freehold.store import Store, open_store
from freehold.store.database import file_url
from freehold.types.dataset import Dataset
from freehold.types.encoder import EncoderModel
from freehold.types.endpoint import ServePlan
from freehold.types.evaluated import Evaluation, ItemLook
from freehold.types.evaluation import LookCount
from freehold.types.generation import FOLDER, Generation, GenerationTraffic
from freehold.types.report import CandidateReport
from freehold.types.route import Route
from freehold.types.trace import Trace
from freehold.types.training import Adapter
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.improve import proof, traffic
from freehold.workflows.improve.chain import (
    Chain,
    Improvement,
    NextGeneration,
    Outcome,
    chain_of,
    levels,
    look_ahead,
    share_of,
    shown,
    waiting,
)
from freehold.workflows.journey.candidate import CandidateRunner
from freehold.workflows.journey.methods.method import Bench, Candidate, lineage_behind
from freehold.workflows.journey.migrate import TriedCandidates, try_candidates
from freehold.workflows.journey.proposals import known_candidates
from freehold.workflows.journey.selection import cheapest_first
from freehold.workflows.journey.steps import LOCK, Steps
from freehold.workflows.license.rule import rule_for_model
from freehold.workflows.project import Project, now
from freehold.workflows.project_store import one_at_a_time
from freehold.workflows.prove.looks import Looks
from freehold.workflows.prove.mixed import evaluation_behind, held_out_results
from freehold.workflows.prove.task import task_of
from freehold.workflows.shift import routes, swapping

_RARE = 0.02
"""Of requests that the incumbent answers: fewer are rare enough to ask whether it is needed."""


def improve(project: Project, *, route_name: str | None = None, progress: Progress) -> Improvement:
    """Make, prove and swap in the next generation of a promoted model, or say what is missing.

    Raises `UsageError` for a route without a promoted model, `LockedError` while a migration or another generation is
    under way, and what the parts of the journey raise; what was finished before stays finished.
    """
    with (
        open_store(project.store_url) as store,
        one_at_a_time(store, LOCK, say=progress.say) as lock,
    ):
        route = routes.find(store, route_name or project.config.app.name)
        chain = chain_of(store, route)
        for one in chain.all:
            if store.get(Generation, one.key) != one:  # the first one, or one that was rolled back since
                store.put(one)
        return _Work(project, store, route, chain, progress, lock.check).run()


@dataclass(frozen=True, slots=True)
class _Work:
    """One run of `improve`."""

    project: Project
    store: Store
    route: Route
    chain: Chain
    progress: Progress
    check: Callable[[], None]

    def run(self) -> Improvement:
        unfinished, alarm = self.chain.unfinished, self.chain.alarm or 0
        if unfinished is not None and unfinished.state != "begun" and unfinished.traffic.after < alarm:
            return self._held(unfinished, "an alarm has taken the traffic from the one before since")
        if unfinished is not None and unfinished.state == "proven":
            return self._served(unfinished)
        outlook, seen = look_ahead(self.project, self.store, self.route, self.chain)
        if not outlook.suffices:
            return waiting(self.route, self.chain, outlook)
        self._room()
        level = levels(self.project, self.chain)
        generation = self._begun(unfinished, outlook, level)
        dataset = self._dataset(generation)
        if generation.state == "looked" and (dataset is None or not self._steps.exists()):
            # A person was forgotten meanwhile: what was looked at is not what would be looked at now.
            return self._held(generation, "what it was made of was deleted after it was looked at")
        if dataset is None:
            generation, dataset = self._learned(generation, outlook, seen)
        return self._proven(generation, dataset, level)

    def _dataset(self, generation: Generation) -> Dataset | None:
        """The one it was given before it was interrupted; None where it has none, or it is gone."""
        found = self.store.get(Dataset, generation.dataset_id) if generation.dataset_id else None
        return found if found is not None and Path(found.path).is_dir() else None

    def _learned(
        self, generation: Generation, outlook: NextGeneration, seen: traffic.Span
    ) -> tuple[Generation, Dataset]:
        """Ask the incumbent, and build the dataset. Raises `UsageError` where the budget leaves too few answers."""
        audited = seen.found.audited
        self.progress.step("ask the incumbent", note=f"{outlook.to_ask:,} of {audited:,} audited requests")
        asked = traffic.audit(self.project, self.store, self.route, seen.audited, self.progress)
        if len(asked.answered) < _ENOUGH * outlook.wanted:
            raise UsageError(
                f"{len(asked.answered):,} of {audited:,} audited requests have an answer of the incumbent, and it "
                f"takes {outlook.wanted:,}",
                hint=f"[improve] budget_usd allows more; {asked.beyond:,} were beyond it",
            )
        built = self._built(seen.found, asked.answered)
        found = msgspec.structs.replace(seen.found, asked=asked.asked, usd=asked.usd, left_out=built.left_out)
        present = find_dataset(self.store)  # stays the project's own until the generation is proven
        self.store.put(built.dataset, made_from=built.dataset.made_from)
        self.store.put(present, made_from=present.made_from)
        return self._kept(generation, dataset_id=built.dataset.id, traffic=found), built.dataset

    def _built(self, found: GenerationTraffic, answered: dict[str, Trace]) -> traffic.BuiltGeneration:
        """The dataset; without the incumbent's answers among what is taught where its terms, or the licence, do not
        clearly allow to learn from them."""
        work = partial(traffic.build, self.project, self.store, self.route, found, answered, self.progress)
        built = work()
        if not built.dataset.targets_from.get("incumbent"):
            return built
        known = self._candidates(built.dataset)[-1]
        ruling = rule_for_model(
            known.model, self.project.config.use, lineage=lineage_behind(known, built.dataset)
        )
        if ruling.outcome in ("allowed", "allowed_with_obligations"):
            return built
        self.progress.say(
            "what only the incumbent has answered teaches nothing: its terms do not clearly allow it"
        )
        return work(learns=False)

    def _room(self) -> None:
        """Raise `UsageError` where the disk does not hold another model beside the one that serves."""
        plan = self.chain.serving.plan
        path = None if plan is None or plan.weights_path is None else Path(plan.weights_path)
        size = _bytes_of(path) if path is not None else 0
        free = shutil.disk_usage(self.project.state).free
        if free < 2 * size + _SPARE:
            raise UsageError(
                f"the disk has {free / 2**20:,.0f} MiB left, and another model beside the one that serves takes about "
                f"{(2 * size + _SPARE) / 2**20:,.0f}",
                hint="freehold models rm removes what nothing serves",
            )

    def _begun(
        self, unfinished: Generation | None, outlook: NextGeneration, level: budget.GenerationLevel
    ) -> Generation:
        if unfinished is not None and unfinished.traffic.upto == outlook.traffic.upto:
            self.progress.say(f"generation {unfinished.number} goes on")
            return unfinished
        number = unfinished.number if unfinished is not None else self.chain.all[-1].number + 1
        made = Generation(
            route=self.route.name,
            number=number,
            at=now(),
            state="begun",
            label=self.chain.serving.label,
            traffic=outlook.traffic,
            alpha=level.swap_alpha,
            better_alpha=level.better_alpha,
        )
        shutil.rmtree(self._folder, ignore_errors=True)
        self.store.put(made)
        return made

    @property
    def _folder(self) -> Path:
        return self.project.state / FOLDER

    @property
    def _steps(self) -> Path:
        return self._folder / "steps.sqlite"

    def _kept(self, generation: Generation, **changes: object) -> Generation:
        self.check()
        made = msgspec.structs.replace(generation, **changes)
        self.store.put(made)
        return made

    def _proven(self, generation: Generation, dataset: Dataset, level: budget.GenerationLevel) -> Improvement:
        """Make the candidate, look at the audited requests, and settle what came out."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with open_store(file_url(self._steps.absolute())) as own:

            def taken(look: ItemLook) -> None:
                nonlocal generation
                if generation.state == "begun":
                    generation = self._kept(generation, state="looked")
                self.store.put_once(look)

            bench = Bench(
                project=self.project,
                store=own,
                steps=Steps(own, self.progress, check=self.check),
                progress=self.progress,
                dataset=dataset,
                task=msgspec.structs.replace(task_of(self.project), alpha=level.swap_alpha),
                machine=probe_machine(self.project.state),
                only_one=True,
                minutes=math.inf,
                looks=GenerationLooks(taken=taken),
            )
            known = self._candidates(dataset)
            tried = try_candidates(replace(bench, only_one=len(known) == 1), known)
            for kind in (EncoderModel, Adapter):
                for one in own.records(kind):
                    self.store.put(one, made_from=one.made_from)
            settled = self._settled(generation, bench, known, tried, level)
        shutil.rmtree(self._folder, ignore_errors=True)
        return settled

    def _candidates(self, dataset: Dataset) -> list[Candidate]:
        """The candidate that serves, made again, and those of the project that cost less."""
        known = known_candidates(self.project, dataset).candidates
        ordered = cheapest_first(known, self.project.config)
        place = next((n for n, one in enumerate(ordered) if one.label == self.chain.serving.label), None)
        if place is None:
            raise UsageError(
                f"{self.chain.serving.label} serves, and the project names no such candidate any more",
                hint="put it back into [[candidates]]: a generation is made as the one before was",
            )
        return list(ordered[: place + 1])

    def _settled(
        self,
        generation: Generation,
        bench: Bench,
        known: Sequence[Candidate],
        tried: TriedCandidates,
        level: budget.GenerationLevel,
    ) -> Improvement:
        report = tried.proven
        if report is None or report.comparison is None or tried.plan is None:
            why = (
                next((one.stopped for one in tried.reports if one.stopped), None)
                or "no candidate could be made"
            )
            return self._held(generation, why)
        generation = self._kept(generation, **shown(report))
        if report.outcome != "promote":
            generation = self._kept(generation, notes=self._changed(bench, report))
            return self._held(generation, _why_not(report))
        found = self._against_earlier(generation, bench, known, report, level)
        if isinstance(found, str):
            return self._held(self.store.get(Generation, generation.key) or generation, found)
        generation, report, plan = found
        own = bench.store
        for record in (report.comparison, report.mixture, report.verdict):
            if record is not None:
                self.store.put(record, made_from=record.made_from)
        if (made := own.get(Evaluation, report.evaluation_id or "")) is not None:
            self.store.put(made, made_from=(made.dataset_id,))
        self.store.put(bench.dataset, made_from=bench.dataset.made_from)
        generation = self._kept(generation, state="proven", plan=plan)
        return self._served(generation)

    def _changed(self, bench: Bench, report: CandidateReport) -> tuple[str, ...]:
        """What tells the incumbent's change, or the traffic's, from a worse model: the first generation, whose model is
        as it was, answers the same requests, and is further from the incumbent than it was at its promotion. Said where
        the two intervals do not meet, and both times right answers were known, or neither time."""
        first, evaluation = self.chain.first, bench.store.get(Evaluation, report.evaluation_id or "")
        before = evaluation_behind(self.store, first.rule, first.verdict_id)
        if first.low is None or evaluation is None or before is None:
            return ()
        if evaluation.references != before.references or before.references == "mixed":
            return ()
        results = held_out_results(evaluation)
        try:
            (earlier,) = proof.answers_of_earlier(bench, [first], results)
        except UsageError:  # its model is gone: there is nothing to tell by
            return ()
        here = proof.to_incumbent(bench, results, earlier)
        if here.difference is None or here.ci_high is None or here.ci_high >= first.low:
            return ()
        return (
            f"Generation {first.number}, whose model is as it was, is at {100 * here.difference:+.1f} points to the "
            f"incumbent on these requests, and was at {100 * (first.difference or 0):+.1f} when it was promoted: the "
            "incumbent's answers have changed, or what is asked",
        )

    def _against_earlier(
        self,
        generation: Generation,
        bench: Bench,
        known: Sequence[Candidate],
        report: CandidateReport,
        level: budget.GenerationLevel,
    ) -> tuple[Generation, CandidateReport, ServePlan] | str:
        """The generation with what it showed against those before it, its report and plan; why, where it is held. Where
        a smaller share than the journey took is all that passes, that one is taken."""
        candidate = next(one for one in known if one.label == report.label)
        part = 1.0 if report.selection is None or not report.selection.part else report.selection.part
        runner = CandidateRunner(bench, part=part if len(known) > 1 else 1.0)
        one = runner.make(candidate)
        assert one.made is not None and report.comparison is not None
        planned = runner.mixer.plan(candidate, one.made)
        evaluation = bench.store.get(Evaluation, report.evaluation_id or "")
        assert evaluation is not None
        results = held_out_results(evaluation)
        serving, first = self.chain.serving, self.chain.first
        earlier = proof.answers_of_earlier(bench, [serving, *([] if first is serving else [first])], results)
        alpha = report.comparison.look.alpha if report.comparison.look is not None else bench.task.alpha
        steps = proof.compare_with(bench, results, planned.rule, report.mixture, earlier, alpha)
        passed = [each for each in steps if each.passed]
        last = passed[-1] if passed else steps[-1]
        share_before = earlier[0].share if self.chain.alarm is None else 0.0
        generation = self._kept(generation, earlier=last.earlier, share_before=share_before)
        if not passed:
            return "it is not shown to be as good as the generations before it within the margin"
        if share_of(report) > last.share:
            self.progress.say(
                f"a share of {last.share:.1%} is taken: a larger one is not shown to be as good as the generations "
                "before it"
            )
            report = runner.prove(one, share=last.share).report
        taken = next(each for each in passed if math.isclose(each.share, share_of(report)))
        to_incumbent = report.comparison if report.mixture is None else report.mixture.comparison
        assert to_incumbent is not None
        look = budget.conclude(
            level,
            served=taken.compared[serving.number],
            anchor=taken.compared[first.number],
            mixture=to_incumbent,
            better=proof.compared(bench, taken.shown, earlier[0], level.better_alpha),
        )
        if not look.swapped:
            return "not all of what it must show is shown at its level"
        if share_of(report) < share_before - _LESS and not look.better:
            return (
                f"it would answer {share_of(report):.1%} of the requests here, the one that serves answers "
                f"{share_before:.1%} of them, and it is not shown to be better"
            )
        rule = None if report.mixture is None else report.mixture.rule
        generation = self._kept(
            generation,
            earlier=taken.earlier,
            better=look.better,
            rule=rule,
            notes=_ending(report),
            **shown(report),
        )
        return generation, report, one.made.plan

    def _held(self, generation: Generation, why: str) -> Improvement:
        made = self._kept(generation, state="held", why=why)
        shutil.rmtree(self._folder, ignore_errors=True)
        who = f"Generation {self.chain.serving.number}" if self.chain.alarm is None else "The incumbent"
        return self._told("held", f"Generation {made.number} is held: {why}. {who} goes on.")

    def _served(self, generation: Generation) -> Improvement:
        """Have it held beside the one that serves, and move the route to it in one change, once it answers."""
        plan, store, name, serving = generation.plan, self.store, self.route.name, self.chain.serving
        assert plan is not None
        if serving.number == generation.number:  # it was moved to, and that was not kept any more
            return self._told("serves", _sentence(self._kept(generation, state="serves")))
        if generation.earlier[0].number != serving.number:
            why = f"generation {serving.number} serves, and it was not compared with that one"
            return self._held(generation, why)
        last = swapping.swap_of(store, name)
        if last is not None and last.is_watched_on(self.route):
            until = last.at + timedelta(hours=self.project.config.rollout.hours_a_stage)
            if now() < until:
                why = f"generation {last.number} is watched until {until:%Y-%m-%d %H:%M} UTC"
                return self._told("held", f"Generation {generation.number} is proven and waits: {why}.")
            swapping.keep(store, name, who="freehold", at=now(), why="nothing was found while it was watched")
        slot = swapping.offer(store, name, plan, generation.number, at=now())
        # Before the route names it: who goes on after a kill finds by this which generation serves.
        generation = self._kept(generation, endpoint=slot.endpoint)
        self.progress.step("start it beside the one that serves")
        swapping.await_ready(store, slot, timeout_s=_READY_S)
        swapping.swap(
            store,
            name,
            slot,
            generation.rule,
            at=now(),
            who="freehold",
            why="freehold improve",
            verdict_id=generation.verdict_id,
        )
        return self._told("serves", _sentence(self._kept(generation, state="serves")))

    def _told(self, outcome: Outcome, sentence: str) -> Improvement:
        own = sorted(
            (one for one in self.store.records(Generation) if one.route == self.route.name),
            key=lambda one: one.number,
        )
        told = tuple(one for one in own if one.number >= self.chain.first.number)
        return Improvement(
            route=self.route.name,
            outcome=outcome,
            sentence=sentence,
            generations=told,
            notes=told[-1].notes,
        )


_ENOUGH = 0.9
"""Of the audited requests that are wanted: a few have no answer."""
_LESS = 0.02
"""A share that is smaller by more than this is worth no swap."""
_READY_S = 600.0
"""How long its engine may take to start."""
_SPARE = 256 * 2**20
"""Room on the disk besides the models: datasets, answers, the store's own growth."""


def _bytes_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


@dataclass(frozen=True, slots=True)
class GenerationLooks(Looks):
    """The look of a generation. It stands in no story of others: its requests are new, and its alpha is its part of the
    budget of all generations. `taken` keeps it before its result is known."""

    taken: Callable[[ItemLook], None] = lambda _: None

    def _keep(self, look: ItemLook) -> tuple[ItemLook, LookCount]:
        kept, found = Looks._keep(self, look)
        self.taken(msgspec.structs.replace(kept, allowed=look.alpha))
        return kept, found


def _why_not(report: CandidateReport) -> str:
    """Why a report does not promote, by its verdict, and by its mixture where none could be planned."""
    said = [] if report.verdict is None else [one.text for one in report.verdict.reasons]
    refused = [] if report.mixture is None or report.mixture.refused is None else [report.mixture.refused]
    return "; ".join([*refused, *said]) or "it is not shown to be as good as the incumbent within the margin"


def _sentence(made: Generation) -> str:
    share = "" if made.share is None else f", which answers {made.share:.1%} of the requests here"
    before = (
        ""
        if made.share_before is None or made.share is None
        else f" (the one before {made.share_before:.1%})"
    )
    better = ", and is shown to be better than the one before" if made.better else ""
    return f"Generation {made.number} serves{share}{before}{better}."


def _ending(report: CandidateReport) -> tuple[str, ...]:
    """Whether the incumbent is still needed."""
    alone, rare = report.comparison, 1 - share_of(report)
    if not 0 < rare <= _RARE or alone is None or alone.ci_low is None:
        return ()
    return (
        f"{rare:.1%} of the requests still go to the incumbent. Without it the model would be at most "
        f"{max(0.0, -100 * alone.ci_low):.1f} points worse, by the requests that were audited",
    )
