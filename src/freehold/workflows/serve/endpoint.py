"""An endpoint from its address: ask what it serves."""

from __future__ import annotations

import os

import anyio

from freehold.engines import probe
from freehold.errors import UpstreamError, UsageError
from freehold.late import aiohttp
from freehold.signing.own import OwnCredentials
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.wire.base_url import joined, stem


def find_endpoint(url: str, *, api_key_env: str | None = None, name: str = "asked") -> Endpoint:
    """The OpenAI-compatible endpoint at `url` (with or without ``/v1`` or the path of chats) and the models it lists.

    Raises `UsageError` for what is not an address and for a key that is not set, `UpstreamError` when nothing answers.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is not an address", hint="http://127.0.0.1:8420")
    base = stem(url.rstrip("/").removesuffix("/chat/completions"))
    listing = joined(base, "/v1/models")
    if api_key_env and not os.environ.get(api_key_env):
        raise UsageError(
            f"the environment has no {api_key_env}, which should hold the endpoint's key",
            hint=f"export {api_key_env}=…",
        )
    asked = OwnCredentials(Endpoint(name=name, engine="remote", base_url=base, api_key_env=api_key_env))

    async def ask() -> list[str]:
        headers = await asked.headers("GET", listing)
        answer = await probe.get_json(listing, headers=headers)
        return [str(row["id"]) for row in answer["data"]]

    try:
        names = anyio.run(ask)
    except aiohttp.ClientResponseError as error:
        hint = "is it OpenAI-compatible?"
        if error.status in (401, 403):
            hint = "it wants a key: --api-key-env NAME"
        raise UpstreamError(f"{listing} answered {error.status}", hint=hint) from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise UpstreamError(f"nothing answers at {base}", hint="freehold up starts an endpoint") from None
    except (ValueError, KeyError, TypeError):
        raise UpstreamError(f"{listing} lists no models", hint="is it OpenAI-compatible?") from None
    if not names:
        raise UpstreamError(f"{listing} lists no models", hint="is a model loaded there?")
    return Endpoint(
        name=name,
        engine="remote",
        base_url=base,
        models=tuple(ServedModel(name=one, upstream_name=one) for one in names),
        api_key_env=api_key_env,
    )
