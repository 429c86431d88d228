"""All workers' numbers, and those of what is in force just now, as Prometheus reads them. Loaded on the first request
for it: most processes never need it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from decimal import Decimal
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from freehold import __version__
from freehold.gateway.telemetry.meters import COUNTERS, HISTOGRAMS, Labels, Snapshot, buckets_of
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, LabelLimits, Limits, Route, RouteState

GAUGES: dict[str, str] = {
    "freehold_in_flight": "Requests being answered now",
    "freehold_recorder_alive": "1 while the recorder does its rounds, 0 when it is stopped, stuck or dead",
    "freehold_held_bytes": "Bytes held of requests, and of answers that are read whole",
    "freehold_config_stale": (
        "1 while freehold.toml is not wholly in force: it was refused, or some of it waits for the next start"
    ),
    "freehold_config_since_seconds": "When the configuration in force was taken over, in seconds since 1970",
}
LABELLED_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "freehold_route_state": ("1 for the state a route is in, 0 for all others", ("route", "state")),
    "freehold_route_candidate_share": ("Share of a route's requests that the candidate answers", ("route",)),
    "freehold_route_mirrored_share": (
        "Share of the incumbent's requests that the candidate is asked as well",
        ("route",),
    ),
    "freehold_name_spend_usd": (
        "Dollars that a key, label or route with a cap has spent on this day or in this month (UTC)",
        ("name", "period"),
    ),
    "freehold_name_cap_usd": ("Dollars that it may spend in a day or a month", ("name", "period")),
    "freehold_breaker_open": (
        "Workers that pass an endpoint over where another can answer, because it kept failing",
        ("endpoint",),
    ),
    "freehold_endpoint_up": (
        "1 where an endpoint answers a health check, made when the numbers are asked for; 0 where it does not",
        ("endpoint",),
    ),
    "freehold_endpoint_info": (
        "1 for each endpoint: its engine, and whether it is rented (it charges for tokens) or own",
        ("endpoint", "engine", "place"),
    ),
    "freehold_route_unanswered": (
        "1 where some requests of a route would be answered by no endpoint, by the health checks; 0 where not",
        ("route",),
    ),
    "freehold_ready": ("1 where /ready answers with 200, 0 where it does not", ()),
    "freehold_certificate_expires_seconds": (
        "When the certificate in force ends, in seconds since 1970",
        ("certificate",),
    ),
    "freehold_build_info": ("1 for the version of freehold that runs", ("version",)),
    "freehold_config_info": ("1 for the version of the configuration in force: its hash", ("version",)),
}


# Counted from 0 on: of a counter that first appears as 1, Prometheus sees no increase, and one is what an alert is for.
_FROM_ZERO: dict[str, tuple[Labels, ...]] = {
    "freehold_config_reloads": (("in_force",), ("refused",), ("waits",)),
    "freehold_recorder_failures": (("refused",), ("retention",), ("unexpected",)),
    "freehold_restarts": tuple(
        (process, why)
        for process in ("recorder", "worker")
        for why in ("busy", "ended", "never began", "silent", "stopped")
    ),
}


def exposition(snapshots: Iterable[Snapshot]) -> bytes:
    """The numbers added up, in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sum(list(snapshots)))
    return generate_latest(registry)


class _Sum(Collector):
    def __init__(self, snapshots: list[Snapshot]) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterator[Metric]:
        for name, (text, label_names) in COUNTERS.items():
            totals: dict[Labels, float] = dict.fromkeys(_FROM_ZERO.get(name, ()), 0.0)
            if not label_names:
                totals[()] = 0.0
            for taken in self._snapshots:
                for labels, value in taken.counters.get(name, ()):
                    totals[labels] = totals.get(labels, 0) + value
            counter = CounterMetricFamily(name, text, labels=label_names)
            for labels, value in sorted(totals.items()):
                counter.add_metric(labels, value)
            yield counter
        for name, text in GAUGES.items():
            value = sum(taken.gauges.get(name, 0) for taken in self._snapshots)
            yield GaugeMetricFamily(name, text, value=value)
        for name, (text, label_names) in LABELLED_GAUGES.items():
            sums: dict[Labels, float] = {}
            for taken in self._snapshots:
                for labels, value in taken.labelled.get(name, ()):
                    sums[labels] = sums.get(labels, 0) + value
            gauge = GaugeMetricFamily(name, text, labels=label_names)
            for labels, value in sorted(sums.items()):
                gauge.add_metric(labels, value)
            yield gauge
        for name, (text, label_names) in HISTOGRAMS.items():
            cells: dict[Labels, tuple[list[int], float]] = {}
            for taken in self._snapshots:
                for labels, counts, total in taken.histograms.get(name, ()):
                    old, old_total = cells.get(labels, ([0] * len(counts), 0.0))
                    cells[labels] = ([a + b for a, b in zip(old, counts, strict=True)], old_total + total)
            histogram = HistogramMetricFamily(name, text, labels=label_names)
            for labels, (counts, total) in sorted(cells.items()):
                histogram.add_metric(labels, _cumulative(name, counts), total)
            yield histogram


