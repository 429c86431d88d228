"""Traffic on its way to a candidate, and the checks once it is there."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from freehold.types.evaluation import Task
from freehold.types.record import Record, StoredRecord

RolloutState = Literal["shadow", "canary", "paused", "promoted", "rolled_back"]
LIVE_STATES: tuple[RolloutState, ...] = ("shadow", "canary", "paused")
"""A rollout in one of these is not over."""
Against = Literal["live", "frozen"]
"""What a check compares with: the incumbent asked now, or its frozen answers."""
Side = Literal["input", "output"]

Gate = Literal["evidence", "users", "hours", "harm", "verdict", "parity", "quality", "errors", "validity"]
"""What a step forward waits for: evidence that still holds, where there is a verdict; enough users and hours in a
stage; that a drop of three margins is ruled out; an offline verdict that promotes, and parity; before promotion each
metric shown to be within its limit."""

Trouble = Literal[
    "failures", "schema", "slow", "mirror", "empty", "language", "refused", "limited", "flood", "cap", "clock"
]
"""Requests that one arm did not answer; answers that broke their schema; answers later than the limit; mirrored
requests that the candidate did not answer; a promoted candidate's answers that are empty, or in another language than
they were asked in; an endpoint that refuses its key (401, 403) or has enough of it (429). Of the gateway: clients
without a valid key; a spend cap that is reached; a clock that was moved."""

FEWEST_PAIRS = 5
"""Fewer pairs than this say nothing about quality."""


class AgreementShift(Record, frozen=True, kw_only=True):
    """What a candidate that was proven by right answers loses by agreement with the incumbent, on those samples.

    `difference` is added to a difference that was scored by agreement, which is then to what it was in the proof;
    `as_good` is by how much answers are as good as the incumbent's more often than they agree with it. Both with the
    half-width of their 95 % interval. All 0 where nothing is known.
    """

    difference: float = 0.0
    error: float = 0.0
    as_good: float = 0.0
    as_good_error: float = 0.0

    @property
    def sentence(self) -> str:
        """What a difference without right answers is to, for people."""
        return (
            "without right answers, agreement with the incumbent counts, compared with the proof, where it was "
            f"{1 - self.difference:.1%}"
        )


class RolloutTerms(Record, frozen=True, kw_only=True):
    """What a rollout is held to, fixed when it begins."""

    task: Task
    agreement: AgreementShift = AgreementShift()
    """For mirrored requests, which have no right answer."""
    stages: tuple[float, ...]
    """Shares of the traffic the candidate gets, rising."""
    shadow_share: float
    """Share of the requests that are mirrored to the candidate."""
    max_p95_ms: float | None = None
    errors_below: float = 0.02
    """Share of failed requests, and of answers that break their schema, that rolls back above it and promotes below."""
    requests_per_user: int = 5
    """Requests of one user that count as one unit of the tests."""
    window_s: float = 120.0
    """After how long a unit with fewer requests is closed."""
    failure_window_s: float = 10.0
    """The same for errors, broken schemas and times, which an operator wants to hear of sooner than of quality."""
    users_a_stage: int = 50
    """Users to be seen in a stage before the next one."""
    hours_a_stage: float = 24.0
    """Hours a stage lasts at least: one daily cycle."""


class Rollout(RolloutTerms, StoredRecord, frozen=True, kw_only=True):
    """One attempt to move one route. Another try is a new rollout, whose tests begin at nothing; those of one candidate
    share the probability that it is promoted in vain."""

    kind: ClassVar[str] = "rollout"
    key_field: ClassVar[str] = "route"

    id: str
    route: str
    state: RolloutState
    stage: int = -1
    """Place in `stages`; -1 while only mirrored."""
    paused_in: Literal["shadow", "canary"] | None = None
    """What was going on when it was paused."""
    started_at: datetime
    stage_began_at: datetime
    verdict_id: str | None = None
    """The offline verdict it rests on: the one at its start, or one that promoted since."""
    number: int = 1
    """How many rollouts this route has had, this one included."""
    attempt: int = 1
    """How many of them were of this candidate."""
    attempts: dict[str, int] = {}
    """The same for each candidate, by the content of what it is."""
    why: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it is not over yet."""
        return self.state in LIVE_STATES


