"""How one of several candidates was chosen, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.report.first_screen import NO_INCUMBENT, NOT_EVIDENCE, against_right, by_cost, not_measured
from freehold.report.words import usd
from freehold.types.report import CandidateReport, Report


def choice_lines(report: Report) -> Iterator[tuple[int, str]]:
    """Lines with how far each is indented; nothing where there was nothing to choose."""
    choice = report.choice
    if choice is None:
        return
    yield 0, choice.sentence
    yield 0, ""
    for one in by_cost(report):
        yield 2, one.label
        yield 4, _figures(one)
        yield 4, f"not chosen: {one.not_chosen or one.stopped}" if one is not report.chosen else "chosen"
    for one in not_measured(report):
        yield 2, one.label
        yield 4, one.not_chosen or f"stopped: {one.stopped}"
    yield 0, ""
    for hour in dict.fromkeys(_machine_hours(report)):
        yield 0, f"Costs measured here are at {hour}."
    if choice.overlapping:
        yield 0, NOT_EVIDENCE
    if against_right(report):
        yield 0, NO_INCUMBENT


def _machine_hours(report: Report) -> Iterator[str]:
    for one in by_cost(report):
        cost = one.selection.cost if one.selection is not None else None
        if cost is not None and cost.machine_hour is not None:
            yield cost.machine_hour


def _figures(one: CandidateReport) -> str:
    found = one.selection
    assert found is not None
    parts = ["not scored" if found.mean is None else f"{100 * found.mean:.1f}%"]
    if found.difference is not None:
        limits = ""
        if found.ci_low is not None and found.ci_high is not None:
            limits = f" [{100 * found.ci_low:+.1f}, {100 * found.ci_high:+.1f}]"
        parts.append(f"{100 * found.difference:+.1f} points{limits}")
    parts.append(f"on {found.n:,} of {found.of:,} selection samples")
    if found.latency is not None and found.latency.total_p50_ms is not None:
        parts.append(f"half under {found.latency.total_p50_ms:,.0f} ms")
    if found.cost is not None:
        known = found.cost.usd_per_1000 is not None
        parts.append(
            f"{usd(found.cost)} per 1,000 requests" if known else f"cost not known ({found.cost.why})"
        )
    return ", ".join(parts)
