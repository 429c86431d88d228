"""Whether what clients saw, what the gateway counted and what the store holds add up, to the last request."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

NOT_ASKED = frozenset({"busy", "over_budget", "no_room", "no_endpoint", "other_api"})
"""Outcomes of shadows that were not sent."""


class Seen(NamedTuple):
    """What clients saw: whole answers, refusals by status, and how often they left, before and within an answer."""

    answered: int
    refused: Counter[str]
    left_before: int
    left_within: int
    failed: Counter[str]


class Stored(NamedTuple):
    """Traces in the store: of clients, of shadows, and how many whole answers lack one."""

    of_clients: int
    of_shadows: int
    missing: int


class Line(NamedTuple):
    """One sum: both sides must be equal."""

    what: str
    left: int
    right: int

    @property
    def holds(self) -> bool:
        return self.left == self.right


def lines(seen: Seen, counters: dict[tuple[str, ...], int], stored: Stored) -> list[Line]:
    """All sums. `counters` are those of ``/metrics``, by name and labels."""

    def total(name: str, at: int | None = None, wanted: frozenset[str] | None = None) -> int:
        return sum(
            value
            for key, value in counters.items()
            if key[0] == name and (at is None or wanted is None or key[at] in wanted)
        )

    captured = total("freehold_traces_captured")
    dropped, lost = total("freehold_traces_dropped"), total("freehold_traces_lost")
    asked = total("freehold_shadows") - total("freehold_shadows", 2, NOT_ASKED)
    kept = stored.of_clients + stored.of_shadows
    left = seen.left_before + seen.left_within
    return [
        Line("requests that failed", sum(seen.failed.values()), 0),
        Line(
            "requests counted with 200 = whole answers + left within",
            total("freehold_requests", 4, frozenset({"200"})),
            seen.answered + seen.left_within,
        ),
        Line("refusals counted = seen", total("freehold_refusals"), sum(seen.refused.values())),
        Line("clients counted that left = seen", total("freehold_client_aborts"), left),
        Line("traces captured = stored + lost", captured, total("freehold_traces_stored") + lost),
        Line("traces stored = in the store", total("freehold_traces_stored"), kept),
        Line("traces dropped or lost", dropped + lost, 0),
        Line("whole answers without a trace", stored.missing, 0),
        Line("traces of shadows = shadows asked", stored.of_shadows, asked),
    ]


def parsed(page: str) -> dict[tuple[str, ...], int]:
    """The counters of a page in Prometheus's text format, by name (without ``_total``) and the labels' values."""
    found: dict[tuple[str, ...], int] = {}
    for line in page.splitlines():
        if line.startswith("#") or "_total" not in line:
            continue
        head, _, value = line.rpartition(" ")
        name, _, labels = head.partition("{")
        values = tuple(part.partition('="')[2].rstrip('"') for part in labels.rstrip("}").split('",') if part)
        found[(name.removesuffix("_total"), *values)] = int(float(value))
    return found