class Drift(Record, frozen=True, kw_only=True):
    """One summary in one period."""

    name: str
    side: Side
    users: int
    share: float
    baseline: float
    e_value: float
    statistic: float
    alarm: bool


class MixtureTest(Record, frozen=True, kw_only=True):
    """One claim about a promoted mixture. `statistic` alarms at `acts_at`.

    `loss`: sure answers asked again lose no more than was promised. `calibration`: they are as often as good as the
    incumbent's as their confidence says. `share above`, `share below`: what is answered here is what was proven.
    """

    name: Literal["loss", "calibration", "share above", "share below"]
    statistic: float
    acts_at: float
    alarm: bool


class MixtureCheck(Record, frozen=True, kw_only=True):
    """What one check found of a mixture. Shares and means are over users, each with the mean of its requests."""

    rule_id: str
    mixture_id: str | None
    decided: int
    """Requests of the period that the rule decided on."""
    sure: int
    """Those the candidate answered because it was sure."""
    share: float | None
    """Share answered here, what may not leave the house included; None where nothing was decided."""
    sure_share: float
    """Share answered here because the candidate was sure: any loss is there."""
    share_low: float | None
    share_high: float | None
    """The interval that was proven; None where its record is gone."""
    loss: float | None
    """What all requests together lose against the incumbent, by the answers asked again."""
    margin: float
    """What was promised that they lose at most."""
    confidence: float | None
    """Mean confidence of the answers asked again."""
    as_good: float | None
    """Share of them that were as good as the incumbent's."""
    tests: tuple[MixtureTest, ...] = ()
    safe_side: bool = False
    """Whether the incumbent answers everything, since an earlier alarm."""


class Check(StoredRecord, frozen=True, kw_only=True):
    """One check. `statistic` alarms at `acts_at`: 200 is about one false alarm in 200 periods. All tests of a mixture
    together alarm in vain in at most 5 % of years."""

    kind: ClassVar[str] = "watch_check"

    id: str
    route: str
    at: datetime
    against: Against
    period: int
    planned: int
    estimated_usd: Decimal | None
    budget_usd: Decimal
    spent_usd: Decimal | None
    pairs: int
    unscored: int
    difference: float | None
    e_value: float
    statistic: float
    alarm: bool
    acts_at: float = 200.0
    smallest_drop: float | None
    """The smallest drop such checks find within 8 periods with 80 %; None: not even a total one."""
    drift: tuple[Drift, ...] = ()
    mixture: MixtureCheck | None = None
    action: str = "none"
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: nothing found. 1: an alarm. 3: too little to say anything."""
        tests = () if self.mixture is None else self.mixture.tests
        if self.alarm or any(one.alarm for one in self.drift) or any(one.alarm for one in tests):
            return 1
        return 3 if self.pairs < FEWEST_PAIRS else 0


class RouteAlarm(StoredRecord, frozen=True, kw_only=True):
    """One trouble of one route at one gateway, from when it was told until it is over. `requests` and `failed` are what
    was seen when it was told."""

    kind: ClassVar[str] = "route_alarm"
    unaudited: ClassVar[str | None] = "told by the gateway's own numbers; it moves nothing"

    route: str
    trouble: Trouble
    arm: Literal["candidate", "incumbent"]
    gateway: str
    """The machine it was seen on."""
    since: datetime
    requests: int
    failed: int
    why: str
    over_at: datetime | None = None

    @property
    def key(self) -> str:
        return f"{self.route}/{self.trouble}/{self.arm}/{self.gateway}"
