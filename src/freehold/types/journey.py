"""How far a project is, and how things stand when a report is written.

`ProjectFacts` is what is known of it, `JourneyState` what follows from that: the report, `freehold status` and the
console tell the same.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from freehold.types.cost import Cost, Ending
from freehold.types.evaluation import VerdictOutcome
from freehold.types.license import DutyMark
from freehold.types.record import Record
from freehold.types.rollout import RolloutState
from freehold.types.verdict import EvidenceAge

JourneyStage = Literal[
    "broken",
    "fresh",
    "named",
    "imported",
    "built",
    "frozen",
    "measured",
    "promote",
    "promote_in_part",
    "hold",
    "reject",
    "shadow",
    "canary",
    "paused",
    "promoted",
    "rolled_back",
]
"""`named`: there is a freehold.toml and no traffic (what `freehold scan` finds is kept nowhere but there). `measured`:
candidates were trained or measured, and there is no verdict on one. `promote_in_part`: the verdict promotes a mixture
with the incumbent."""

JourneyStepName = Literal["name", "capture", "dataset", "freeze", "prove", "decide", "shift", "keep"]
JourneyStepState = Literal["done", "now", "later", "stale", "failed"]
"""`now` is the step that the next action is about; `stale`: done, and no longer true of what is here; `failed`: it was
done, and its end is not the one that was hoped for."""


class JourneyStep(Record, frozen=True, kw_only=True):
    """One step of the journey. `detail` says what is known of it, `command` does it or shows it."""

    name: JourneyStepName
    title: str
    state: JourneyStepState
    detail: str
    command: str
    at: datetime | None = None
    record_id: str | None = None


class OtherWay(Record, frozen=True, kw_only=True):
    """Another thing that can be done now."""

    sentence: str
    command: str


class NextAction(Record, frozen=True, kw_only=True):
    """What to do next: a sentence, the command that does it, and why. `others` are other ways on."""

    sentence: str
    command: str
    why: str
    others: tuple[OtherWay, ...] = ()


class VerdictFacts(Record, frozen=True, kw_only=True):
    """What the last verdict says, as far as the next action needs it. `codes` are its reasons' that call for its
    outcome, worst first; `texts` theirs."""

    id: str
    outcome: VerdictOutcome
    candidate: str
    """As it is served."""
    model: str
    """The model it was made of, by its name in the catalog."""
    fallback: str | None
    """Who answers what it is not sure of, where a mixture was promoted."""
    codes: tuple[str, ...]
    texts: tuple[str, ...]
    conditions: int
    n: int | None = None
    needed_n: int | None = None
    """Held-out samples that would settle it; None where that is not known, or more would not."""
    at: datetime | None = None


class RolloutFacts(Record, frozen=True, kw_only=True):
    """A rollout as it stands. `share` is the candidate's of the traffic, `missing` what the next step waits for;
    `is_last_share` says that the next step is promotion."""

    route: str
    state: RolloutState
    share: float
    missing: tuple[str, ...]
    is_last_share: bool
    since: datetime
    why: str = ""
    verdict_is_newer: bool = False
    """Whether a verdict was made that this rollout did not begin with."""
    trouble: str | None = None
    """What a gateway tells of the route that is not over yet."""


class ProjectFacts(Record, frozen=True, kw_only=True):
    """What is known of a project at a time. Counts are of the store, `held_out` of samples, `frozen` of answers."""

    app: str
    at: datetime
    broken: str | None = None
    """Why the project or its store cannot be read; all else is then unknown."""
    broken_hint: str | None = None
    broken_store: bool = False
    """It is the store, and it will not be read later as it is: not one that is busy or does not answer."""
    has_config: bool = False
    files: tuple[str, ...] = ()
    """Logs that freehold.toml names."""
    incumbent: str | None = None
    can_ask_incumbent: bool = False
    ending: Ending | None = None
    """The incumbent's."""
    rented: str | None = None
    """What the incumbent costs, when it ends and what its replacement would cost; None: not looked up, or not known."""
    learning: str | None = None
    """Whether the candidates may learn the incumbent's answers, and what would decide it; None where none would."""
    traces: int = 0
    traces_until: datetime | None = None
    dataset_id: str | None = None
    train: int = 0
    held_out: int = 0
    frozen: int = 0
    frozen_at: datetime | None = None
    trained: int = 0
    evaluations: int = 0
    compared: bool = False
    """Whether the last evaluation had an incumbent's answers to be compared with."""
    report_id: str | None = None
    report_at: datetime | None = None
    report_stopped: str | None = None
    """Why no candidate of the last report came as far as a verdict."""
    verdict: VerdictFacts | None = None
    evidence: tuple[EvidenceAge, ...] = ()
    rollout: RolloutFacts | None = None
    gateway_runs: bool = False
    incidents: tuple[str, ...] = ()
    """What is wrong with the running gateway now."""
    """Whether a gateway of this project runs on this machine."""
    gateway_url: str | None = None
    """Its address, where it runs in the background."""
    generation: int = 0
    """The one that serves; 0 is the one that was migrated."""
    watched_at: datetime | None = None
    watch_due: datetime | None = None
    watch_alarm: str | None = None

    @property
    def days_left(self) -> int | None:
        """Days until the incumbent is shut down; None where no date is known."""
        return None if self.ending is None else (self.ending.shutdown - self.at.date()).days

    @property
    def of_fallback(self) -> str | None:
        """What is to be known of the incumbent that answers a part of what was promoted, where it ends."""
        back = self.rollout is not None and self.rollout.state == "rolled_back"
        if self.ending is None or self.verdict is None or self.verdict.fallback != self.incumbent or back:
            return None
        return self.ending.of_fallback

    @property
    def stale(self) -> tuple[EvidenceAge, ...]:
        """The evidence that no longer holds."""
        return tuple(one for one in self.evidence if one.stale)


