"""Which parts of a configuration a running gateway takes over, and which wait for its next start."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from freehold.gateway.config import Capture, GatewayConfig

TAKEN_OVER = frozenset(
    (
        "endpoints",
        "others_to",
        "without_key",
        "hosts",
        "capture",
        "capture_opt_out",
        "prices",
        "default_model",
        "attributions",
        "retention_days",
        "retention_bytes",
        "drain_s",
    )
)
"""Fields that workers and recorder take over within a second of being told."""
_WORDS_KEPT: dict[Capture, int] = {"off": 0, "pii": 1, "patterns": 2, "raw": 3}


class LiveChange(NamedTuple):
    """What a running gateway is to be set to, the names of the fields that this changes, and of those that wait."""

    config: GatewayConfig
    taken: tuple[str, ...]
    waiting: tuple[str, ...]


def live_change(running: GatewayConfig, wanted: GatewayConfig, *, kept_least: Capture | None) -> LiveChange:
    """What of `wanted` a gateway takes over while it runs.

    `kept_least` is the mode of capture, other than ``off``, that kept least of people's words since its start (None: it
    kept nothing). A mode that keeps more waits for the next start: what was said while less was promised may still be
    on its way to the store.
    """
    taken: list[str] = []
    waiting: list[str] = []
    for field in GatewayConfig.__struct_fields__:
        if getattr(running, field) == getattr(wanted, field):
            continue
        may = field in TAKEN_OVER
        if field == "capture" and kept_least is not None:
            may = _WORDS_KEPT[wanted.capture] <= _WORDS_KEPT[kept_least]
        (taken if may else waiting).append(field)
    changed = {field: getattr(wanted, field) for field in taken}
    return LiveChange(msgspec.structs.replace(running, **changed), tuple(taken), tuple(waiting))


def keeps_less(one: Capture | None, other: Capture) -> Capture | None:
    """Of two modes of capture the one that keeps less of people's words, ``off`` left aside."""
    if other == "off":
        return one
    return other if one is None or _WORDS_KEPT[other] < _WORDS_KEPT[one] else one
