"""What a check says: of the doctor, and of the look that is taken before anything is spent."""

from __future__ import annotations

from typing import Literal

from freehold.types.record import Record

Outcome = Literal["ok", "warn", "fail"]
SEVERITY: dict[Outcome, int] = {"ok": 0, "warn": 1, "fail": 2}


class Finding(Record, frozen=True, kw_only=True):
    """One line of a diagnosis: `warn` may wait, `fail` should not. `fix` is the way out, a command where one helps."""

    check: str
    outcome: Outcome
    text: str
    fix: str | None = None


def ok(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, outcome="ok", text=text)


def warn(check: str, text: str, fix: str) -> Finding:
    """Something to do before long."""
    return Finding(check=check, outcome="warn", text=text, fix=fix)


def fail(check: str, text: str, fix: str) -> Finding:
    """Something that is wrong now."""
    return Finding(check=check, outcome="fail", text=text, fix=fix)


class Preflight(Record, frozen=True, kw_only=True):
    """What was found before anything is spent. `items` are the held-out samples, `seconds` what looking took."""

    findings: tuple[Finding, ...]
    items: int
    seconds: float

    @property
    def failed(self) -> tuple[Finding, ...]:
        """What should not be begun with."""
        return tuple(one for one in self.findings if one.outcome == "fail")

    @property
    def doubted(self) -> tuple[Finding, ...]:
        """Everything that is worth a line: what failed first."""
        told = [one for one in self.findings if one.outcome != "ok"]
        return tuple(sorted(told, key=lambda one: -SEVERITY[one.outcome]))