class JourneyState(Record, frozen=True, kw_only=True):
    """Where a project is, and what to do next. `warnings` are what must not be missed, the most urgent first."""

    app: str
    at: datetime
    stage: JourneyStage
    sentence: str
    """Where it is, in words."""
    next: NextAction
    steps: tuple[JourneyStep, ...]
    incumbent: str | None
    retires: date | None
    days_left: int | None
    rented: str | None = None
    """As in `ProjectFacts`; where the end is near, the first of the warnings as well."""
    learning: str | None = None
    """As in `ProjectFacts`."""
    evidence: tuple[EvidenceAge, ...] = ()
    warnings: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    """What is wrong with the running gateway now, each with what to do."""


class Standing(Record, frozen=True, kw_only=True):
    """What a report says that is not of its journey but of the day it is written.

    `valid_until` is the first day on which something that it rests on ends, `valid_why` says what; None where nothing
    that ends is known. Where it no longer holds, `invalid` says why. `cost` is None where it is not known, and
    `cost_why_not` and `cost_command` then say why and how to know it.
    """

    at: datetime
    stage: JourneyStage
    next: NextAction
    evidence: tuple[EvidenceAge, ...] = ()
    retires: date | None = None
    days_left: int | None = None
    of_fallback: str | None = None
    """Where the incumbent answers a part of what was promoted and ends: the day, and what answers that part then."""
    valid_until: date | None = None
    valid_why: str = ""
    invalid: tuple[str, ...] = ()
    cost: Cost | None = None
    rented: str | None = None
    """What the incumbent costs, when it ends and what its replacement would cost; None: its price is not known."""
    cost_why_not: str | None = None
    cost_command: str = "freehold cost"
    duties: tuple[DutyMark, ...] = ()
    """Duties of the candidates' licences that are said to be done."""
    is_latest: bool = True
    """Whether the report is the last one of its project: what to do next follows from that one."""
