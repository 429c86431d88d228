"""Alarms sent to a webhook and a command. Used by the observer and by `freehold watch`."""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
from datetime import datetime
from typing import Literal

import msgspec

from freehold import files
from freehold.types.config import WatchConfig
from freehold.types.record import Record

TIMEOUT_S = 15.0


AlarmKind = Literal["rolled_back", "quality", "drift", "check_failed", "trouble", "trouble_over"]


class Alarm(Record, frozen=True, kw_only=True):
    """What a hook receives, as JSON. It carries no content of requests or answers."""

    kind: AlarmKind
    app: str
    route: str
    at: datetime
    why: str
    action: str = "none"


def send(alarm: Alarm, config: WatchConfig) -> tuple[str, ...]:
    """Send an alarm to the hooks; returns what went wrong, for the caller to show.

    Never raises: an alarm must not be lost twice.
    """
    body = msgspec.json.encode(alarm)
    problems = []
    if config.webhook_env is not None and (problem := _post(config.webhook_env, body)) is not None:
        problems.append(problem)
    if config.command and (problem := _run(config.command, body)) is not None:
        problems.append(problem)
    return tuple(problems)


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


def _run(command: tuple[str, ...], body: bytes) -> str | None:
    try:
        done = subprocess.run(
            command,
            input=body,
            capture_output=True,
            timeout=TIMEOUT_S,
            umask=files.user_umask(),
            check=False,
        )
    except FileNotFoundError:
        return f"the alarm's command {command[0]} is not there"
    except subprocess.TimeoutExpired:
        return f"the alarm's command {command[0]} took longer than {TIMEOUT_S:g} s"
    except OSError as error:
        return f"the alarm's command {command[0]} cannot be run: {error.strerror}"
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return f"the alarm's command {command[0]} ended with {done.returncode}: {''.join(last)[:200]}"
    return None
