"""Where an API's paths lie below a base URL, taken as it stands in the vendor's documentation.

A client of OpenAI's API puts ``/chat/completions`` behind its base URL, whatever that is: ``https://host/v1``,
``https://host/v1beta/openai/``, ``https://host/api/paas/v4``. Clients of Anthropic's API put ``/v1/messages`` behind
theirs. Paths are named here as OpenAI and Anthropic name them, with ``/v1`` in front.

An address without any path means ``/v1`` of that host, as people write it for engines of their own; two vendors
document theirs without a version (`_WITHOUT_VERSION`), and Azure documents that of a resource, whose API of all models
lies at ``/openai/v1``.

The limit of an answer is called ``max_tokens`` or ``max_completion_tokens``: OpenAI's o-series and GPT-5 refuse the
first, and the hosts that serve them take the second for all models (OpenAI's API
reference, chat completions, read 2026-11-29); other vendors and engines may know the first alone.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec

VERSION = "/v1"
DEPLOYMENTS = "/openai/deployments/"
"""Where Azure has what its clients name by deployment, of whatever form the base URL is."""
AZURE_RESPONSES = "/openai/responses"
"""Where Azure has the Responses API for clients that name an ``api-version``."""
_OPENAI_HOST = "api.openai.com"
# https://api-docs.deepseek.com (base_url and path, read 2026-11-27); https://docs.perplexity.ai (the same day).
_WITHOUT_VERSION = frozenset(("api.deepseek.com", "api.perplexity.ai"))
# https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle (read 2026-11-27).
AZURE_HOSTS = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
# https://ai.google.dev/gemini-api/docs/openai (read 2026-11-27).
GEMINI_HOST = "generativelanguage.googleapis.com"


class Joined(NamedTuple):
    """An address taken apart: `origin` without a path, `prefix` in the place of ``/v1``, `query` of all requests."""

    origin: str
    prefix: str
    query: str


def taken_apart(base_url: str, api: str = "openai") -> Joined:
    """What a base URL says. A path of chats at its end is taken for what it is and left out."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if api == "openai":
        path = path.removesuffix("/chat/completions")
    return Joined(f"{parts.scheme}://{parts.netloc}", _prefix(parts, path, api), parts.query)


def _prefix(parts: SplitResult, path: str, api: str) -> str:
    if api != "openai":
        return path if path.endswith(VERSION) else path + VERSION
    if path:
        return path
    host = parts.hostname or ""
    if host in _WITHOUT_VERSION:
        return ""
    return "/openai/v1" if host.endswith(AZURE_HOSTS) else VERSION


def joined(base_url: str, path: str, *, api: str = "openai") -> str:
    """The address of a path (``/v1/chat/completions``, perhaps with a query) below a base URL."""
    return taken_apart(base_url, api).origin + target(base_url, path, api=api)


def target(base_url: str, path: str, *, api: str = "openai") -> str:
    """`joined` without the host: what stands in a request's first line.

    A path without ``/v1`` in front is one of the server itself and lies outside its API. What the path's own query says
    goes before what the base URL says for all.
    """
    _, prefix, said = taken_apart(base_url, api)
    path, _, query = path.partition("?")
    if path.startswith((DEPLOYMENTS, AZURE_RESPONSES)):
        place = path
    elif prefix.startswith(DEPLOYMENTS) and path.startswith(VERSION + "/responses"):
        # It names the model in the body, and so lies beside the deployments
        # (https://learn.microsoft.com/azure/ai-foundry/openai/how-to/responses, read 2026-11-29).
        place = AZURE_RESPONSES + path[len(VERSION + "/responses") :]
    elif path == VERSION or path.startswith(VERSION + "/"):
        place = prefix + path[len(VERSION) :]
    else:
        place = prefix.removesuffix(VERSION) + path
    whole = merged_query(query, said)
    return f"{place}?{whole}" if whole else place


def merged_query(query: str, said: str) -> str:
    """A request's own parameters, and those of a base URL that it does not name."""
    if not said or not query:
        return query or said
    named = {part.partition("=")[0] for part in query.split("&")}
    more = [part for part in said.split("&") if part.partition("=")[0] not in named]
    return "&".join([query, *more])


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_azure(base_url: str) -> bool:
    """Whether a key goes into the header ``api-key`` there, and paths may name a deployment."""
    return (urlsplit(base_url).hostname or "").endswith(AZURE_HOSTS)


def has_responses(base_url: str) -> bool:
    """Whether the Responses API is known to be below a base URL: OpenAI's own, and ``/openai/v1`` of Azure. By a
    deployment of Azure it depends on the ``api-version``."""
    host = urlsplit(base_url).hostname or ""
    if host == _OPENAI_HOST or host.endswith("." + _OPENAI_HOST):
        return True
    return is_azure(base_url) and taken_apart(base_url).prefix == "/openai/v1"


def stem(base_url: str) -> str:
    """The address without what goes without saying: a slash at its end, and ``/v1`` where nothing else is in its path.

    So one server is known by one address, with or without it.
    """
    bare = base_url.rstrip("/")
    parts = urlsplit(bare)
    if parts.path == VERSION and not parts.query and parts.hostname not in _WITHOUT_VERSION:
        return bare.removesuffix(VERSION)
    return bare


_REASONS = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-(?:[5-9]|\d\d))(?![a-z0-9])")


def takes_completion_limit(base_url: str, model: str) -> bool:
    """Whether a model at an address is told ``max_completion_tokens``."""
    return has_responses(base_url) or is_azure(base_url) or _REASONS.match(model) is not None


def with_completion_limit(body: bytes) -> bytes:
    """A chat request whose ``max_tokens``, if it has that, stands under the newer name."""
    if b'"max_tokens"' not in body:
        return body
    fields: dict[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    names = {"max_tokens": "max_completion_tokens"}
    return msgspec.json.encode({names.get(name, name): value for name, value in fields.items()})