def _cumulative(name: str, counts: list[int]) -> list[tuple[str, float]]:
    edges = [*(str(edge) for edge in buckets_of(name)), "+Inf"]
    return [(edge, float(sum(counts[: place + 1]))) for place, edge in enumerate(edges)]


Spent = Mapping[str, tuple[Decimal, Decimal]]


def standing(
    routes: Sequence[Route],
    keys: Iterable[ApiKey],
    labels: Iterable[LabelLimits],
    *,
    spent: Spent,
    rollbacks: Mapping[str, int],
    config_version: str,
    config_since_s: float,
) -> Snapshot:
    """The numbers that each worker knows alike, so that one of them tells them for all.

    `spent` is what each name has spent on this day and in this month, in dollars; `rollbacks` counts those of each
    route since the store was made; `config_since_s` is in seconds since 1970.
    """
    gauges: dict[str, list[tuple[Labels, float]]] = {
        name: []
        for name in (
            "freehold_route_state",
            "freehold_route_candidate_share",
            "freehold_route_mirrored_share",
            "freehold_name_spend_usd",
            "freehold_name_cap_usd",
        )
    }
    limited: dict[str, Limits] = {f"key:{key.name}": key.limits for key in keys if key.revoked_at is None}
    limited |= {one.account: one.limits for one in labels}
    for route in routes:
        limited[f"route:{route.name}"] = route.limits
        for state in get_args(RouteState):
            gauges["freehold_route_state"].append(((route.name, state), float(route.state == state)))
        gauges["freehold_route_candidate_share"].append(((route.name,), candidate_share(route)))
        gauges["freehold_route_mirrored_share"].append(((route.name,), mirrored_share(route)))
    # A route's first rollback is an increase only where there was a 0 before it.
    counted = {route.name: 0 for route in routes} | dict(rollbacks)
    for name, limits in sorted(limited.items()):
        if not limits.caps_spending:
            continue
        day, month = spent.get(name, (Decimal(0), Decimal(0)))
        for period, used, most in (("day", day, limits.usd_per_day), ("month", month, limits.usd_per_month)):
            gauges["freehold_name_spend_usd"].append(((name, period), float(used)))
            if most is not None:
                gauges["freehold_name_cap_usd"].append(((name, period), float(most)))
    gauges["freehold_config_info"] = [((config_version,), 1.0)]
    return Snapshot(
        counters={"freehold_rollbacks": [((name,), float(n)) for name, n in sorted(counted.items())]},
        gauges={"freehold_config_since_seconds": config_since_s},
        labelled=gauges,
    )


def answering(
    endpoints: Iterable[Endpoint],
    answers: Mapping[str, bool],
    unanswered: Container[str],
    *,
    routes: Iterable[Route],
    rented: Set[str],
    is_ready: bool,
    certificate: tuple[str, float] | None = None,
) -> Snapshot:
    """How the endpoints are, by what a health check found (`answers`, by name), which routes nothing answers, and the
    gateway in front of them.

    `rented` are those that charge for tokens. `certificate` is its path, and when the one in force ends in seconds
    since 1970; None without TLS.
    """
    named = sorted(endpoints, key=lambda one: one.name)
    gauges: dict[str, list[tuple[Labels, float]]] = {
        "freehold_endpoint_up": [
            ((one.name,), float(answers[one.name])) for one in named if one.name in answers
        ],
        "freehold_endpoint_info": [
            ((one.name, one.engine, "rented" if one.name in rented else "own"), 1.0) for one in named
        ],
        "freehold_route_unanswered": [((one.name,), float(one.name in unanswered)) for one in routes],
        "freehold_ready": [((), float(is_ready))],
        "freehold_build_info": [((__version__,), 1.0)],
    }
    if certificate is not None:
        path, expires_s = certificate
        gauges["freehold_certificate_expires_seconds"] = [((path,), expires_s)]
    return Snapshot(labelled=gauges)


def candidate_share(route: Route) -> float:
    """The share of requests that the candidate answers: 0 to 1."""
    if route.candidate is None:
        return 0.0
    return 1.0 if route.state == "promoted" else route.canary_share if route.state == "canary" else 0.0


def mirrored_share(route: Route) -> float:
    """The share of the incumbent's requests that the candidate is asked as well: 0 to 1."""
    return route.shadow_share if route.candidate is not None and route.state in ("shadow", "canary") else 0.0
