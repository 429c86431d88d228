"""Candidates are made and measured on the selection split, and those that may well be promoted share the proof.

With ``stop = "first"`` one after the other, the one expected to be cheapest first, until one would suffice; with
``stop = "all"`` all of them, by successive halving. What was measured is kept step by step: a run that was killed goes
on with the candidate, and within it with the sample, that it was at. ``within_minutes`` bounds the search and what is
trained in it; the time that a candidate was given is kept as well, so that the same command finds the same one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic
from typing import NamedTuple

import msgspec

from freehold.catalog import models as catalog
from freehold.costs.prices import MILLION
from freehold.datasets import building
from freehold.errors import EngineError, MissingExtraError, UpstreamError
from freehold.hardware.tensors import active_parameter_count
from freehold.stats.selection import (
    WRONG_STOP,
    SelectionRule,
    TriedCandidate,
    assess,
    choose,
    halving_plan,
    hopeless,
    surviving,
)
from freehold.types.choosing import (
    CandidateChoice,
    RequestCost,
    SelectionResult,
    SelectionRow,
    SelectionScores,
)
from freehold.types.config import DEFAULT_MODEL, ProjectConfig, SelectionConfig
from freehold.types.encoder import WORDS_MODEL
from freehold.types.machine import Machine
from freehold.types.method import METHOD_KINDS, MethodName
from freehold.types.record import Record
from freehold.types.report import CandidateReport
from freehold.workflows.journey.candidate import CandidateRunner, MadeCandidate
from freehold.workflows.journey.measuring import SELECTION_SPLIT, measured, on_scale_of, request_cost, tried
from freehold.workflows.journey.methods import Bench, Candidate
from freehold.workflows.journey.methods.method import endpoint_of
from freehold.workflows.journey.methods.sufficing import selection_rule

_ENCODER_PARAMETERS = 30e6
"""Of a sentence encoder whose shape is not known; most have 20 to 150 million, and write no tokens."""
_WORDS_PARAMETERS = 1e4
"""That one request passes: those of its own words, for each label."""
_USUAL_PARAMETERS = 8e9
"""Of a model that the catalog does not know."""
_USD_PER_PARAMETER = 2e-12
"""Dollars for 1,000 requests of a few hundred tokens, per parameter one token passes: 2 cents at 10 billion. It only
puts models that run here in order with those that have a price."""
_TOKENS = 500
_LONGER: dict[MethodName, float] = {"prompt": 1.1, "examples": 2.0}
"""How many times as long requests become."""


def cheapest_first(candidates: Sequence[Candidate], config: ProjectConfig) -> list[Candidate]:
    """Candidates by the cost that is expected of 1,000 requests; equals stay in their order, as they are before they
    learn first: that costs nothing to make."""
    return sorted(candidates, key=lambda one: (_expected_usd(one, config), METHOD_KINDS[one.method].trains))


def _expected_usd(candidate: Candidate, config: ProjectConfig) -> float:
    longer = _LONGER.get(candidate.method, 1.0)
    if candidate.endpoint is not None:
        price = endpoint_of(config, candidate.endpoint).price
        if price is not None:
            return float(price.prompt / MILLION) * _TOKENS * 1000 * longer
    return _parameters(candidate) * _USD_PER_PARAMETER * longer


def _parameters(candidate: Candidate) -> float:
    if candidate.model == WORDS_MODEL:
        return _WORDS_PARAMETERS
    model = catalog.find(candidate.model)
    if model is not None:
        return active_parameter_count(model.shape)
    return _ENCODER_PARAMETERS if METHOD_KINDS[candidate.method].closed_set_only else _USUAL_PARAMETERS


RULE = (
    "Candidates are tried until one has a chance of promotion of at least {chance:.0%}, should the {held_out:,} "
    "held-out samples come out like its selection result. Those that were measured are evaluated on the held-out "
    "samples together, once. They share the error that is allowed by the cube of their chance; one with less than "
    "three tenths of the best chance gets none of it. Of those that are promoted, the one that answers most requests "
    "alone is taken; of equals, the cheapest."
)
SMALL_PARAMETERS = 1.5e9
"""Of a model that writes: where answers are labels, none up to that size came above a tuned encoder. Banking77
(docs/benchmarks.md): a LoRA of 135 million 92.9 % after 14 minutes, one of 1 billion 90.2 %, the encoder 94.1 %."""
WITHIN = (
    " No further one is begun once {minutes:g} minutes were spent on making and measuring them, and one is left; "
    "training ends with them at its best so far."
)
USUAL_MINUTES = 15.0
"""Of a search without an accelerator, where none are stated."""
LEAST_SHARE = 0.5
"""Of those minutes, for training a candidate that is begun late, since none is left."""
CHEAP_MINUTES = 3.0
"""For reading the texts by a sentence encoder: up to that one is tried where words alone suffice, too."""
CHARACTERS_A_MINUTE = 600_000
"""That such an encoder reads: 15,000 messages of 40 in a minute, on two cores."""
WAY_OUT = (
    "Mend that, or name a model that can be had here in [[candidates]]: freehold assess ranks them, and "
    f"{DEFAULT_MODEL} is one freehold models pull away"
)
_FAULTS = (EngineError, UpstreamError, MissingExtraError)
"""What ends one of several candidates and not the journey: an endpoint that dies, an engine that does not start."""


class TimeForAnother(Record, frozen=True, kw_only=True):
    """Whether a candidate was begun after `spent_s` seconds of a limited search."""

    begins: bool
    spent_s: float


class Selected(NamedTuple):
    """All candidates' reports in the order of the project, those that are to be proven, each with its part of the look,
    the largest last (none where none could be made), and how they were chosen."""

    reports: list[CandidateReport]
    proofs: list[tuple[MadeCandidate, float]]
    choice: CandidateChoice


def search_minutes(config: SelectionConfig, machine: Machine) -> float | None:
    """That making and measuring candidates may take; None where nothing ends it."""
    if config.within_minutes is not None or config.stop == "all" or machine.accelerators:
        return config.within_minutes
    return USUAL_MINUTES


@dataclass(slots=True)
class _Tried:
    """A candidate that was made, and what was measured of it so far."""

    made: MadeCandidate
    scores: SelectionScores | None = None
    cost: RequestCost | None = None
    stopped: str | None = None
    fault: str | None = None

    @property
    def label(self) -> str:
        return self.made.candidate.label


@dataclass(slots=True)
class Selector:
    """Measures `candidates` and divides the look among them."""

    runner: CandidateRunner
    candidates: Sequence[Candidate]
    _tried: dict[str, _Tried] = field(default_factory=dict)
    _began_s: float = field(default_factory=lambda: monotonic())
    _out_of_time: bool = False
    _left: float = math.inf
    _not_begun: dict[str, str] = field(default_factory=dict)

    @property
    def bench(self) -> Bench:
        """What they share."""
        return self.runner.bench

    @property
    def _config(self) -> SelectionConfig:
        return self.bench.project.config.selection

    @property
    def minutes(self) -> float | None:
        """That the search is given."""
        return search_minutes(self._config, self.bench.machine)

    @property
    def items(self) -> int:
        """Samples of the selection split."""
        return self.bench.dataset.split(SELECTION_SPLIT).samples

    def select(self) -> Selected:
        """Make and measure candidates, and say which are to be proven."""
        rule = selection_rule(self.bench)
        said = RULE.format(held_out=rule.held_out, chance=rule.least_chance)
        ordered = cheapest_first(self.candidates, self.bench.project.config)
        if not self.items:
            return self._unmeasured(ordered, said)
        if self.minutes is not None:
            said += WITHIN.format(minutes=self.minutes)
            if self._config.within_minutes is None:
                self.bench.progress.say(
                    f"The search is given {self.minutes:g} minutes without an accelerator, trainings included: "
                    "[selection] within_minutes = N gives it more, stop = 'all' tries each to its end"
                )
        if self._config.stop == "first":
            self._until_one_passes(ordered, rule)
        else:
            self._all(ordered, rule)
        return self._chosen(rule, said)

    def _until_one_passes(self, ordered: Sequence[Candidate], rule: SelectionRule) -> None:
        # Each against the bar, not against the others: an early look at a quarter drops the hopeless.
        sizes = [step.items for step in halving_plan(self.items, 2)]
        suffices: _Tried | None = None
        for candidate in ordered:
            if suffices is not None and not self._may_win_cheaply(candidate, suffices):
                return
            if (why := self._cannot_win(candidate)) is not None:
                self._not_begun[candidate.label] = why
                self.bench.progress.say(f"{candidate.label} is not begun: {why}")
                continue
            if not self._has_time_for(candidate, rule):
                return
            one = self._make(candidate)
            for size in sizes:
                if one.fault is not None or one.stopped is not None:
                    break
                self._measure(one, size)
                tried = self._as_tried(one)
                if size < self.items and tried is not None:
                    error = WRONG_STOP / len(sizes)
                    if hopeless(tried.differences, rule.decision, codes=tried.codes, error=error):
                        one.stopped = (
                            f"stopped after {size:,} samples: shown to be worse by more than the margin"
                        )
            tried = self._as_tried(one)
            if tried is not None and assess(tried, self._scaled(rule, one)).passes:
                suffices = one

    def _may_win_cheaply(self, candidate: Candidate, before: _Tried) -> bool:
        """Whether a candidate is begun though an earlier one suffices: a sentence encoder after words alone, that is
        foretold to have read all texts in a few minutes, and may have right what those have not."""
        encoder = None if before.made.made is None else before.made.made.encoder
        if (
            candidate.method != "encoder"
            or encoder is None
            or encoder.stage != "words"
            or before.scores is None
        ):
            return False
        samples = building.samples(self.bench.dataset, "train")
        characters = sum(
            len(str(one.content or "")) for each in samples for one in each.messages if one.role == "user"
        )
        minutes, wrong = characters / CHARACTERS_A_MINUTE, 1 - (before.scores.mean or 0)
        if wrong == 0 or minutes > CHEAP_MINUTES:
            return False
        self.bench.progress.say(
            f"{before.label} suffices; {candidate.label} is tried all the same: it may win {100 * wrong:.1f} points at "
            f"most, and reading all texts is foretold to take {max(1, math.ceil(minutes))} min"
        )
        return True

    def _all(self, ordered: Sequence[Candidate], rule: SelectionRule) -> None:
        for candidate in ordered:
            if not self._has_time_for(candidate, rule):
                break
            self._make(candidate)
        plan = halving_plan(self.items, len(self._alive()) or 1)
        for step in plan:
            for one in self._alive():
                self._measure(one, step.items)
            tried = [found for one in self._alive() if (found := self._as_tried(one)) is not None]
            if step.items < self.items and tried:
                stops = surviving(tried, self._scaled(rule, self._alive()[0]), step, steps=len(plan))
                for one in self._alive():
                    one.stopped = stops.get(one.label)

    def _cannot_win(self, candidate: Candidate) -> str | None:
        """Why a candidate is foretold to be no better than one that was measured; None where it may be."""
        kind = METHOD_KINDS[candidate.method]
        if not kind.trains or kind.closed_set_only or _parameters(candidate) > SMALL_PARAMETERS:
            return None
        for one in self._tried.values():
            encoder = None if one.made.made is None else one.made.made.encoder
            if encoder is None or encoder.stage == "words" or one.scores is None:
                continue
            if one.made.candidate.settings.stage == "frozen":
                continue
            if one.scores.mean is not None and all(each.kind != "copied" for each in encoder.manifest.fields):
                return (
                    f"where answers are labels, training so small a model comes to no more than {one.label}, which has "
                    f"{one.scores.mean:.1%} of the selection samples right (selection.stop=all tries it all the same)"
                )
        return None

    def _has_time_for(self, candidate: Candidate, rule: SelectionRule) -> bool:
        minutes = self.minutes
        if minutes is None:
            return True
        tried = [(label, one.made.made and one.made.made.plan.identity) for label, one in self._tried.items()]
        spent_s = monotonic() - self._began_s
        found = self.bench.steps.decide(
            f"begin:{candidate.key}",
            [self.bench.dataset.id, minutes, tried],
            TimeForAnother,
            lambda: TimeForAnother(
                begins=spent_s < 60 * minutes
                or not any(self._may_yet_win(one, rule) for one in self._alive()),
                spent_s=spent_s,
            ),
        )
        self._left = max(round(minutes - found.spent_s / 60, 1), LEAST_SHARE * minutes)
        if not found.begins:
            self._out_of_time = True
            self.bench.progress.say(
                f"{candidate.label} is not begun: the {minutes:g} minutes for the search were over after "
                f"{len(self._tried)} of {len(self.candidates)} candidates"
            )
        return found.begins

    def _may_yet_win(self, one: _Tried, rule: SelectionRule) -> bool:
        tried = self._as_tried(one)
        return tried is None or not hopeless(
            tried.differences, rule.decision, codes=tried.codes, error=WRONG_STOP
        )

    def _alive(self) -> list[_Tried]:
        return [
            one
            for one in self._tried.values()
            if one.made.made is not None and one.fault is None and one.stopped is None
        ]

    def _make(self, candidate: Candidate) -> _Tried:
        try:
            bench = dataclasses.replace(self.bench, minutes=self._left)
            made = dataclasses.replace(self.runner, bench=bench).make(candidate)
        except _FAULTS as error:
            report = CandidateReport(**candidate.as_reported(), stopped=error.message)
            made = MadeCandidate(candidate, report, None)
        one = _Tried(made, fault=made.report.stopped if made.made is None else None)
        self._tried[one.label] = one
        if one.fault is not None:
            self.bench.progress.say(f"{candidate.short_name} ends here: {one.fault}")
        return one

    def _measure(self, one: _Tried, items: int) -> None:
        """Ask the first `items` of the split. A fault ends this candidate; the answers it gave are kept."""
        bench, candidate, made = self.bench, one.made.candidate, one.made.made
        assert made is not None
        try:
            one.scores = measured(bench, candidate, made, items=items)
        except _FAULTS as error:
            one.fault = error.message
            bench.progress.say(f"{candidate.short_name} ends here: {error.message}")
            return
        one.cost = request_cost(candidate, made.plan, one.scores, bench.project.config, bench.machine)
        bench.progress.say(_told(one.scores, one.cost))

    def _as_tried(self, one: _Tried) -> TriedCandidate | None:
        if one.scores is None:
            return None
        cost = one.cost
        usd = None if cost is None or cost.usd_per_1000 is None else float(cost.usd_per_1000)
        return tried(one.label, one.scores, usd=usd, stopped=one.fault or one.stopped)

    def _scaled(self, rule: SelectionRule, one: _Tried) -> SelectionRule:
        return rule if one.scores is None else on_scale_of(one.scores, rule)

    def _chosen(self, rule: SelectionRule, said: str) -> Selected:
        measured = [one for one in self._tried.values() if one.scores is not None and one.fault is None]
        known = [found for one in measured if (found := self._as_tried(one)) is not None]
        if not known:
            return self._ended(None, said, why="no candidate could be measured")
        selection = choose(known, self._scaled(rule, measured[0]))
        rows = {row.name: row for row in selection.rows}
        for one in measured:
            self._report_row(one, rows[one.label])
        choice = CandidateChoice(
            rule=said,
            stop=self._config.stop,
            split_samples=self.items,
            tried=len(self._tried),
            selection=selection,
            chosen=selection.chosen,
            why=selection.reason,
            overlapping=_overlapping(selection.rows),
        )
        proofs = sorted((row for row in selection.rows if row.part), key=lambda row: row.part)
        return Selected(
            self._reports(selection.chosen),
            [(self._tried[row.name].made, row.part) for row in proofs],
            choice,
        )

    def _report_row(self, one: _Tried, row: SelectionRow) -> None:
        assert one.scores is not None
        scores = one.scores
        result = SelectionResult(
            n=len(scores.differences),
            of=scores.of,
            mean=scores.mean,
            incumbent_mean=scores.incumbent_mean,
            against=scores.against,
            difference=row.difference,
            ci_low=row.ci_low,
            ci_high=row.ci_high,
            needed=row.needed,
            chance=row.chance,
            passes=row.passes,
            part=row.part,
            stopped=row.stopped,
            latency=scores.latency,
            cost=one.cost,
        )
        report = msgspec.structs.replace(
            one.made.report, selection=result, not_chosen=None if row.part else row.reason
        )
        one.made = one.made._replace(report=report)

    def _unmeasured(self, ordered: Sequence[Candidate], said: str) -> Selected:
        """Without a selection split the first that can be made goes on: nothing else would leave alpha whole."""
        for candidate in ordered:
            one = self._make(candidate)
            if one.fault is None:
                why = "no selection split: the first that could be made goes on, unmeasured"
                return self._ended(one, said, why=why)
        return self._ended(None, said, why="no candidate could be made")

    def _ended(self, one: _Tried | None, said: str, *, why: str) -> Selected:
        if one is None:
            first = next((tried.fault for tried in self._tried.values() if tried.fault is not None), None)
            why += f": {first}. {WAY_OUT}" if first is not None else f". {WAY_OUT}"
        choice = CandidateChoice(
            rule=said,
            stop=self._config.stop,
            split_samples=self.items,
            tried=len(self._tried),
            selection=None,
            chosen=None if one is None else one.label,
            why=why,
        )
        return Selected(self._reports(choice.chosen), [] if one is None else [(one.made, 1.0)], choice)

    def _reports(self, chosen: str | None) -> list[CandidateReport]:
        reports = []
        for candidate in self.candidates:
            one = self._tried.get(candidate.label)
            if one is None:
                reports.append(
                    CandidateReport(
                        **candidate.as_reported(),
                        not_chosen=self._why_not_tried(candidate, chosen),
                    )
                )
                continue
            report = one.made.report
            if one.fault is not None and report.stopped is None:
                report = msgspec.structs.replace(report, stopped=one.fault)
            reports.append(report)
        return reports

    def _why_not_tried(self, candidate: Candidate, chosen: str | None) -> str:
        if (why := self._not_begun.get(candidate.label)) is not None:
            return f"not tried: {why}"
        if self._out_of_time:
            return f"not tried: the {self.minutes:g} minutes for the search were over"
        return f"not tried: {chosen} was expected to cost less, and suffices"


def _overlapping(rows: Sequence[SelectionRow]) -> bool:
    """Whether the intervals of any two overlap."""
    known = sorted(
        (row.ci_low, row.ci_high) for row in rows if row.ci_low is not None and row.ci_high is not None
    )
    return any(before[1] >= after[0] for before, after in pairwise(known))


def _told(scores: SelectionScores, cost: RequestCost) -> str:
    mean = "no score" if scores.mean is None else f"scores {scores.mean:.1%}"
    theirs = "" if scores.incumbent_mean is None else f" (the incumbent {scores.incumbent_mean:.1%})"
    usd = "cost not known" if cost.usd_per_1000 is None else f"${cost.usd_per_1000:f} per 1,000 requests"
    return f"{mean}{theirs} on {len(scores.differences):,} selection samples; {usd}"
