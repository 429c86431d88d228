"""Numbers and records as people say them."""

from __future__ import annotations

from decimal import Decimal

from freehold.types.choosing import RequestCost
from freehold.types.method import METHOD_KINDS
from freehold.types.report import CandidateReport, Report
from freehold.verdict.reasons import REASONS
from freehold.visible import gib as in_gib
from freehold.visible import visible as visible

ABSENT = "not known"


def percent(value: float | None) -> str:
    """A share as a percentage with one decimal."""
    return ABSENT if value is None else f"{100 * value:.1f}%"


def points(value: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    return ABSENT if value is None else f"{100 * value:+.1f}".replace("-", "−")


def gib(value: float | None) -> str:
    """Bytes in GiB."""
    return ABSENT if value is None else in_gib(value, 2)


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return ABSENT if value is None else f"{value:,.0f}"


def milliseconds(value: float | None) -> str:
    """A latency; seconds from 10,000 ms on."""
    if value is None:
        return ABSENT
    return f"{value:,.0f} ms" if value < 10_000 else f"{value / 1000:,.1f} s"


def seconds(value: float | None) -> str:
    """``3 min 20 s``."""
    if value is None:
        return ABSENT
    whole = round(value)
    if whole < 60:
        return f"{value:.1f} s" if value < 10 else f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60:02d} s"
        if whole < 3600
        else f"{whole // 3600} h {whole % 3600 // 60} min"
    )


def probability(value: float | None) -> str:
    """A p-value, never shown as 0."""
    if value is None:
        return ABSENT
    return "below 0.0001" if value < 0.0001 else f"{value:.4f}"


HEADLINES = {
    "promote": "Safe to move, by this evidence",
    "hold": "Not proven yet",
    "reject": "Stay on the incumbent",
}
OUTCOMES = {"promote": "Promote", "hold": "Hold", "reject": "Reject"}
MARKS = {"promote": "✓", "hold": "?", "reject": "✕"}


def headline(candidate: CandidateReport) -> str:
    """The verdict in two to six words."""
    if candidate.verdict is not None:
        if candidate.verdict.outcome == "promote" and candidate.verdict.mixture_id is not None:
            return "Safe to move in part"
        return HEADLINES[candidate.verdict.outcome]
    if candidate.stopped:
        return "Could not be tried"
    if candidate.not_chosen is not None:
        return "Not chosen"
    return "Measured, not compared" if candidate.measured is not None else "Not finished"


def short(candidate: CandidateReport) -> str:
    """The model without its publisher."""
    return candidate.model.rsplit("/", 1)[-1]


def outcome(candidate: CandidateReport) -> str:
    """The word that colours the page."""
    if candidate.verdict is not None:
        return candidate.verdict.outcome
    return "reject" if candidate.stopped else "hold"


def state(candidate: CandidateReport) -> str:
    """What became of it, in two words at most."""
    if candidate.verdict is not None:
        return candidate.verdict.outcome
    if candidate.stopped is not None:
        return "stopped"
    if candidate.not_chosen is not None:
        return "not chosen" if candidate.selection is not None else "not tried"
    return "measured"


def method(candidate: CandidateReport) -> str:
    """How it was made."""
    return ABSENT if candidate.method is None else METHOD_KINDS[candidate.method].title


def usd(cost: RequestCost | None) -> str:
    """Dollars for 1,000 requests, to two digits below a dollar: the hour of a machine is assumed to no more."""
    if cost is None or cost.usd_per_1000 is None:
        return ABSENT
    value = cost.usd_per_1000
    return f"${value:,.2f}" if value >= 1 else f"${Decimal(f'{value:.2g}'):f}"


def sentence(report: Report, candidate: CandidateReport) -> str:
    """The whole result in one or two sentences a person outside the field understands."""
    short = candidate.model.rsplit("/", 1)[-1]
    if candidate.stopped is not None:
        trained = candidate.method is None or METHOD_KINDS[candidate.method].trains
        return f"{short} was not {'trained' if trained else 'measured'}: {candidate.stopped}."
    if candidate.not_chosen is not None and candidate.comparison is None:
        return f"{short} was not chosen: {candidate.not_chosen}."
    comparison = candidate.comparison
    measured = candidate.measured
    mixture = candidate.mixture
    if mixture is not None and mixture.is_proven:
        return mixture.sentence
    if comparison is None and measured is not None and measured.mean is not None:
        return (
            f"On {measured.n:,} held-out samples {short} scored {percent(measured.mean)} (between "
            f"{percent(measured.ci_low)} and {percent(measured.ci_high)}). There were no answers of an incumbent, so "
            "nothing is said about leaving one."
        )
    if comparison is None:
        return f"{short} has not been compared yet."
    incumbent = report.incumbent or "the incumbent"
    if comparison.difference is None:
        return f"{short} could not be compared with {incumbent}: {'; '.join(comparison.notes) or 'no pairs'}."
    gap = f"{abs(100 * comparison.difference):.1f} points {'below' if comparison.difference < 0 else 'above'}"
    text = (
        f"On {comparison.n:,} held-out samples {short} scored {percent(comparison.candidate_mean)} and {incumbent} "
        f"{percent(comparison.incumbent_mean)}: {gap}. "
        if comparison.candidate_mean is not None
        else f"On {comparison.n:,} held-out samples, by a model judge that people's labels corrected, {short} is {gap} "
        f"{incumbent}. "
    )
    limits = f"between {points(comparison.ci_low)} and {points(comparison.ci_high)} points"
    margin = f"{100 * comparison.margin:g} points"
    if comparison.verdict == "promote":
        return text + comparison.promise(short)
    if comparison.verdict == "reject":
        return text + f"The true difference lies {limits}: it is worse by more than the {margin} you accept."
    if comparison.ci_low is not None and comparison.ci_low > -comparison.margin:
        held = "; ".join(REASONS.get(code, code) for code in comparison.reasons)
        return f"{text}The interval is {limits}, within the {margin} you accept, but proves nothing: {held}."
    more = f" About {comparison.needed_n:,} held-out samples would settle it." if comparison.needed_n else ""
    return (
        text
        + f"The true difference lies {limits}, so a drop of {margin} is neither shown nor ruled out.{more}"
    )
