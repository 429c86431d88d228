"""Names, help texts and label names of what goes up and down; `meters` has those of what is counted."""

from __future__ import annotations

GAUGES: dict[str, str] = {
    "freehold_in_flight": "Requests being answered now",
    "freehold_recorder_alive": "1 while the recorder does its rounds, 0 when it is stopped, stuck or dead",
    "freehold_held_bytes": "Bytes held of requests, of answers that are read whole, and of kept answers",
    "freehold_cache_bytes": "Bytes of kept answers",
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
        "Workers that give an endpoint a pause, because it kept failing",
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
    "freehold_ready": ("1 where /ready answers with 200, 0 where it does not", ()),
    "freehold_certificate_expires_seconds": (
        "When the certificate in force ends, in seconds since 1970",
        ("certificate",),
    ),
    "freehold_build_info": ("1 for the version of freehold that runs", ("version",)),
    "freehold_config_info": ("1 for the version of the configuration in force: its hash", ("version",)),
}
