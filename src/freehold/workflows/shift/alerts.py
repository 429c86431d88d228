"""Alarms sent to a webhook. Used by the observer and by `freehold watch`."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from datetime import datetime
from typing import Literal

import msgspec

from freehold.types.config import WatchConfig
from freehold.types.record import Record

TIMEOUT_S = 15.0


AlarmKind = Literal["rolled_back", "quality", "drift", "check_failed", "trouble", "trouble_over"]


class Alarm(Record, frozen=True, kw_only=True):
    """What the webhook receives, as JSON. It carries no content of requests or answers."""

    kind: AlarmKind
    app: str
    route: str
    at: datetime
    why: str
    action: str = "none"


def send(alarm: Alarm, config: WatchConfig) -> tuple[str, ...]:
    """Send an alarm to the webhook; returns what went wrong, for the caller to show.

    Never raises: an alarm must not be lost twice.
    """
    if config.webhook_env is None:
        return ()
    problem = _post(config.webhook_env, msgspec.json.encode(alarm))
    return () if problem is None else (problem,)


def _post(variable: str, body: bytes) -> str | None:
    address = os.environ.get(variable)
    if not address:
        return f"the alarm's webhook was not told: {variable} is not set"
    if not address.startswith(("http://", "https://")):
        return f"the alarm's webhook was not told: {variable} is not an http:// or https:// address"
    try:
        request = urllib.request.Request(address, body, {"content-type": "application/json"}, method="POST")  # noqa: S310 (the scheme is checked above)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 (the scheme is checked above)
            answer.read(1024)
    except urllib.error.HTTPError as error:
        return f"the alarm's webhook answered {error.code}"
    except (OSError, ValueError) as error:
        # The address may hold a secret, so it is not shown.
        return f"the alarm's webhook cannot be reached: {type(error).__name__}"
    return None
