"""The key of this run: every engine that freehold starts asks for it, so no other program of the machine is served.

Each process of freehold that starts engines draws one and holds it in its own environment, under a name that
`freehold.environment` keeps from engines. The gateway and whatever else this process starts find it there, as
they find the key of any endpoint: `Endpoint.api_key_env` names the variable. It is written to no file. An engine is
told it on its stdin, or in its environment, which only this user and root can read; never on a command line.
"""

from __future__ import annotations

import os
import secrets

import msgspec

from freehold.errors import UsageError
from freehold.types.endpoint import Endpoint, ServePlan

RUN_KEY_ENV = "_FREEHOLD_ENGINE_KEY"
"""The variable with the key of this run: no setting, as the underscore says. The parent's run has another one."""
_KEY_BYTES = 32
_drawn_by: set[int] = set()


def value_of(key_env: str | None) -> str | None:
    """The key an engine is to ask for, that of this run drawn where it is not yet; None for one that asks for none.

    Raises `UsageError` where another variable is not set.
    """
    if key_env == RUN_KEY_ENV and os.getpid() not in _drawn_by:
        _drawn_by.add(os.getpid())
        os.environ[RUN_KEY_ENV] = secrets.token_urlsafe(_KEY_BYTES)
    if key_env is None:
        return None
    key = os.environ.get(key_env, "")
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        why = "holds a key that no header can carry" if key else "is not set"
        raise UsageError(
            f"the environment variable {key_env} {why}", hint=f"export {key_env}=… (letters and digits)"
        )
    return key


def first_lines(plan: ServePlan, key_env: str | None) -> bytes:
    """What a child of freehold's own reads first on its stdin: its plan, then the key it asks for (or nothing)."""
    return msgspec.json.encode(plan) + b"\n" + (value_of(key_env) or "").encode() + b"\n"


def bearer(key_env: str | None) -> dict[str, str]:
    """The header that carries a key; empty without one."""
    key = None if key_env is None else os.environ.get(key_env)
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def headers(endpoint: Endpoint) -> dict[str, str]:
    """The headers with which this process may ask an endpoint."""
    return bearer(endpoint.api_key_env)
