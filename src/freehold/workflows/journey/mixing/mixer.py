"""Plans the mixtures of a candidate and the incumbent on the selection split, and looks at them once.

The signal and the thresholds are settled before a held-out sample is seen, so one look at all shares, the candidate
alone after them, keeps all of the error that is allowed (docs/decisions/018).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from freehold import __version__
from freehold.catalog.retirements import retirement_of
from freehold.datasets import building
from freehold.deferring.signals import unreadable_note
from freehold.evals.frozen import with_frozen
from freehold.stats import power
from freehold.stats.rules import MIN_PAIRS_PROMOTE
from freehold.types.dataset import Sample, SplitName
from freehold.types.deferral import DeferralWay
from freehold.types.evaluated import Evaluation
from freehold.types.mixture import Mixture
from freehold.types.record import content_id
from freehold.workflows.journey.measuring import (
    SELECTION_SPLIT,
    is_pairwise,
    measured,
    request_cost,
)
from freehold.workflows.journey.methods import Bench, Candidate, Made
from freehold.workflows.journey.mixing import curves, money, slices
from freehold.workflows.journey.mixing.looking import look
from freehold.workflows.journey.mixing.upper import (
    as_upper,
    is_itself,
    measured_upper,
    named_upper,
    upper_results,
)
from freehold.workflows.project import now
from freehold.workflows.prove.looks import Looks
from freehold.workflows.prove.results import frozen_answers

TIMED_TRACES = 500


class Obstacle(NamedTuple):
    """Why nothing can be planned, and what to do about it."""

    why: str
    way_out: str


@dataclass(frozen=True, slots=True)
class Mixer:
    """Mixes the candidates of one bench with the incumbent, in `looks` of its store."""

    bench: Bench
    looks: Looks

    @property
    def is_wanted(self) -> bool:
        """Whether the project plans mixtures at all."""
        return self.bench.project.config.defer.least_share < 1

    @property
    def alpha(self) -> float:
        """What the last of the planned looks may err, one-sided."""
        return self.looks.part * self.looks.plan.alpha(self.bench.task.alpha)

    def plan(self, candidate: Candidate, made: Made) -> Mixture:
        """What mixtures would be, by the selection split: the curves, and the thresholds that the look is planned for,
        or why there are none.

        Raises what asking the candidate raises, and `ConfigError` for declared requests that cannot be.
        """
        bench = self.bench
        samples = self._filled(SELECTION_SPLIT)
        notes = slices.check(bench.project.config.defer, samples)
        obstacle = self._obstacle(candidate, samples)
        if obstacle is not None:
            return self._refused(candidate, made, len(samples), obstacle, notes)
        scores = measured(bench, candidate, made, items=len(samples))
        asked = named_upper(bench.project.config)
        upper = None if asked is None else measured_upper(bench, asked, items=len(samples))
        inputs = [
            made.plan.identity,
            bench.dataset.id,
            bench.task,
            self.alpha,
            scores,
            bench.project.config.defer,
            *filter(None, [upper]),
            __version__,
        ]
        planned = bench.steps.run(
            f"mix:{candidate.key}",
            f"{candidate.short_name}: which requests could it answer alone?",
            inputs,
            Mixture,
            lambda: self._planned(candidate, made, curves.AskedSplit(samples, scores, upper), notes),
            still_there=_router_is_there,
        )
        if planned.rule is None:
            bench.progress.say(f"no mixture is planned: {planned.refused}")
        return planned

    def look(
        self,
        planned: Mixture,
        candidate: Candidate,
        made: Made,
        evaluation: Evaluation,
        share: float | None = None,
    ) -> tuple[Mixture, Evaluation]:
        """The planned mixtures, looked at on the samples of an evaluation, and the evaluation: with the candidate's own
        comparison where all of them were proven and it was tested after them. Both are kept.

        `share` is what the owner wants the candidate to answer at most, of what is proven (None: what was said before).
        Raises `StorageError` where the evaluation's results or the router are gone.
        """
        bench, rule = self.bench, planned.rule
        assert rule is not None
        asked = named_upper(bench.project.config) if rule.upper is not None else None
        if share is None:  # what its owner said of the same sequence stays said
            kept = [one for one in bench.store.records(Mixture) if one.path_id == planned.path_id]
            share = kept[-1].wanted if kept else None
        seen = anyio.run(
            partial(
                look,
                msgspec.structs.replace(planned, wanted=share),
                evaluation,
                replace(self.looks, path=planned.path_id),
                task=bench.task,
                least_share=bench.project.config.defer.least_share,
                recorded_ms=self._recorded_ms(self._filled("held_out")),
                ask_upper=None if asked is None else partial(upper_results, bench, asked),
            )
        )
        found = _with_id(self._priced(seen.mixture, rule.way, candidate, made))
        bench.store.put(found, made_from=found.made_from)
        bench.progress.say(found.sentence)
        if seen.alone is not None:
            evaluation = msgspec.structs.replace(evaluation, comparison=seen.alone)
            bench.store.put(seen.alone, made_from=seen.alone.made_from)
            bench.store.put(evaluation, made_from=(evaluation.dataset_id, seen.alone.id))
        return found, evaluation

    def _filled(self, split: SplitName) -> list[Sample]:
        bench = self.bench
        filled, _ = with_frozen(
            list(building.samples(bench.dataset, split)), frozen_answers(bench.project, bench.dataset, split)
        )
        return filled

    def _obstacle(self, candidate: Candidate, samples: list[Sample]) -> Obstacle | None:
        """What stands in the way before anything is asked."""
        bench = self.bench
        upper = named_upper(bench.project.config)
        if not self.is_wanted:
            return Obstacle("[defer] least_share is 1", "[defer] least_share = 0.2 plans one again")
        if upper is not None and is_itself(upper, candidate, bench.project.config):
            return Obstacle(
                f"{candidate.label} is the upper model itself: what it is not sure of would go to it again",
                "[defer] upper names a larger model than the candidate; a smaller candidate can be mixed with it",
            )
        gone = self._incumbent_until()
        if gone is not None and gone < now().date() and upper is None:
            return Obstacle(
                f"{self.incumbent} was shut down on {gone}: no one is left to defer to",
                "a larger model of your own can answer in its place: [defer] upper",
            )
        if is_pairwise(bench.task):
            return Obstacle(
                "the judge compares two answers, and says nothing of one that is the incumbent's own",
                'options = { mode = "absolute" } of the judge scores each answer alone',
            )
        known = [one for one in samples if one.incumbent is not None]
        if len(known) < len(samples) or not samples:
            return Obstacle(
                f"{len(known):,} of {len(samples):,} selection samples have an answer of the incumbent",
                "freehold freeze --split validation records them"
                if samples
                else "[data] validation = 0.15 makes a selection split",
            )
        held = [one for one in self._filled("held_out") if one.incumbent is not None]
        of_users = any(one.group is not None for one in held)
        units = len({one.id if one.group is None else one.group for one in held})
        least = (power.rare_loss_n if of_users else power.zero_loss_n)(bench.task.margin, self.alpha)
        if units < (needed := max(least, MIN_PAIRS_PROMOTE)):
            what = "users or conversations among the held-out samples" if of_users else "held-out samples"
            return Obstacle(
                f"{units:,} {what} with an answer of the incumbent cannot show a drop of less than "
                f"{100 * bench.task.margin:g} points, even where nothing is lost: it takes {needed:,}",
                "freehold freeze records answers; [data] held_out holds out more",
            )
        return None

    @property
    def incumbent(self) -> str:
        """Its name."""
        stated = self.bench.project.config.incumbent
        return stated.model if stated is not None else self.bench.dataset.incumbent_model or "incumbent"

    def _incumbent_until(self) -> date | None:
        row = retirement_of(self.incumbent)
        return None if row is None else row.shutdown

    def _base(self, candidate: Candidate, made: Made, samples: int, notes: list[str]) -> Mixture:
        bench = self.bench
        until = self._incumbent_until()
        asked = named_upper(bench.project.config)
        if until is not None and asked is None:
            left = (until - now().date()).days
            notes = [
                *notes,
                f"{self.incumbent} is shut down on {until}, in {left:,} days: until then a larger model of your own "
                "must take its place ([defer] upper), or the candidate all requests.",
            ]
        said = unreadable_note(made.plan.engine_kind)
        return Mixture(
            id="",
            candidate=made.plan.served_name,
            incumbent=self.incumbent,
            dataset_id=bench.dataset.id,
            margin=bench.task.margin,
            alpha=self.alpha,
            label=candidate.label,
            selection_samples=samples,
            curves=(),
            rule=None,
            upper=None if asked is None else as_upper(asked).title,
            incumbent_until=until,
            made_from=(bench.dataset.id,),
            notes=tuple(notes) if said is None else (*notes, said),
        )

    def _refused(
        self, candidate: Candidate, made: Made, samples: int, obstacle: Obstacle, notes: list[str]
    ) -> Mixture:
        base = self._base(candidate, made, samples, notes)
        return _with_id(msgspec.structs.replace(base, refused=obstacle.why, way_out=obstacle.way_out))

    def _planned(
        self, candidate: Candidate, made: Made, split: curves.AskedSplit, notes: list[str]
    ) -> Mixture:
        config, bench = self.bench.project.config.defer, self.bench
        base = self._base(candidate, made, len(split.samples), notes)
        found, more = curves.find_curves(split, curves.Terms(bench.task.margin, self.alpha, config))
        best = curves.best_of(found)
        base = msgspec.structs.replace(
            base, curves=tuple(one.curve for one in found), best=best, notes=(*base.notes, *more)
        )
        if best is None:
            why = "; ".join(curves.refusals(found)) or "nothing says how sure the candidate is"
            return _with_id(
                msgspec.structs.replace(
                    base, refused=why, way_out="more traffic, or a smaller share ([defer] least_share)"
                )
            )
        asked = named_upper(bench.project.config)
        served = curves.MixedModels(
            base.candidate,
            made.plan.candidate_id(),
            base.incumbent,
            None if asked is None else as_upper(asked),
        )
        rule = curves.rule_of(found[best], served, config, bench.project.state / "routers")
        curve = found[best].curve
        bench.progress.say(
            f"{curve.signal.replace('_', ' ')} ({curve.way}) tells best which answers are as good, by "
            f"{len(split.samples):,} selection samples"
        )
        path_id = content_id([rule.id, [one.threshold for one in curve.points]])
        return _with_id(msgspec.structs.replace(base, rule=rule, path_id=path_id))

    def _priced(self, seen: Mixture, way: DeferralWay, candidate: Candidate, made: Made) -> Mixture:
        """With what the share that was taken costs."""
        bench, asked = self.bench, named_upper(self.bench.project.config)
        scores = measured(bench, candidate, made, items=seen.selection_samples)
        own = request_cost(candidate, made.plan, scores, bench.project.config, bench.machine)
        stated = bench.project.config.incumbent
        paid = money.paid(bench.project, self.incumbent, None if stated is None else stated.price)
        deferred = paid if asked is None else money.paid_upper(bench.project, asked)
        cost = money.mixture_cost(way, seen.share or 0.0, paid, own, deferred)
        return msgspec.structs.replace(seen, cost=cost, usd_saved_per_month=money.saved_per_month(cost, paid))

    def _recorded_ms(self, samples: list[Sample]) -> list[float]:
        """Times of the incumbent's answers, where the log had them."""
        ids = [one.trace_id for one in samples if one.trace_id is not None][:TIMED_TRACES]
        traces = self.bench.store.get_traces(ids).values()
        return [one.total_ms for one in traces if one.total_ms is not None]


def _router_is_there(planned: Mixture) -> bool:
    rule = planned.rule
    return rule is None or rule.router is None or Path(rule.router.path).exists()


def _with_id(mixture: Mixture) -> Mixture:
    """The mixture with the id of what it says; times and prices are no part of it."""
    rule = mixture.rule
    plain = msgspec.structs.replace(
        mixture, id="", rule=None, latency=None, cost=None, usd_saved_per_month=None, notes=()
    )
    id = content_id([plain, None if rule is None else rule.id])
    if rule is not None:
        rule = msgspec.structs.replace(rule, mixture_id=id)
    return msgspec.structs.replace(mixture, id=id, rule=rule)
