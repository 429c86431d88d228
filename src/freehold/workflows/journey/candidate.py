"""One candidate's way through a migration: ruling, what its method makes of it, evaluation, verdict.

It stops, with a reason for the report, where the licence forbids the use, or where its method cannot make it: the
weights cannot be had, the machine is too small.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from freehold import __version__, verdict
from freehold.datasets import building
from freehold.engines import start
from freehold.evals.asking import oldest_answer
from freehold.evals.replay import ReplayOptions
from freehold.evals.task_comparison import labels_id
from freehold.stats.looks import LookPlan
from freehold.types.endpoint import ServePlan
from freehold.types.evaluated import Evaluation
from freehold.types.gates import RetainedSkills
from freehold.types.license import BARRED, Ruling
from freehold.types.mixture import Mixture
from freehold.types.report import CandidateReport
from freehold.types.verdict import MAX_AGE_DAYS, CheckResult, EvidenceGate, Verdict
from freehold.workflows.journey.methods import method_named
from freehold.workflows.journey.methods.method import Bench, Candidate, Made, NotMadeError, lineage_behind
from freehold.workflows.journey.mixer import Mixer
from freehold.workflows.journey.other_tasks import log_identity, other_tasks
from freehold.workflows.license.rule import rule_for_model
from freehold.workflows.project import now
from freehold.workflows.prove.evaluate import EvaluationPlan, ServedCandidate, answers_file, evaluate
from freehold.workflows.prove.evidence_basis import answers_folder, basis_of, catalog_part, engine_part
from freehold.workflows.prove.looks import Looks
from freehold.workflows.prove.results import frozen_answers, keep
from freehold.workflows.prove.retained import Probing, retained
from freehold.workflows.prove.task import labels_held
from freehold.workflows.serve.tools import WAYS_OUT, unmet

ENDPOINT = "evaluate"
"""What its engine is called while it is proven: its answers are kept under that name, those of the selection apart."""
UNTRAINED_SAMPLES = 40
"""Held-out samples the base is asked without its adapter: enough to show what training brought."""


class MadeCandidate(NamedTuple):
    """A candidate as far as its method took it; `made` is None where it ended there, and the report says why."""

    candidate: Candidate
    report: CandidateReport
    made: Made | None


class CandidateOutcome(NamedTuple):
    """What became of a candidate, and the plan that serves it when there is one."""

    report: CandidateReport
    plan: ServePlan | None


@dataclass(frozen=True, slots=True)
class CandidateRunner:
    """Takes a candidate from its ruling to a verdict: `make` and, of one of several only that which was chosen,
    `prove`."""

    bench: Bench
    together: str | None = None
    part: float = 1.0
    """Of several candidates that are looked at together, this one's of the look's alpha."""

    @property
    def looks(self) -> Looks:
        """The looks that are planned: however many candidates there are, they share one at a time."""
        if self.bench.looks is not None:
            return replace(self.bench.looks, together=self.together, part=self.part)
        plan = LookPlan(self.bench.project.config.task.looks, grows=True)
        return Looks(self.bench.store, plan, together=self.together, part=self.part)

    def run(self, candidate: Candidate) -> CandidateOutcome:
        """Take the only candidate from its ruling to a verdict."""
        return self.prove(self.make(candidate))

    def make(self, candidate: Candidate) -> MadeCandidate:
        """Rule on it and make it."""
        method = method_named(candidate.method)
        ruling = self._rule(candidate)
        report = CandidateReport(**candidate.as_reported(), ruling=ruling)
        if ruling.outcome in BARRED:
            outcome = ruling.outcome.replace("_", " ")
            return _stopped(candidate, report, f"the licence does not permit this use ({outcome})")
        try:
            made = method.make(candidate, self.bench)
        except NotMadeError as error:
            report = msgspec.structs.replace(report, weights=error.weights, fit=error.fit)
            return _stopped(candidate, report, error.message)
        if (why := unmet(made.plan, building.samples(self.bench.dataset, "held_out"))) is not None:
            report = msgspec.structs.replace(report, weights=made.weights, fit=made.fit)
            return _stopped(candidate, report, f"{why}; {WAYS_OUT}")
        labels = labels_held(self.bench.task, self.bench.dataset)
        made = msgspec.structs.replace(made, plan=msgspec.structs.replace(made.plan, labels=labels))
        report = msgspec.structs.replace(
            report,
            weights=made.weights,
            fit=made.fit,
            trained=made.trained,
            encoder=made.encoder,
            parity=made.parity,
        )
        return MadeCandidate(candidate, report, made)

    def prove(self, one: MadeCandidate, share: float | None = None) -> CandidateOutcome:
        """Compare a candidate with the incumbent on the held-out samples, and join everything into a verdict: its
        mixtures first, by rising share, and the candidate alone after them. `share` is the most that it is to answer of
        what is proven (None: what was said before)."""
        candidate, report, made = one
        if made is None:
            return CandidateOutcome(report, None)
        mixer = self.mixer
        mixture = mixer.plan(candidate, made)
        evaluation = self.evaluated(candidate, made, mixture.path_id)
        if mixture.rule is not None and evaluation.comparison is not None:
            mixture, evaluation = mixer.look(mixture, candidate, made, evaluation, share)
        kept_skills = self._retained(candidate, made)
        judged = self._joined(candidate, report, made, evaluation, mixture, self._checks(made, kept_skills))
        told = mixture.comparison is not None or (judged is not None and judged.outcome != "promote")
        report = msgspec.structs.replace(
            report,
            untrained=evaluation.untrained,
            measured=evaluation.measured,
            comparison=evaluation.comparison,
            mixture=mixture if told and mixer.is_wanted else None,
            verdict=judged,
            latency=evaluation.latency,
            disagreements=evaluation.disagreements,
            regressions=evaluation.regressions,
            evaluation_id=evaluation.id,
            retained=kept_skills,
            served_as=made.plan.served_name,
        )
        return CandidateOutcome(report, made.plan)

    def _rule(self, candidate: Candidate) -> Ruling:
        bench, use = self.bench, self.bench.project.config.use
        lineage = lineage_behind(candidate, bench.dataset)
        named = [candidate.model, *(() if lineage is None else (edge.model for edge in lineage.edges))]
        ruling = bench.steps.run(
            f"ruling:{candidate.key}",
            f"{candidate.short_name}: is this use allowed?",
            [candidate.model, use, lineage, __version__, catalog_part(named)],
            Ruling,
            lambda: rule_for_model(candidate.model, use, lineage=lineage),
        )
        bench.store.put(ruling)
        return ruling

    @property
    def mixer(self) -> Mixer:
        """Plans its mixture with the incumbent."""
        return Mixer(self.bench, self.looks)

    def _joined(
        self,
        candidate: Candidate,
        report: CandidateReport,
        made: Made,
        evaluation: Evaluation,
        mixture: Mixture,
        checks: list[CheckResult],
    ) -> Verdict | None:
        """Everything that is known in one verdict, which is kept; None without a comparison."""
        if evaluation.comparison is None:
            return None
        judged = verdict.join(
            evaluation.comparison,
            ruling=report.ruling,
            fit=made.fit,
            method=candidate.method,
            checks=checks,
            mixture=None if mixture.comparison is None else mixture,
            version=__version__,
        )
        basis = basis_of(
            self.bench.dataset,
            self.bench.task,
            made.plan,
            report.ruling,
            self._made_at(candidate, made, evaluation),
        )
        judged = msgspec.structs.replace(judged, evidence=basis)
        self.bench.store.put(judged, made_from=judged.made_from)
        return judged

    def _made_at(
        self, candidate: Candidate, made: Made, evaluation: Evaluation
    ) -> dict[EvidenceGate, datetime]:
        """When each gate was measured: its step may have run long before this journey."""
        found: dict[EvidenceGate, datetime | None] = {
            "quality": self._measured_at(candidate, made, evaluation),
            "parity": self.bench.steps.finished_at(f"parity:{candidate.key}"),
            "license": self.bench.steps.finished_at(f"ruling:{candidate.key}"),
        }
        return {gate: at for gate, at in found.items() if at is not None}

    def _measured_at(
        self, candidate: Candidate, made: Made, evaluation: Evaluation | None = None
    ) -> datetime | None:
        """When the candidate was asked: where answers were kept, the oldest of them."""
        at = self.bench.steps.finished_at(f"evaluate:{candidate.key}")
        if at is None or (evaluation is not None and not evaluation.from_cache):
            return at
        asked = self._asked_at(made)
        return at if asked is None else min(at, asked)

    def _asked_at(self, made: Made) -> datetime | None:
        """When the oldest of its answers was given that are kept for the proof; None where none are."""
        folder, plan = self._answers_folder(made), made.plan
        return oldest_answer(answers_file(folder, ENDPOINT, plan.engine, plan.served_name))

    def _answers_folder(self, made: Made) -> Path:
        return answers_folder(self.bench.project.state / "evaluations", made.plan)

    def _is_too_old(self, at: datetime | None) -> bool:
        """Whether what was measured then is too old to go by, so that it is asked again."""
        return at is not None and now() - at > timedelta(days=MAX_AGE_DAYS)

    def evaluated(self, candidate: Candidate, made: Made, path_id: str | None) -> Evaluation:
        """The candidate compared with the incumbent on the held-out samples. With a `path_id` the look is planned for
        the mixtures of that sequence. Raises as `evaluate` does."""
        bench, too_old = self.bench, self._is_too_old(self._measured_at(candidate, made))
        # Of a renewal that was killed half-way the new answers are kept.
        fresh = self._is_too_old(self._asked_at(made))
        evaluation = bench.steps.run(
            f"evaluate:{candidate.key}",
            f"{candidate.short_name}: prove it on held-out samples",
            [
                made.plan.identity,
                engine_part(made.plan),
                bench.dataset.id,
                bench.task,
                self.looks.plan,
                *([] if self.looks.together is None else [self.looks.part]),
                frozen_answers(bench.project, bench.dataset),
                *filter(None, [path_id, labels_id(bench.task)]),
                __version__,
            ],
            Evaluation,
            lambda: anyio.run(self._evaluate, made, path_id, fresh),
            still_there=lambda _: not too_old,
        )
        keep(bench.store, evaluation)
        return evaluation

    def _checks(self, made: Made, kept_skills: RetainedSkills | None) -> list[CheckResult]:
        checks = [made.parity.check_result()] if made.parity is not None else []
        if kept_skills is not None:
            checks.append(kept_skills.check_result(self.bench.project.config.train.retain))
        return checks

    def _retained(self, candidate: Candidate, made: Made) -> RetainedSkills | None:
        """Ask probes of other skills and tasks, where the base answers next to what was trained on it."""
        bench, trained = self.bench, made.trained
        options, project = bench.project.config.train, bench.project
        if not options.probe or trained is None or made.untrained_model is None:
            return None

        def ask() -> RetainedSkills:
            others = other_tasks(project, bench.store, progress=bench.progress)
            return anyio.run(
                functools.partial(
                    retained,
                    project,
                    # Held to the task's labels it could say nothing else, whatever its weights have kept.
                    msgspec.structs.replace(made.plan, labels=()),
                    Probing(options.probe, others.tasks, others.notes),
                    trained_id=trained.id,
                    progress=bench.progress,
                )
            )

        found = bench.steps.run(
            f"retained:{candidate.key}",
            f"{candidate.short_name}: what did it keep of other skills?",
            [made.plan.identity, trained.id, options.probe, *log_identity(project, bench.store), __version__],
            RetainedSkills,
            ask,
        )
        bench.store.put(found, made_from=found.made_from)
        return found

    async def _evaluate(self, made: Made, path_id: str | None, fresh: bool) -> Evaluation:
        """Replay the held-out samples against the candidate, and a few against the base without its adapter. `fresh`:
        answers that were kept are asked for again."""
        bench, plan = self.bench, made.plan
        async with start(plan, log_dir=bench.project.state / "engines", name=ENDPOINT) as endpoint:
            return await evaluate(
                EvaluationPlan(
                    dataset=bench.dataset,
                    task=bench.task,
                    frozen=frozen_answers(bench.project, bench.dataset),
                    looks=replace(self.looks, path=path_id),
                    without_incumbent=True,
                ),
                ServedCandidate(endpoint, plan.served_name, made.untrained_model, UNTRAINED_SAMPLES),
                cache_dir=self._answers_folder(made),
                fresh=fresh,
                options=ReplayOptions(plan.parallel),
                progress=bench.progress,
            )


def _stopped(candidate: Candidate, report: CandidateReport, why: str) -> MadeCandidate:
    return MadeCandidate(candidate, msgspec.structs.replace(report, stopped=why), None)
