"""How things stand when a report is written: what to do next, how long it holds, what it costs."""

from __future__ import annotations

from datetime import date, datetime

from freehold.types.cost import Cost
from freehold.types.evidence import EvidenceAge
from freehold.types.journey import JourneyStage, NextAction
from freehold.types.record import Record
from freehold.types.ruling import DutyMark


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


class Regressions(Record, frozen=True, kw_only=True):
    """Where the candidate lost and won against the incumbent, over all scored pairs.

    `by_cause` counts the lost pairs by what was wrong with the candidate's answer. `by_field` has, for each part of a
    scored answer, how many of `scored` answers had it wrong: candidate, incumbent. `confusions` are what was right and
    what the candidate answered instead, the most frequent first.
    """

    scored: int
    lost: int
    won: int
    by_cause: dict[str, int]
    by_field: dict[str, tuple[int, int]] = {}
    confusions: tuple[tuple[str, str, int], ...] = ()
