"""Do the endpoints answer that will be asked? Their list of models is read, which costs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from freehold.engines import supervisor
from freehold.errors import FreeholdError
from freehold.late import aiohttp
from freehold.signing.clouds import TITLES
from freehold.signing.signer import OwnCredentials
from freehold.types.endpoint import CloudCredentials, Endpoint
from freehold.types.finding import Finding, fail, ok, warn
from freehold.wire.base_url import joined, stem

SECONDS = 4.0


class AskedEndpoint(NamedTuple):
    """An OpenAI-compatible endpoint that will be asked for `model` (None: whatever it serves). `who` names it in a
    sentence, `cached` says that kept answers may make asking needless."""

    who: str
    url: str
    model: str | None = None
    api_key_env: str | None = None
    cached: bool = False
    credentials: CloudCredentials | None = None


async def address_findings(address: AskedEndpoint, *, seconds: float = SECONDS) -> list[Finding]:
    """Whether the endpoint answers, takes the key and lists the model; `seconds` at most."""
    who, key = address.who, os.environ.get(address.api_key_env) if address.api_key_env else None
    bad = warn if address.cached else fail
    if address.api_key_env and not key:
        return [
            bad(
                "endpoint",
                f"{who}: the environment has no {address.api_key_env}, which should hold its key",
                f"export {address.api_key_env}=…",
            )
        ]
    if not address.url.startswith(("http://", "https://")):
        return [fail("endpoint", f"{who}: {address.url!r} is not an address", "http://127.0.0.1:8420")]
    base = stem(address.url.rstrip("/").removesuffix("/chat/completions"))
    asked = Endpoint(
        name=base,
        engine="remote",
        base_url=base,
        api_key_env=address.api_key_env,
        credentials=address.credentials,
    )
    listing = joined(base, "/v1/models")
    try:
        headers = await OwnCredentials(asked).headers("GET", listing)
        listed = await supervisor.get_json(listing, headers=headers, seconds=seconds)
    except FreeholdError as error:
        return [bad("endpoint", f"{who}: {error.message}", error.hint or "")]
    except aiohttp.ClientResponseError as error:
        if error.status in (401, 403):
            return [
                bad("endpoint", f"{who}: {base} refuses the key (status {error.status})", _key_hint(address))
            ]
        # It is there, and has no list: many gateways have none.
        return [ok("endpoint", f"{who}: {base} answers; it lists no models (status {error.status})")]
    except ValueError:
        return [ok("endpoint", f"{who}: {base} answers; it lists no models")]
    except (aiohttp.ClientError, TimeoutError, OSError):
        return [
            bad(
                "endpoint",
                f"{who}: nothing answers at {base} within {seconds:g} s",
                "start it, or mend its address",
            )
        ]
    return list(_listed(address, base, listed))


def _key_hint(address: AskedEndpoint) -> str:
    if address.api_key_env:
        return f"check the key in {address.api_key_env}"
    if address.credentials is not None:
        return f"check what these credentials of {TITLES[address.credentials]} may do"
    return "name the environment variable that holds the key: api_key_env"


def _listed(address: AskedEndpoint, base: str, listed: Any) -> Iterator[Finding]:
    rows = listed.get("data") if isinstance(listed, dict) else None
    names = (
        [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row]
        if isinstance(rows, list)
        else []
    )
    if address.model is None or not names or address.model in names:
        yield ok("endpoint", f"{address.who}: {base} answers; asking for its models cost nothing")
        return
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
    yield warn(
        "endpoint",
        f"{address.who}: {base} does not list the model {address.model}; it lists {shown}",
        "check the name; some endpoints serve more than they list",
    )
